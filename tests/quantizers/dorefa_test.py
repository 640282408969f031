import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from kure_tf.compat import keras
from kure_tf.quantizers import (
    DoReFaActivationQuantizer,
    DoReFaWeightQuantizer,
    QuantizerState,
)
from kure_tf.settings.operating_point import FP

SHAPE = (3, 3, 4, 5)


def _state(quantizer, bits, step_shape=(), origin=0.0, at=None):
    """A state as `initial_step_sizes` leaves it, calibrated for `at` bits."""
    at = at or bits
    ends = np.array([origin]), np.array([1.0])
    step = quantizer.initial_step_size(np.ones((1, 1)), *ends, at)[0]
    return QuantizerState(
        step_size=tf.Variable(np.full(step_shape, step, np.float32)),
        bits=tf.Variable(float(bits)),
        calibrated_bits=tf.Variable(float(at)),
        step_scale=tf.Variable(np.ones(step_shape, np.float32)),
        origin=tf.Variable(float(origin)),
    )


def _weights(seed=0):
    return np.random.default_rng(seed).normal(0, 0.5, SHAPE).astype(np.float32)


def _zhou(w, bits, axis=None):
    """Zhou et al.'s Eq. 9 and 6 in float64: index of the level, and value."""
    bent = np.tanh(w.astype(np.float64))
    largest = np.abs(bent).max(axis=axis, keepdims=True)
    n = 2**bits - 1
    index = np.round(n * (bent / (2 * largest) + 0.5))
    return index, 2 * index / n - 1, largest


class DoReFaWeightTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.product(bits=(1, 2, 3, 4, 5, 6, 7, 8))
    def test_codes_are_those_of_the_formula(self, bits):
        w = _weights()
        quantizer = DoReFaWeightQuantizer(rescale=False)
        index, value, _ = _zhou(w, bits)

        y = quantizer(w, _state(quantizer, bits)).numpy()

        n = 2**bits - 1
        self.assertAllEqual(np.round((y + 1) * n / 2), index)
        self.assertAllClose(y, value, rtol=1e-6)
        self.assertNotIn(0.0, y)  # No level is zero, at 1 bit neither.

    def test_rescaled_values_keep_the_size_of_the_weights(self):
        w = _weights()
        quantizer = DoReFaWeightQuantizer()
        _, value, largest = _zhou(w, 4)

        y = quantizer(w, _state(quantizer, 4))

        self.assertAllClose(y, value * largest, rtol=1e-6)

    def test_each_channel_has_its_own_maximum(self):
        w = _weights() * [0.1, 0.2, 0.5, 1.0, 2.0]
        quantizer = DoReFaWeightQuantizer(granularity="per_channel")
        _, value, largest = _zhou(np.float32(w), 4, axis=(0, 1, 2))

        y = quantizer(np.float32(w), _state(quantizer, 4, (1, 1, 1, 5)))

        self.assertAllClose(y, value * largest, rtol=1e-5)

    @parameterized.parameters(2, 4, 8)
    def test_narrow_grid_is_deployable_with_a_zero(self, bits):
        w = _weights()
        quantizer = DoReFaWeightQuantizer("narrow")
        bent = np.tanh(w.astype(np.float64))
        unit = np.abs(bent).max() / (2 ** (bits - 1) - 1)

        y = quantizer(w, _state(quantizer, bits))

        self.assertAllClose(y, np.round(bent / unit) * unit, rtol=1e-5)
        self.assertIn(0.0, y.numpy())

    def test_fewer_bits_keep_the_clip_and_a_ratio_scales_it(self):
        w = _weights()
        quantizer = DoReFaWeightQuantizer("narrow")
        state = _state(quantizer, 3, at=4)
        bent = np.tanh(w.astype(np.float64))

        kept = quantizer(w, state)
        state.step_scale.assign(0.5)
        halved = quantizer(w, state)

        largest = np.abs(bent).max()
        self.assertAllClose(np.abs(kept).max(), largest, rtol=1e-6)
        self.assertAllClose(np.abs(halved).max(), largest / 2, rtol=1e-6)

    def test_float_is_the_limit_of_many_bits(self):
        w = _weights()
        quantizer = DoReFaWeightQuantizer()
        in_float = quantizer(w, _state(quantizer, FP, at=8))
        many = quantizer(w, _state(quantizer, 16))
        self.assertAllClose(in_float, np.tanh(w), rtol=1e-6)
        self.assertAllClose(in_float, many, atol=2e-5)

    @parameterized.product(max_gradient=(False, True), rescale=(False, True))
    def test_gradient_is_that_of_the_formula_without_rounding(
        self, max_gradient, rescale
    ):
        """By finite differences in float64, the maximum held or not."""
        w = _weights()
        upstream = np.random.default_rng(1).normal(size=SHAPE)
        largest = np.abs(np.tanh(w.astype(np.float64))).max()
        quantizer = DoReFaWeightQuantizer(
            rescale=rescale, max_gradient=max_gradient
        )
        state = _state(quantizer, 3)
        rounded = np.asarray(quantizer(w, state), np.float64)
        # What rounding adds counts as a constant in units of the maximum.
        unit = largest if rescale else 1.0
        added = rounded / unit - np.tanh(w.astype(np.float64)) / largest

        def loss(w):
            bent = np.tanh(w)
            m = np.abs(bent).max() if max_gradient else largest
            return np.sum(
                upstream * (m if rescale else 1.0) * (bent / m + added)
            )

        at = [(0, 0, 0, 0), (1, 2, 3, 4)]
        at.append(np.unravel_index(np.abs(w).argmax(), SHAPE))
        with tf.GradientTape() as tape:
            x = tf.Variable(w)
            total = tf.reduce_sum(quantizer(x, state) * np.float32(upstream))
        gradient = tape.gradient(total, x).numpy()
        for index in at:
            ends = []
            for side in (1e-6, -1e-6):
                moved = w.astype(np.float64)
                moved[index] += side
                ends.append(loss(moved))
            expected = (ends[0] - ends[1]) / 2e-6
            self.assertAllClose(gradient[index], expected, rtol=2e-3, atol=1e-4)

    @parameterized.product(bits=(1, 2, 4, 8), ratio=(0.9, 1.0, 1.02))
    def test_moved_zero_is_the_reference_code_of_the_paper(self, bits, ratio):
        """Levels from -1 upwards, 1 / step times the ratio, not clamped."""
        w = _weights()
        quantizer = DoReFaWeightQuantizer(rescale=False, moved_zero=True)
        state = _state(quantizer, bits)
        state.step_scale.assign(1 / ratio)
        bent = np.tanh(w.astype(np.float64))
        n = (2**bits - 1) * ratio
        unit = bent / (2 * np.abs(bent).max()) + 0.5
        y = quantizer(w, state)
        self.assertAllClose(y, 2 * np.round(unit * n) / n - 1, atol=1e-5)

    def test_a_kernel_of_zeros_stays_finite(self):
        quantizer = DoReFaWeightQuantizer("narrow")
        y = quantizer(np.zeros(SHAPE, np.float32), _state(quantizer, 4))
        self.assertAllEqual(y, np.zeros(SHAPE))

    def test_config_round_trip(self):
        quantizer = DoReFaWeightQuantizer(
            "narrow", "per_channel", rescale=False, max_gradient=True
        )
        copy = keras.saving.deserialize_keras_object(
            keras.saving.serialize_keras_object(quantizer)
        )
        self.assertEqual(copy, quantizer)

    def test_a_grid_for_activations_is_refused(self):
        with self.assertRaisesRegex(ValueError, "symmetric.*'unsigned'"):
            DoReFaWeightQuantizer("unsigned")


class DoReFaActivationTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.product(bits=(1, 2, 4, 8), clip=(1.0, 2.5))
    def test_codes_and_gradient_are_those_of_the_formula(self, bits, clip):
        x = np.random.default_rng(0).normal(0.5, 1.5, (7, 9)).astype(np.float32)
        quantizer = DoReFaActivationQuantizer(clip)
        state = _state(quantizer, 8 if bits == 1 else bits)
        state.bits.assign(bits)
        n = 2**bits - 1
        expected = clip * np.round(n * np.clip(x / clip, 0, 1)) / n

        with tf.GradientTape() as tape:
            v = tf.Variable(x)
            y = quantizer(v, state)
        self.assertAllClose(y, expected, rtol=1e-5)
        inside = (x > 0) & (x < clip)
        self.assertAllEqual(tape.gradient(y, v), inside.astype(np.float32))

    def test_clip_from_calibration_has_the_smallest_mse(self):
        x = np.maximum(np.random.default_rng(0).normal(size=(1, 4000)), 0)
        step = DoReFaActivationQuantizer(None).initial_step_size(
            x, np.array([0.0]), x.max(1), 4
        )[0]
        tried = np.linspace(0.5, 1.5, 401) * step
        errors = [
            np.mean((x - s * np.clip(np.round(x / s), 0, 15)) ** 2)
            for s in tried
        ]
        own = np.mean((x - step * np.clip(np.round(x / step), 0, 15)) ** 2)
        self.assertLessEqual(own, 1.001 * min(errors))

    def test_inputs_with_negative_values_keep_their_sign(self):
        quantizer = DoReFaActivationQuantizer(1.0)
        state = _state(quantizer, 4, origin=-1.0)
        y = quantizer(np.float32([-2.0, -0.5, 0.5, 2.0]), state)
        self.assertAllClose(y, [-1.0, -4 / 7, 4 / 7, 1.0])

    def test_config_round_trip(self):
        for quantizer in (
            DoReFaActivationQuantizer(),
            DoReFaActivationQuantizer(None),
        ):
            copy = keras.saving.deserialize_keras_object(
                keras.saving.serialize_keras_object(quantizer)
            )
            self.assertEqual(copy, quantizer)

    def test_a_clip_that_is_not_positive_is_refused(self):
        with self.assertRaisesRegex(ValueError, "above 0.*-1"):
            DoReFaActivationQuantizer(-1.0)


if __name__ == "__main__":
    tf.test.main()
