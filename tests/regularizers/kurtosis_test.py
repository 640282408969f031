"""The kurtosis regularizer against Eq. 15."""

import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from kurtosis_truth import make_kernel, term_of

from kure_tf.regularizers import KurtosisRegularizer


def _gradient(regularizer, x):
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = regularizer(x)
    return tape.gradient(y, x).numpy()


class KurtosisRegularizerTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.product(target=(1.8, 3.0), coefficient=(0.0, 0.05, 1.0, 7.0))
    def test_per_tensor_is_equation_15(self, target, coefficient):
        x = make_kernel((3, 3, 4, 5))

        term = KurtosisRegularizer(target, coefficient)(x)

        self.assertEqual(term.shape, ())
        self.assertAllClose(term, coefficient * term_of(x, target), rtol=1e-5)

    @parameterized.named_parameters(
        ("conv", (-1,), [(..., c) for c in range(5)]),
        ("one_axis_as_a_number", -1, [(..., c) for c in range(5)]),
        ("counted_from_the_start", (3,), [(..., c) for c in range(5)]),
        (
            "depthwise",
            (-2, -1),
            [(..., c, m) for c in range(4) for m in range(5)],
        ),
        (
            "transposed",
            (-2,),
            [(slice(None), slice(None), c) for c in range(4)],
        ),
    )
    def test_per_channel_is_the_mean_over_output_channels(self, axes, channels):
        x = make_kernel((3, 3, 4, 5))

        term = KurtosisRegularizer(
            1.8, 2.0, granularity="per_channel", channel_axes=axes
        )(x)

        expected = 2.0 * np.mean([term_of(x[channel]) for channel in channels])
        self.assertAllClose(term, expected, rtol=1e-5)

    def test_target_met_is_zero(self):
        x = np.linspace(-1, 1, 100_001)

        self.assertAllClose(KurtosisRegularizer(1.8)(x), 0.0, atol=1e-8)

    def test_scaling_channels_changes_only_the_term_per_tensor(self):
        """What folding a batch normalization does to a kernel."""
        x = make_kernel((3, 3, 4, 50))
        gains = np.exp(np.random.default_rng(1).normal(0, 0.5, 50))
        per_tensor = KurtosisRegularizer()
        per_channel = KurtosisRegularizer(granularity="per_channel")

        self.assertAllClose(per_channel(x * gains), per_channel(x), rtol=1e-4)
        self.assertGreater(float(per_tensor(x * gains)), 5 * term_of(x))

    def _with_a_near_dead_channel(self):
        x = make_kernel((3, 3, 4, 6))
        x[..., 2] *= 0.01
        return x

    def test_near_dead_channel_is_left_out(self):
        x = self._with_a_near_dead_channel()

        term = KurtosisRegularizer(granularity="per_channel")(x)

        alive = [term_of(x[..., c]) for c in (0, 1, 3, 4, 5)]
        self.assertAllClose(term, np.mean(alive), rtol=1e-5)

    def test_near_dead_channel_explodes_only_without_the_guard(self):
        x = self._with_a_near_dead_channel()

        def largest(min_channel_std):
            gradient = _gradient(
                KurtosisRegularizer(
                    granularity="per_channel", min_channel_std=min_channel_std
                ),
                x,
            )
            return np.abs(gradient).max(axis=(0, 1, 2))

        guarded, unguarded = largest(0.1), largest(0.0)
        self.assertEqual(guarded[2], 0.0)
        # The gradient grows as 1 / (n std): here by 100.
        self.assertGreater(unguarded[2], 20 * np.delete(unguarded, 2).max())
        self.assertAllClose(
            np.delete(guarded, 2), np.delete(unguarded, 2) * 6 / 5, rtol=1e-4
        )

    def test_guard_holds_a_descent_that_would_diverge(self):
        """Plain gradient descent at a rate that suits living channels."""
        results = {}
        for min_channel_std in (0.0, 0.1):
            regularizer = KurtosisRegularizer(
                granularity="per_channel", min_channel_std=min_channel_std
            )
            x = self._with_a_near_dead_channel()
            for _ in range(20):
                x = x - 0.005 * _gradient(regularizer, x)
            results[min_channel_std] = np.abs(x[..., 2]).max()
        self.assertLess(results[0.1], 0.01)
        self.assertGreater(results[0.0], 0.02)

    @parameterized.product(
        granularity=("per_tensor", "per_channel"), value=(0.0, 0.1)
    )
    def test_constant_kernel_is_finite_with_zero_gradient(
        self, granularity, value
    ):
        x = np.full((3, 3, 4, 5), value, np.float32)
        regularizer = KurtosisRegularizer(granularity=granularity)

        self.assertAllClose(regularizer(x), 1.8**2)
        self.assertAllEqual(_gradient(regularizer, x), np.zeros_like(x))

    @parameterized.product(granularity=("per_tensor", "per_channel"))
    def test_nan_is_not_hidden(self, granularity):
        x = make_kernel((3, 3, 4, 5))
        x[0, 0, 0, 0] = np.nan

        term = KurtosisRegularizer(granularity=granularity)(x)

        self.assertTrue(np.isnan(term))

    @parameterized.product(
        dtype=(tf.float16, tf.bfloat16),
        granularity=("per_tensor", "per_channel"),
    )
    def test_half_precision_is_computed_in_float32(self, dtype, granularity):
        # Fourth powers of 100 are beyond float16.
        x = tf.cast(make_kernel((3, 3, 20, 5)) * 1000, dtype)
        regularizer = KurtosisRegularizer(granularity=granularity)

        term = regularizer(x)

        self.assertEqual(term.dtype, tf.float32)
        self.assertAllClose(term, regularizer(tf.cast(x, tf.float32)))

    @parameterized.product(granularity=("per_tensor", "per_channel"))
    def test_descent_reaches_the_target(self, granularity):
        regularizer = KurtosisRegularizer(granularity=granularity)
        x = tf.Variable(make_kernel((500, 3)))

        @tf.function
        def descend():
            for _ in tf.range(300):
                with tf.GradientTape() as tape:
                    term = regularizer(x)
                x.assign_sub(0.05 * tape.gradient(term, x))

        descend()

        self.assertLess(regularizer(x), 0.01)

    @parameterized.named_parameters(
        ("target_below_1", {"target": 0.9}, "at least 1.*0.9"),
        ("target_nan", {"target": np.nan}, "at least 1"),
        ("target_infinite", {"target": np.inf}, "at least 1"),
        ("target_text", {"target": "1.8"}, "at least 1.*'1.8'"),
        ("coefficient_negative", {"coefficient": -1.0}, "not negative"),
        ("coefficient_nan", {"coefficient": np.nan}, "not negative"),
        ("coefficient_infinite", {"coefficient": np.inf}, "not negative"),
        ("coefficient_text", {"coefficient": "a lot"}, "not negative"),
        ("granularity", {"granularity": "per_layer"}, "per_tensor.*per_layer"),
        ("std_negative", {"min_channel_std": -0.1}, "min_channel_std"),
        ("std_1", {"min_channel_std": 1.0}, "min_channel_std"),
        ("std_none", {"min_channel_std": None}, "min_channel_std"),
        ("axes_none", {"channel_axes": None}, "channel_axes"),
        ("axes_text", {"channel_axes": "last"}, "channel_axes"),
    )
    def test_bad_arguments_are_refused(self, arguments, message):
        with self.assertRaisesRegex((TypeError, ValueError), message):
            KurtosisRegularizer(**arguments)

    def test_axes_that_the_weight_lacks_are_refused(self):
        regularizer = KurtosisRegularizer(
            granularity="per_channel", channel_axes=(-2, -1)
        )

        with self.assertRaisesRegex(ValueError, "channel_axes.*1 axes"):
            regularizer(tf.zeros([4]))

    def test_integers_are_refused(self):
        for granularity in ("per_tensor", "per_channel"):
            with self.assertRaisesRegex(TypeError, "floating-point"):
                KurtosisRegularizer(granularity=granularity)(
                    tf.constant([[1, 2]])
                )


if __name__ == "__main__":
    tf.test.main()
