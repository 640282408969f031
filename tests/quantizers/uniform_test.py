import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from kure_tf import quantizers
from kure_tf.compat import keras
from kure_tf.quantizers import Quantizer, QuantizerState, UniformQuantizer
from kure_tf.settings.operating_point import FP

SHAPE = (3, 3, 4, 5)
# {grid: (low, high, offset, clipping range in steps) at b bits}
SYMMETRIC = {
    "narrow": lambda b: (1 - 2 ** (b - 1), 2 ** (b - 1) - 1, 0, None),
    "full": lambda b: (-(2 ** (b - 1)), 2 ** (b - 1) - 1, 0, None),
    "equation1": lambda b: (-(2 ** (b - 1)), 2 ** (b - 1), 0, None),
    "reference": lambda b: (
        -(2 ** (b - 1)),
        2 ** (b - 1) - 1,
        0.5,
        (2**b - 1) / 2,
    ),
}


class _Host(keras.layers.Layer):
    """A layer that keeps the state of one quantizer."""

    def __init__(self, quantizer, shape=SHAPE, channel_axes=(-1,)):
        super().__init__()
        self.state = quantizer.build(self, "kernel", shape, channel_axes)


def _state(quantizer, bits, step_size=0.1, calibrated_bits=None, **values):
    """A state of plain variables, as a layer would keep it."""
    values = {"step_scale": 1.0, "origin": 0.0, **values}
    return QuantizerState(
        step_size=tf.Variable(step_size, dtype=tf.float32),
        bits=tf.Variable(float(bits)),
        calibrated_bits=tf.Variable(float(calibrated_bits or bits)),
        **{k: tf.Variable(v, dtype=tf.float32) for k, v in values.items()},
    )


def _kernel(seed=0):
    """Values that are nowhere near a tie."""
    x = np.random.default_rng(seed).normal(0, 0.3, SHAPE)
    return np.float32(np.round(x, 3) + 0.00031)


class UniformQuantizerTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.product(
        grid=tuple(SYMMETRIC), bits=(2, 3, 4, 8), calibrated_bits=(4, 8)
    )
    def test_keeps_the_clipping_range_at_other_bits(
        self, grid, bits, calibrated_bits
    ):
        x, step_scale = _kernel(), 1.07
        quantizer = UniformQuantizer(grid)
        state = _state(
            quantizer, bits, 0.07, calibrated_bits, step_scale=step_scale
        )

        y = quantizer(x, state)

        low, high, offset, extent = SYMMETRIC[grid](bits)
        calibrated = SYMMETRIC[grid](calibrated_bits)
        clip = 0.07 * (calibrated[3] or calibrated[1])
        step_size = clip / (extent or high) * step_scale
        codes = np.round(np.clip(x / step_size - offset, low, high))
        self.assertAllClose(quantizer.step_size(state), step_size, rtol=1e-5)
        self.assertAllClose(y, step_size * (codes + offset), atol=1e-5)

    @parameterized.product(
        grid=("unsigned", "signed_or_unsigned", "asymmetric"), bits=(2, 4, 8)
    )
    def test_unsigned_activations(self, grid, bits):
        x = np.abs(_kernel())
        quantizer = UniformQuantizer(grid)

        y = quantizer(x, _state(quantizer, bits, 0.0123))

        codes = np.clip(np.round(x / 0.0123), 0, 2**bits - 1)
        self.assertAllClose(y, 0.0123 * codes, atol=1e-5)

    @parameterized.product(bits=(2, 4, 8))
    def test_signed_activations_use_the_narrow_grid(self, bits):
        x = _kernel()
        quantizer = UniformQuantizer("signed_or_unsigned")

        y = quantizer(x, _state(quantizer, bits, 0.0123, origin=-0.5))

        high = 2 ** (bits - 1) - 1
        codes = np.clip(np.round(x / 0.0123), -high, high)
        self.assertAllClose(y, 0.0123 * codes, atol=1e-5)

    @parameterized.product(bits=(3, 4, 8))
    def test_asymmetric_activations_have_a_zero_point(self, bits):
        x = _kernel()
        quantizer = UniformQuantizer("asymmetric")
        step_size, lowest = 1.5 / (2**bits - 1), -0.4

        y = quantizer(x, _state(quantizer, bits, step_size, origin=lowest))

        zero_point = round(-lowest / step_size)
        codes = np.round(x / step_size) + zero_point
        codes = np.clip(codes, 0, 2**bits - 1) - zero_point
        self.assertAllClose(y, step_size * codes, atol=1e-5)
        self.assertEqual(quantizer(0.0, _state(quantizer, bits, 0.1)), 0.0)

    @parameterized.parameters(tf.float32, tf.bfloat16, tf.float16)
    def test_float_bits_return_the_tensor_bit_for_bit(self, dtype):
        x = tf.cast(_kernel(), dtype)
        quantizer = UniformQuantizer()

        y = quantizer(x, _state(quantizer, FP, calibrated_bits=4))

        self.assertEqual(y.dtype, dtype)
        self.assertAllEqual(y, x)

    @parameterized.named_parameters(
        ("conv", (-1,), (1, 1, 1, 5)),
        ("depthwise", (-2, -1), (1, 1, 4, 5)),
        ("transposed", (-2,), (1, 1, 4, 1)),
    )
    def test_per_channel_has_one_step_for_each_channel(self, axes, shape):
        quantizer = UniformQuantizer("narrow", "per_channel")
        step_sizes = np.random.default_rng(0).uniform(0.05, 0.2, shape)
        x = _kernel()

        y = quantizer(x, _state(quantizer, 4, step_sizes.astype(np.float32)))

        self.assertEqual(quantizer.step_shape(SHAPE, axes), shape)
        codes = np.clip(np.round(x / step_sizes), -7, 7)
        self.assertAllClose(y, codes * step_sizes, atol=1e-5)

    def test_moving_between_operating_points_does_not_retrace(self):
        quantizer = UniformQuantizer()
        state = _state(quantizer, FP, 0.1, calibrated_bits=4)
        traces = []

        @tf.function
        def quantize(x):
            traces.append(1)
            return quantizer(x, state)

        x = tf.constant(100.0)
        expected = {FP: 100.0, 8: 0.7, 4: 0.7, 2: 0.7, 3: 0.7 * 1.5}
        for bits, largest in expected.items():
            state.bits.assign(bits)
            state.step_scale.assign(1.5 if bits == 3 else 1.0)
            self.assertAllClose(quantize(x), largest)
        state.calibrated_bits.assign(2)
        state.step_size.assign(0.3)
        self.assertAllClose(quantize(x), 0.3 * 1.5)
        self.assertLen(traces, 1)


