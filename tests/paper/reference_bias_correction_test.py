"""The reference code's shifted weights, against NumPy."""

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from kure_tf import OperatingPoint, fake_quantize_model, paper, ptq
from kure_tf.compat import keras
from kure_tf.fake_quantized import Placement, operating_point_of

POINT = OperatingPoint(2, None)
layers = keras.layers
# Layer, the axes of its kernel that one output channel shares.
CASES = (
    ("dense", lambda: layers.Dense(3, name="l"), (0,)),
    ("conv", lambda: layers.Conv2D(4, 3, name="l"), (0, 1, 2)),
    (
        "depthwise",
        lambda: layers.DepthwiseConv2D(3, depth_multiplier=2, name="l"),
        (0, 1),
    ),
)


class ReferenceBiasCorrectionTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.named_parameters(*CASES)
    def test_channels_keep_their_float_means_off_the_grid(self, make, axes):
        shape = (6,) if axes == (0,) else (7, 7, 2)
        model = keras.Sequential([keras.Input(shape), make()])
        random = np.random.default_rng(0)
        model.set_weights(
            [random.normal(0.2, 1, w.shape) for w in model.get_weights()]
        )
        kernel = model.get_weights()[0].astype(np.float64)
        copy = fake_quantize_model(model, Placement())
        calibration = ptq.calibrate(copy, progress=False)
        steps = ptq.minmax(calibration, POINT)
        images = random.normal(size=(5, *shape)).astype(np.float32)
        before = copy(images)

        with paper.reference_bias_correction(copy, POINT, steps):
            inside = np.asarray(copy.layers[-1].layer.get_weights()[0])
            outputs = copy(images)

        step = np.abs(kernel).max()
        quantized = np.clip(np.round(kernel / step), -1, 1) * step
        shift = (kernel - quantized).mean(axis=axes, keepdims=True)
        self.assertAllClose(inside, quantized + shift, atol=1e-6)
        self.assertAllClose(
            inside.mean(axis=axes), kernel.mean(axis=axes), atol=1e-6
        )
        self.assertNotAllClose(inside, quantized, atol=1e-3)
        self.assertNotAllClose(outputs, before, atol=1e-2)
        self.assertAllEqual(copy(images), before)
        self.assertEqual(operating_point_of(copy), (None, None))


if __name__ == "__main__":
    tf.test.main()
