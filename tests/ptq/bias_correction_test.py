"""Corrected biases: the mean output of a quantized layer is the float one."""

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from kure_tf import (
    OperatingPoint,
    apply,
    fake_quantize_model,
    ptq,
)
from kure_tf.compat import keras
from kure_tf.fake_quantized import Placement
from kure_tf.settings import Setting

POINT = OperatingPoint(2, None)
layers = keras.layers
LAYERS = {
    "dense": lambda: layers.Dense(3, name="l", activation="relu"),
    "conv": lambda: layers.Conv2D(4, 3, padding="same", name="l"),
    "depthwise": lambda: layers.DepthwiseConv2D(
        3, strides=2, depth_multiplier=2, name="l"
    ),
    "separable": lambda: layers.SeparableConv2D(5, 3, name="l"),
}


def _calibrated(layer, shape=None):
    if shape is None:
        shape = (6,) if isinstance(layer, layers.Dense) else (7, 7, 2)
    model = keras.Sequential([keras.Input(shape), layer])
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
    images = rng.normal(0.8, 1.0, (30, *shape)).astype(np.float32)
    copy = fake_quantize_model(model, Placement())
    calibration = ptq.calibrate(
        copy, [images[:20], images[20:]], progress=False
    )
    return model, copy, calibration, images


def _channel_means(model, images):
    y = np.asarray(model(images))
    return y.reshape(-1, y.shape[-1]).mean(0)


class BiasCorrectionTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters("conv", "depthwise", "separable")
    def test_channel_means_are_those_of_the_float_layer(self, kind):
        model, copy, calibration, images = _calibrated(LAYERS[kind]())
        steps = ptq.lp_norm(calibration, POINT)
        correction = ptq.bias_correction(calibration, POINT, steps)
        apply(copy, Setting(POINT, step_sizes=steps))
        wanted = _channel_means(model, images)
        self.assertNotAllClose(_channel_means(copy, images), wanted, atol=0.05)
        apply(copy, Setting(POINT, bias_correction=correction))
        self.assertAllClose(_channel_means(copy, images), wanted, atol=1e-4)

    def test_a_dense_layer_by_hand(self):
        """E[x] (W - Q(W)), before the layer's activation."""
        model, copy, calibration, images = _calibrated(LAYERS["dense"]())
        steps = ptq.lp_norm(calibration, POINT)
        correction = ptq.bias_correction(calibration, POINT, steps)
        kernel, bias = model.get_weights()
        step = steps.tensors["l/kernel"].step_size
        error = kernel - np.clip(np.round(kernel / step), -1, 1) * step
        shift = images.mean(0) @ error
        self.assertAllClose(correction.shifts["l"], shift, atol=1e-5)
        apply(copy, Setting(POINT, bias_correction=correction))
        self.assertAllClose(copy.layers[-1].layer.bias, bias + shift)
        self.assertAllClose(model.get_weights()[1], bias)

    def test_einsum_dense_has_a_bias_of_two_axes(self):
        layer = layers.EinsumDense(
            "abc,cde->abde", (None, 4, 3), bias_axes="de", name="l"
        )
        model, copy, calibration, images = _calibrated(layer, shape=(5, 6))
        steps = ptq.lp_norm(calibration, POINT)
        correction = ptq.bias_correction(calibration, POINT, steps)
        self.assertEqual(correction.shifts["l"].shape, (4, 3))
        apply(
            copy, Setting(POINT, step_sizes=steps, bias_correction=correction)
        )
        self.assertAllClose(
            np.mean(copy(images), (0, 1)),
            np.mean(model(images), (0, 1)),
            atol=1e-4,
        )

    def test_layers_that_are_not_linear_are_skipped(self):
        _, _, calibration, _ = _calibrated(layers.GRU(2, name="l"), (5, 6))
        steps = ptq.lp_norm(calibration, POINT)
        correction = ptq.bias_correction(calibration, POINT, steps)
        self.assertEqual(correction.skipped, ("l",))

    def test_a_layer_without_bias_is_skipped(self):
        layer = layers.Conv2D(2, 1, use_bias=False, name="l")
        _, _, calibration, _ = _calibrated(layer)
        steps = ptq.lp_norm(calibration, POINT)
        correction = ptq.bias_correction(calibration, POINT, steps)
        self.assertEqual(correction.shifts, {})
        self.assertEqual(correction.skipped, ("l",))

    def test_a_calibration_without_images_is_refused(self):
        _, copy, _, _ = _calibrated(LAYERS["conv"]())
        calibration = ptq.calibrate(copy, progress=False)
        steps = ptq.lp_norm(calibration, POINT)
        with self.assertRaisesRegex(ValueError, "knows its model and images"):
            ptq.bias_correction(calibration, POINT, steps)


if __name__ == "__main__":
    tf.test.main()