class UniformQuantizerGradientTest(tf.test.TestCase, parameterized.TestCase):
    def _gradients(self, quantizer, state, x, *, compiled):
        def compute(x):
            with tf.GradientTape() as tape:
                tape.watch([x, state.step_size])
                y = quantizer(x, state)
            return tape.gradient(y, [x, state.step_size])

        return (tf.function(compute) if compiled else compute)(tf.constant(x))

    @parameterized.product(grid=tuple(SYMMETRIC), compiled=(False, True))
    def test_is_that_of_lsq(self, grid, compiled):
        x = _kernel()
        quantizer = UniformQuantizer(grid)
        state = _state(quantizer, 3, 0.11)

        to_x, to_step = self._gradients(quantizer, state, x, compiled=compiled)

        low, high, offset, _ = SYMMETRIC[grid](3)
        v = x.astype(np.float64) / 0.11 - offset
        inside = (v > low) & (v < high)
        # y = step * (round(clip(v)) + offset), rounding as the identity.
        slope = np.where(
            inside, np.round(v) - v, np.clip(v, low, high) + offset
        )
        self.assertAllEqual(to_x, inside.astype(np.float32))
        self.assertAllClose(to_step, np.sum(slope), rtol=1e-3)

    @parameterized.parameters(False, True)
    def test_kept_clip_and_step_scale_enter_the_step_gradient(self, compiled):
        quantizer = UniformQuantizer()
        state = _state(quantizer, 3, 0.1, calibrated_bits=4, step_scale=1.5)

        _, to_step = self._gradients(quantizer, state, [9.0], compiled=compiled)

        # y = 3 * (0.1 * 7 / 3 * 1.5) where clipped.
        self.assertAllClose(to_step, 7 * 1.5)

    @parameterized.parameters(False, True)
    def test_is_the_upstream_in_float(self, compiled):
        quantizer = UniformQuantizer()
        state = _state(quantizer, FP, calibrated_bits=4)

        to_x, to_step = self._gradients(
            quantizer, state, _kernel(), compiled=compiled
        )

        self.assertAllEqual(to_x, np.ones(SHAPE))
        self.assertAllEqual(0.0 if to_step is None else to_step, 0.0)

    @parameterized.parameters(0.0, -0.5)
    def test_adaptive_grids_have_it_too(self, lowest):
        quantizer = UniformQuantizer("asymmetric")
        state = _state(quantizer, 4, 0.1, origin=lowest)

        to_x, to_step = self._gradients(
            quantizer, state, [0.42, 9.0], compiled=True
        )

        self.assertAllEqual(to_x, [1.0, 0.0])
        self.assertAllClose(to_step, -0.2 + 15 + lowest / 0.1, atol=1e-4)


