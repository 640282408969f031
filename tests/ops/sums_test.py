from unittest import mock

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from kure_tf.ops import sums

SHAPES = {
    "one": (),
    "last": (1, 1, 4),
    "first": (17, 1, 1),
    "first and last": (17, 1, 4),
    "vector": (4,),
}


class SumsTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.product(
        shape=tuple(SHAPES), processors=(True, False), large=(64, 1 << 23)
    )
    def test_products_are_summed_to_the_shape_of_the_target(
        self, shape, processors, large
    ):
        rng = np.random.default_rng(0)
        g, x = rng.normal(size=(2, 17, 3, 4)).astype(np.float32)
        target = tf.zeros(SHAPES[shape])
        with (
            mock.patch.object(sums, "_LARGE", large),
            mock.patch.object(sums, "_on_processors_only", lambda: processors),
        ):
            total = sums.sum_of_products(
                target,
                tf.constant(g),
                lambda rows: tf.square(sums.rows_of(tf.constant(x), rows)),
            )

        products = g.astype(np.float64) * np.square(x, dtype=np.float64)
        sizes = (1,) * (3 - len(target.shape)) + tuple(target.shape)
        axes = tuple(axis for axis, size in enumerate(sizes) if size == 1)
        expected = products.sum(axes).reshape(target.shape)
        self.assertAllClose(total, expected, rtol=1e-5, atol=1e-5)


if __name__ == "__main__":
    tf.test.main()
