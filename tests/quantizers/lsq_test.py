import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from kure_tf.compat import keras
from kure_tf.quantizers import (
    LSQQuantizer,
    NestedLSQQuantizer,
    Positive,
    QuantizerState,
)
from kure_tf.settings.operating_point import FP


def _state(bits, step_size, *, origin=0.0, calibrated_bits=None):
    return QuantizerState(
        step_size=tf.Variable(step_size, dtype=tf.float32),
        bits=tf.Variable(float(bits)),
        calibrated_bits=tf.Variable(float(calibrated_bits or bits)),
        step_scale=tf.Variable(np.ones_like(step_size), dtype=tf.float32),
        origin=tf.Variable(float(origin)),
    )


def _paper(v, step_size, low, high, upstream):
    """Esser et al.'s Eq. 1, 2, 3 and 5 in float64, without the scale g."""
    ratio = v / step_size
    inside = (-low < ratio) & (ratio < high)
    output = np.round(np.clip(ratio, -low, high)) * step_size
    to_step = np.where(
        inside,
        np.round(ratio) - ratio,
        np.where(ratio <= -low, -low, high),
    )
    return output, inside * upstream, to_step * upstream


def _gradients(quantizer, state, x, upstream):
    @tf.function
    def compute(x):
        with tf.GradientTape() as tape:
            tape.watch([x, state.step_size])
            y = quantizer(x, state)
            total = tf.reduce_sum(y * tf.cast(upstream, y.dtype))
        return y, *tape.gradient(total, [x, state.step_size])

    return compute(tf.constant(x, tf.float32))


class LSQGradientTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.product(bits=(2, 3, 4, 8))
    def test_weights_follow_the_equations_inside_at_the_edge_and_beyond(
        self, bits
    ):
        step_size, high = 0.25, 2 ** (bits - 1) - 1
        # Interior, just inside, at, just outside and far outside the edge; the
        # power-of-two step makes the edge exact.
        ratio = np.array(
            [0.3, -0.6, 0.8, high - 0.2, high, high + 0.2, 3 * high]
        )
        x = np.concatenate([ratio, -ratio, [0.0]]) * step_size
        upstream = np.random.default_rng(0).normal(size=x.shape)
        output, to_x, to_step = _paper(x, step_size, high, high, upstream)
        g = 1 / np.sqrt(x.size * high)

        y, got_x, got_step = _gradients(
            LSQQuantizer(), _state(bits, step_size), x, upstream
        )

        self.assertAllClose(y, output, rtol=1e-6)
        self.assertAllClose(got_x, to_x, rtol=1e-6)
        self.assertAllClose(got_step, g * to_step.sum(), rtol=1e-5, atol=1e-6)

    @parameterized.product(bits=(2, 4, 8), lowest=(0.0, -1.0))
    def test_activations_follow_the_equations(self, bits, lowest):
        """Unsigned where nothing was negative, else signed."""
        step_size = 0.25
        high = 2**bits - 1 if lowest == 0 else 2 ** (bits - 1) - 1
        low = 0 if lowest == 0 else high
        rng = np.random.default_rng(1)
        x = rng.normal(0, high * step_size, (3, 5, 2))
        x[0, 0] = [0.0, high * step_size]
        upstream = rng.normal(size=x.shape)
        output, to_x, to_step = _paper(x, step_size, low, high, upstream)
        g = 1 / np.sqrt(10 * high)  # A sample has 5 x 2 values.
        quantizer = LSQQuantizer("signed_or_unsigned", batched=True)

        y, got_x, got_step = _gradients(
            quantizer, _state(bits, step_size, origin=lowest), x, upstream
        )

        self.assertAllClose(y, output, rtol=1e-5)
        self.assertAllClose(got_x, to_x, rtol=1e-6)
        self.assertAllClose(got_step, g * to_step.sum(), rtol=1e-4, atol=1e-5)

    def test_each_channel_has_its_own_step_and_count(self):
        rng = np.random.default_rng(2)
        x = rng.normal(0, 0.4, (3, 3, 2, 4))
        steps = np.array([0.05, 0.1, 0.2, 0.4]).reshape(1, 1, 1, 4)
        upstream = rng.normal(size=x.shape)
        output, to_x, to_step = _paper(x, steps, 7, 7, upstream)
        g = 1 / np.sqrt(18 * 7)
        quantizer = LSQQuantizer("narrow", "per_channel")

        y, got_x, got_step = _gradients(
            quantizer, _state(4, steps), x, upstream
        )

        self.assertAllClose(y, output, rtol=1e-5)
        self.assertAllClose(got_x, to_x, rtol=1e-6)
        expected = g * to_step.sum((0, 1, 2), keepdims=True)
        self.assertAllClose(got_step, expected, rtol=1e-4, atol=1e-5)

    @parameterized.product(
        quantizer=(LSQQuantizer, NestedLSQQuantizer), bits=(2, 3)
    )
    def test_coarse_bits_move_a_fine_step_as_they_move_their_own(
        self, quantizer, bits
    ):
        """The relative change of the step does not depend on how it is kept."""
        x = np.random.default_rng(2).normal(size=64)
        upstream = np.random.default_rng(3).normal(size=64)
        own = _state(bits, 0.5)
        fine = _state(bits, 1.0, calibrated_bits=8)
        ratio = quantizer().step_ratio(fine).numpy()
        fine.step_size.assign(0.5 / ratio)

        y, _, to_own = _gradients(quantizer(), own, x, upstream)
        same, _, to_fine = _gradients(quantizer(), fine, x, upstream)

        self.assertGreater(ratio, 30)
        self.assertAllClose(same, y, rtol=1e-5)
        self.assertAllClose(to_fine / (0.5 / ratio), to_own / 0.5, rtol=1e-3)

    def test_finer_bits_move_a_coarse_step_by_the_chain_rule(self):
        x = np.random.default_rng(2).normal(size=64)
        upstream = np.random.default_rng(3).normal(size=64)
        coarse = _state(4, 2.1, calibrated_bits=2)  # Extents 7 and 1.

        _, _, got = _gradients(LSQQuantizer(), coarse, x, upstream)

        _, _, to_step = _paper(x, 0.3, 7, 7, upstream)
        expected = to_step.sum() / 7 / np.sqrt(64 * 7)
        self.assertAllClose(got, expected, rtol=1e-4)

    def test_float_bits_pass_everything(self):
        x = np.float32([0.1, -3.0])
        y, to_x, to_step = _gradients(
            LSQQuantizer(), _state(FP, 0.1, calibrated_bits=4), x, [1.0, 2.0]
        )
        self.assertAllEqual(y, x)
        self.assertAllEqual(to_x, [1.0, 2.0])
        self.assertAllEqual(to_step, 0.0)


