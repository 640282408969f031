"""Tests for quantizers/nested_lsq.py."""

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from kure_materialize import read
from kure_tf.quantizers import (
    LSQQuantizer,
    NestedLSQQuantizer,
    QuantizerState,
    get,
)


def _state(bits, step_size, calibrated_bits=8):
    return QuantizerState(
        step_size=tf.Variable(step_size, dtype=tf.float32),
        bits=tf.Variable(float(bits)),
        calibrated_bits=tf.Variable(float(calibrated_bits)),
        step_scale=tf.Variable(np.ones_like(step_size), dtype=tf.float32),
        origin=tf.Variable(0.0),
    )


def _values(shape=(40, 30)):
    return np.random.default_rng(0).normal(0, 0.6, shape).astype(np.float32)


class NestedLSQTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.product(bits=(8, 7, 6, 5, 4, 3, 2), calibrated=(8, 2))
    def test_outputs_are_the_readings_of_the_stored_codes(
        self, bits, calibrated
    ):
        step, x = 0.0077, _values()
        state = _state(bits, step * 2.0 ** (8 - calibrated), calibrated)
        codes = np.clip(np.rint(x.astype(np.float64) / step), -127, 127)
        expected = read(codes.astype(np.int8), bits) * 2.0 ** (8 - bits) * step

        y = NestedLSQQuantizer()(x, state)

        self.assertAllClose(y, expected, rtol=1e-6, atol=0)

    @parameterized.product(bits=(8, 4, 2), per_channel=(False, True))
    def test_gradients_are_those_of_lsq_with_the_levels_read(
        self, bits, per_channel
    ):
        x = _values()
        steps = np.full((), 2.0**-7)
        if per_channel:
            steps = 2.0 ** np.linspace(-8, -6, 30)[np.newaxis]
        state = _state(bits, steps)
        upstream = np.random.default_rng(1).normal(size=x.shape)
        quantizer = NestedLSQQuantizer(
            granularity="per_channel" if per_channel else "per_tensor"
        )
        with tf.GradientTape() as tape:
            tensor = tf.constant(x)
            tape.watch(tensor)
            y = quantizer(tensor, state)
            total = tf.reduce_sum(y * tf.cast(upstream, tf.float32))
        to_x, to_step = tape.gradient(total, [tensor, state.step_size])

        high = 2 ** (bits - 1) - 1
        ratio = x.astype(np.float64) / steps
        codes = np.clip(np.rint(ratio), -127, 127).astype(np.int8)
        level = read(codes, bits) * 2.0 ** (8 - bits)
        inside = np.abs(codes * 1.0) < high * 2.0 ** (8 - bits)
        self.assertAllClose(to_x, inside * upstream, rtol=1e-6)
        per_value = upstream * (level - np.where(inside, ratio, 0.0))
        axes = 0 if per_channel else None
        expected = per_value.sum(axes, keepdims=per_channel)
        g = 1 / np.sqrt(x.size / steps.size * high)
        g /= 4.0 ** (8 - bits)  # The step read is 2^(8 - bits) times as large.
        self.assertAllClose(to_step, g * expected, rtol=1e-3, atol=1e-6)

    def test_more_than_8_bits_are_those_of_lsq(self):
        x, state = _values(), _state(12, 2.0**-7)
        state.step_size.assign(state.step_size * 2047 / 127)
        plain = _state(12, 2.0**-7, calibrated_bits=12)
        plain.step_size.assign(2.0**-4 * 2.0**-7 * 2047 / 127)

        self.assertAllClose(
            NestedLSQQuantizer()(x, state), LSQQuantizer()(x, plain)
        )

    def test_float_stays_float(self):
        x = _values()
        self.assertAllEqual(NestedLSQQuantizer()(x, _state(32, 0.1)), x)

    def test_another_grid_is_refused(self):
        with self.assertRaisesRegex(ValueError, "'narrow'.*'full'"):
            NestedLSQQuantizer("full")

    def test_config(self):
        quantizer = get("NestedLSQ", granularity="per_channel", start="paper")
        again = NestedLSQQuantizer.from_config(quantizer.get_config())
        self.assertEqual(again, quantizer)
        self.assertNotEqual(again, NestedLSQQuantizer())


if __name__ == "__main__":
    tf.test.main()
