"""Depthwise convolutions with strides that differ."""

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

from kure_tf.ops.depthwise import depthwise_conv2d

pytestmark = pytest.mark.keras_free


def _summed(x, kernel, strides, padding, dilation):
    """Returns the same by sums over one place after the other."""
    (height, width), spread = x.shape[1:3], []
    for size, window, stride, rate in zip(
        (height, width), kernel.shape[:2], strides, dilation, strict=True
    ):
        reach = (window - 1) * rate + 1
        count = -(-size // stride)
        missing = max((count - 1) * stride + reach - size, 0)
        front = missing // 2 if padding == "SAME" else 0
        if padding == "VALID":
            count = (size - reach) // stride + 1
        spread.append((front, count))
    (top, rows), (left, columns) = spread
    padded = np.pad(x, [(0, 0), (top, 99), (left, 99), (0, 0)])
    y = np.zeros((len(x), rows, columns, *kernel.shape[2:]))
    for i, j in np.ndindex(rows, columns):
        for a, b in np.ndindex(*kernel.shape[:2]):
            row = i * strides[0] + a * dilation[0]
            column = j * strides[1] + b * dilation[1]
            y[:, i, j] += padded[:, row, column, :, np.newaxis] * kernel[a, b]
    return y.reshape(*y.shape[:3], -1)


class DepthwiseTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.product(
        strides=[(1, 1), (1, 2), (3, 2), (2, 1)],
        padding=["SAME", "VALID"],
        dilation=[(1, 1), (1, 2)],
        size=[(1, 9), (8, 7)],
    )
    def test_sums_are_those_of_each_place(
        self, strides, padding, dilation, size
    ):
        random = np.random.default_rng(0)
        x = random.integers(-9, 10, (2, *size, 3)).astype(np.float32)
        window = (1 if size[0] == 1 else 3, 2)
        kernel = random.integers(-9, 10, (*window, 3, 2)).astype(np.float32)
        self.assertAllEqual(
            depthwise_conv2d(x, kernel, strides, padding, dilation),
            _summed(x, kernel, strides, padding, dilation),
        )


if __name__ == "__main__":
    tf.test.main()