class LSQStartTest(tf.test.TestCase, parameterized.TestCase):
    def test_first_step_is_that_of_the_paper_for_each_row(self):
        rows = np.random.default_rng(0).normal(size=(3, 50)).astype(np.float32)
        step = LSQQuantizer().initial_step_size(
            rows, rows.min(1), rows.max(1), 4
        )
        self.assertAllClose(step, 2 * np.abs(rows).mean(1) / np.sqrt(7))

    def test_first_step_of_unsigned_activations_has_all_levels(self):
        rows = np.abs(np.random.default_rng(0).normal(size=(1, 50)))
        step = LSQQuantizer("signed_or_unsigned").initial_step_size(
            rows, np.array([0.0]), rows.max(1), 4
        )
        self.assertAllClose(step, 2 * rows.mean(1) / np.sqrt(15))

    @parameterized.parameters(0.0, -1.0)
    def test_the_other_start_has_the_smallest_mse(self, side):
        """Unsigned after a ReLU, else signed."""
        x = np.random.default_rng(0).normal(size=(1, 4000))
        x = (np.maximum(x, 0) if side == 0 else x).astype(np.float32)
        quantizer = LSQQuantizer(
            "signed_or_unsigned", batched=True, start="mse"
        )
        step = quantizer.initial_step_size(x, x.min(1), x.max(1), 4)[0]
        ends = (0, 15) if side == 0 else (-7, 7)

        def error(s):
            return np.mean((x - s * np.clip(np.round(x / s), *ends)) ** 2)

        best = min(error(s) for s in np.linspace(0.5, 1.5, 401) * step)
        self.assertLessEqual(error(step), 1.001 * best)

    def test_an_unknown_start_is_refused(self):
        with self.assertRaisesRegex(ValueError, "paper.*mse.*'best'"):
            LSQQuantizer(start="best")

    def test_zeros_get_a_positive_step(self):
        rows = np.zeros((1, 9), np.float32)
        step = LSQQuantizer().initial_step_size(rows, rows[:, 0], rows[:, 0], 4)
        self.assertAllEqual(step, [1.0])


class PositiveTest(tf.test.TestCase):
    def test_an_update_cannot_make_the_step_negative(self):
        class Host(keras.layers.Layer):
            def build(self, input_shape):
                self.state = LSQQuantizer().build(self, "kernel", (2, 2))
                super().build(input_shape)

            def call(self, inputs):
                return inputs * self.state.step_size

        host = Host()
        host(tf.ones((1, 1)))
        self.assertLen(host.trainable_weights, 1)
        keras.optimizers.SGD(1.0).apply_gradients(
            [(tf.constant(5.0), host.trainable_weights[0])]
        )
        self.assertAllClose(host.trainable_weights[0], 1e-8, rtol=1e-6)

    def test_config_round_trip(self):
        constraint = keras.constraints.deserialize(
            keras.constraints.serialize(Positive(0.5))
        )
        self.assertAllEqual(constraint(tf.constant([0.1, 2.0])), [0.5, 2.0])

    def test_a_bound_that_is_not_positive_is_refused(self):
        with self.assertRaisesRegex(ValueError, "above 0.*0.0"):
            Positive(0.0)


class ConfigTest(tf.test.TestCase):
    def test_round_trip(self):
        quantizer = LSQQuantizer("signed_or_unsigned", batched=True)
        copy = keras.saving.deserialize_keras_object(
            keras.saving.serialize_keras_object(quantizer)
        )
        self.assertEqual(copy, quantizer)
        self.assertNotEqual(copy, LSQQuantizer("signed_or_unsigned"))


if __name__ == "__main__":
    tf.test.main()
