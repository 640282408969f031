"""Tests for ptq/nested_correction.py."""

import types

import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

from kure_materialize import read
from kure_tf.compat import keras
from kure_tf.ptq.kernel_matrix import KernelMatrix
from kure_tf.ptq.nested_correction import corrections
from kure_tf.ptq.rounding_search import SecondMoments


def _layer(kind):
    keras.utils.set_random_seed(0)
    layer = {
        "conv": keras.layers.Conv2D(5, 2),
        "transposed": keras.layers.Conv2DTranspose(5, 2),
        "depthwise": keras.layers.DepthwiseConv2D(2, depth_multiplier=2),
    }[kind]
    layer.build((None, 6, 6, 3))
    kernel, bias = layer.get_weights()
    rng = np.random.default_rng(0)
    layer.set_weights([rng.uniform(0.4, 1.2, kernel.shape), bias])
    return layer


def _images():
    rng = np.random.default_rng(1)
    return rng.normal(0.3, 1.0, (16, 6, 6, 3)).astype(np.float32)


def _weights(layer):
    return np.asarray(layer.get_weights()[0], np.float64)


def _moments(layer, view, weights, centered):
    moments = SecondMoments(centered=centered)
    images = tf.constant(_images())
    matrix = np.float32(view.to_matrix(weights))
    moments.add(view.rows(images), view.outputs(images, matrix))
    return moments


def _outputs(layer, weights):
    """Returns what the layer makes of other weights, `[n, channels]`."""
    layer.set_weights([weights, np.zeros_like(layer.get_weights()[1])])
    outputs = np.asarray(layer(_images()), np.float64)
    return outputs.reshape(-1, outputs.shape[-1])


def _corrected(kind, steps, biased=True):
    """Returns outputs in float, those of 2-bit codes, and the correction."""
    layer = _layer(kind)
    weights, view = _weights(layer), KernelMatrix(layer)
    step_size = np.broadcast_to(np.float32(0.01), steps)
    codes = np.clip(np.rint(weights / 0.01), -127, 127).astype(np.int8)
    moments = _moments(layer, view, weights, biased)
    kernel = types.SimpleNamespace(step_size=step_size, pinned=None)
    found = corrections(
        kernel, codes, view, {2: moments}, "even", biased=biased
    )
    coarse = _outputs(layer, read(codes, 2) * 0.64)
    found = {name: values["2"].ravel() for name, values in found.items()}
    return _outputs(layer, weights), coarse, found


class CorrectionsTest(parameterized.TestCase):
    @parameterized.parameters(
        ("conv", (1, 1, 1, 5)),
        ("transposed", (1, 1, 5, 1)),
        ("depthwise", (1, 1, 3, 2)),
    )
    def test_gain_and_bias_of_channels_are_those_of_a_line(self, kind, steps):
        wanted, coarse, found = _corrected(kind, steps)
        lines = [
            np.polyfit(x, y, 1) for x, y in zip(coarse.T, wanted.T, strict=True)
        ]
        slopes, offsets = np.transpose(lines)
        np.testing.assert_allclose(found["gains"], slopes, rtol=1e-4)
        np.testing.assert_allclose(found["shifts"], offsets, atol=1e-4)

    def test_one_step_has_the_gain_of_all_channels(self):
        wanted, coarse, found = _corrected("conv", ())
        wanted, coarse = wanted - wanted.mean(0), coarse - coarse.mean(0)

        def error(gain):
            return (((gain * coarse - wanted) / wanted.std(0)) ** 2).mean()

        (gain,) = found["gains"]
        self.assertLess(error(gain), error(gain * 1.01))
        self.assertLess(error(gain), error(gain / 1.01))

    def test_without_a_bias_the_line_goes_through_zero(self):
        wanted, coarse, found = _corrected("conv", (1, 1, 1, 5), biased=False)
        expected = (coarse * wanted).sum(0) / (coarse**2).sum(0)
        np.testing.assert_allclose(found["gains"], expected, rtol=1e-4)
        self.assertNotIn("shifts", found)

    def test_codes_that_are_all_zero_keep_their_step(self):
        layer = _layer("conv")
        view = KernelMatrix(layer)
        moments = _moments(layer, view, _weights(layer), True)
        kernel = types.SimpleNamespace(step_size=np.float32(1), pinned=None)
        codes = np.zeros((2, 2, 3, 5), np.int8)
        found = corrections(
            kernel, codes, view, {2: moments}, "even", biased=True
        )
        self.assertEqual(float(found["gains"]["2"]), 1.0)


if __name__ == "__main__":
    absltest.main()