class QuantizerTest(tf.test.TestCase, parameterized.TestCase):
    def test_build_adds_variables_named_after_the_tensor(self):
        host = _Host(UniformQuantizer(granularity="per_channel"))

        names = [variable.name.split(":")[0] for variable in host.weights]

        self.assertCountEqual(
            [name.rpartition("/")[2] for name in names],
            [
                "kernel_step_size",
                "kernel_bits",
                "kernel_calibrated_bits",
                "kernel_step_scale",
                "kernel_origin",
                "kernel_rounding_mode",
                "kernel_full_range",
            ],
        )
        self.assertEqual(tuple(host.state.step_size.shape), (1, 1, 1, 5))
        self.assertEqual(tuple(host.state.step_scale.shape), (1, 1, 1, 5))
        self.assertEqual(float(host.state.bits), FP)

    @parameterized.parameters(False, True)
    def test_only_the_step_size_can_be_trained(self, trainable):
        host = _Host(UniformQuantizer(trainable=trainable))

        self.assertLen(host.trainable_weights, int(trainable))
        self.assertLen(host.non_trainable_weights, 7 - trainable)

    def test_variables_stay_float32_in_a_half_precision_layer(self):
        class Half(keras.layers.Layer):
            def build(self, shape):
                self.quantizer = UniformQuantizer()
                self.state = self.quantizer.build(self, "input", shape)

            def call(self, inputs):
                return self.quantizer(inputs, self.state)

        layer = Half(dtype="mixed_bfloat16")

        y = layer(tf.constant([[0.26]]))
        layer.state.calibrated_bits.assign(8.0)
        layer.state.bits.assign(8.0)
        layer.state.step_size.assign(0.001953125)  # Not a float in bfloat16's
        y = layer(tf.constant([[9.0]]))  # reach once it is multiplied by 127.

        self.assertEqual(y.dtype, tf.bfloat16)
        self.assertAllEqual(
            tf.cast(y, tf.float32),
            tf.cast(tf.cast([[127 / 512]], tf.bfloat16), tf.float32),
        )

    @parameterized.named_parameters(
        ("default", {}),
        (
            "other",
            {
                "grid": "reference",
                "granularity": "per_channel",
                "trainable": True,
            },
        ),
    )
    def test_config_round_trip(self, options):
        quantizer = UniformQuantizer(**options)

        copies = [
            UniformQuantizer.from_config(quantizer.get_config()),
            keras.saving.deserialize_keras_object(
                keras.saving.serialize_keras_object(quantizer)
            ),
            quantizers.get("uniform".capitalize(), **options),
            quantizers.get("UniformQuantizer", **options),
        ]

        for copy in copies:
            self.assertEqual(copy, quantizer)
            self.assertEqual(hash(copy), hash(quantizer))
            self.assertEqual(repr(copy), repr(quantizer))
        self.assertNotEqual(quantizer, UniformQuantizer("full"))

    def test_an_unknown_name_lists_the_choices(self):
        with self.assertRaisesRegex(ValueError, "UniformQuantizer.*'PACT'"):
            quantizers.get("PACT")

    def test_bad_arguments_are_refused(self):
        with self.assertRaisesRegex(ValueError, "granularity.*'per_layer'"):
            UniformQuantizer(granularity="per_layer")
        with self.assertRaisesRegex(ValueError, "grid.*narrow.*'nine'"):
            UniformQuantizer("nine")

    def test_a_subclass_that_does_not_quantize_says_so(self):
        quantizer = Quantizer("narrow")

        with self.assertRaisesRegex(TypeError, "Override.*quantize"):
            quantizer(1.0, _state(quantizer, 4))

    def test_a_users_subclass_may_transform_first(self):
        class Halved(UniformQuantizer):
            def quantize(self, x, state):
                return super().quantize(x / 2, state)

        quantizer = Halved()

        self.assertAllClose(quantizer(1.0, _state(quantizer, 4, 0.1)), 0.5)
        self.assertAllClose(quantizer(1.0, _state(quantizer, FP, 0.1)), 0.5)


if __name__ == "__main__":
    tf.test.main()
