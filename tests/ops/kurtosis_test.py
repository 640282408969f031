import numpy as np
import scipy.stats
import tensorflow as tf
from absl.testing import parameterized

from kure_tf.ops import kurtosis

AXES = (
    ("all", None),
    ("first", 0),
    ("middle", 1),
    ("last", -1),
    ("two", (0, 2)),
    ("two_negative", (-3, -2)),
    ("every_axis", (0, 1, 2)),
)


def _sample(shape=(7, 5, 6), seed=0):
    return np.random.default_rng(seed).normal(0.3, 2.0, shape)


def _scipy(x, axis=None):
    return scipy.stats.kurtosis(
        np.asarray(x, np.float64), axis, fisher=False, nan_policy="propagate"
    )


def _textbook(x, axis=None):
    """Eq. 13 as it is written, for TensorFlow to differentiate."""
    mean = tf.reduce_mean(x, axis, keepdims=True)
    variance = tf.reduce_mean(tf.square(x - mean), axis, keepdims=True)
    return tf.reduce_mean(((x - mean) / tf.sqrt(variance)) ** 4, axis)


def _gradient(function, x, upstream=None):
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = function(x)
    return tape.gradient(y, x, upstream).numpy()


def _finite_differences(x, axis, upstream):
    gradient = np.empty_like(x)
    for index in np.ndindex(x.shape):
        ends = []
        for shift in (1e-5, -1e-5):
            moved = x.copy()
            moved[index] += shift
            ends.append(np.sum(upstream * _scipy(moved, axis)))
        gradient[index] = (ends[0] - ends[1]) / 2e-5
    return gradient


class KurtosisTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.named_parameters(*AXES)
    def test_float64_equals_scipy(self, axis):
        x = _sample()

        result = kurtosis(x, axis)

        self.assertEqual(result.dtype, tf.float64)
        self.assertAllClose(result, _scipy(x, axis), rtol=1e-12, atol=0)

    @parameterized.named_parameters(*AXES)
    def test_float32_equals_scipy_to_six_digits(self, axis):
        x = _sample().astype(np.float32)

        result = kurtosis(x, axis)

        self.assertEqual(result.dtype, tf.float32)
        self.assertAllClose(result, _scipy(x, axis), rtol=2e-6, atol=0)

    @parameterized.named_parameters(
        ("uniform", np.linspace(-3.0, 7.0, 10_001), 1.8),
        ("two_points", np.array([-1.0, 1.0, -1.0, 1.0]), 1.0),
        ("one_in_four", np.array([0.0, 0.0, 0.0, 1.0]), 7.0 / 3.0),
    )
    def test_closed_forms(self, x, expected):
        self.assertAllClose(kurtosis(x), expected, rtol=1e-6)

    @parameterized.named_parameters(
        ("normal", "normal", 3.0), ("laplace", "laplace", 6.0)
    )
    def test_known_distributions(self, name, expected):
        x = getattr(np.random.default_rng(0), name)(size=1_000_000)

        self.assertAllClose(kurtosis(x), expected, rtol=0.02)

    @parameterized.named_parameters(("all", None), ("rows", 0))
    def test_float32_keeps_its_digits_over_a_million_values(self, axis):
        """Summing one by one would lose half of them."""
        x = _sample((1_000_000, 2)).astype(np.float32)

        self.assertAllClose(
            kurtosis(x, axis), _scipy(x, axis), rtol=5e-6, atol=0
        )

    @parameterized.named_parameters(
        ("tiny", 2e-8), ("small", 1e-4), ("large", 1e4), ("huge", 1e8)
    )
    def test_scale_makes_no_difference(self, scale):
        x = _sample((4000,)).astype(np.float32)
        x = (x - x.mean()).astype(np.float32)

        self.assertAllClose(
            kurtosis(x * np.float32(scale)), _scipy(x), rtol=1e-5
        )

    def test_float64_works_far_beyond_float32(self):
        x = _sample((500,))

        for scale in (1e-60, 1e60):
            self.assertAllClose(kurtosis(x * scale), _scipy(x), rtol=1e-10)

    @parameterized.named_parameters(("up", 100.0), ("down", -1000.0))
    def test_shift_makes_no_difference(self, shift):
        x = _sample((4000,))

        self.assertAllClose(kurtosis(x + shift), _scipy(x), rtol=1e-9)
        shifted = (x + shift).astype(np.float32)
        self.assertAllClose(kurtosis(shifted), _scipy(shifted), rtol=1e-4)

    @parameterized.product(
        dtype=(np.float32, np.float64),
        size=(1, 2, 7, 1001, 100_003),
        value=(0.0, 0.1, -7.7, 1e-30, 1e8),
    )
    def test_constant_is_zero_with_zero_gradient(self, dtype, size, value):
        x = np.full(size, value, dtype)

        for axis in (None, 0):
            self.assertAllEqual(kurtosis(x, axis), 0.0)
            gradient = _gradient(lambda x, axis=axis: kurtosis(x, axis), x)
            self.assertAllEqual(gradient, np.zeros(size))

    @parameterized.product(scale=(1e12, 1e19, 1e30), axis=(None, 0))
    def test_overflow_is_not_taken_for_a_constant(self, scale, axis):
        x = (_sample((4096,)) * scale).astype(np.float32)

        self.assertFalse(np.isfinite(kurtosis(x, axis)))
        gradient = _gradient(lambda x: kurtosis(x, axis), x)
        self.assertAllEqual(np.isnan(gradient), np.full(4096, True))

    @parameterized.parameters(None, 0)
    def test_a_large_constant_is_zero_although_its_rounding_overflows(
        self, axis
    ):
        """Deviations of 1e13, their fourth power 1e52, beside 1e20."""
        x = np.full(4096, 1e20, np.float32)
        x[::2] = np.nextafter(x[0], np.float32(np.inf))

        self.assertAllEqual(kurtosis(x, axis), 0.0)
        gradient = _gradient(lambda x: kurtosis(x, axis), x)
        self.assertAllEqual(gradient, np.zeros(4096))

    def test_constant_channel_does_not_disturb_its_neighbours(self):
        x = _sample((50, 3)).astype(np.float32)
        x[:, 1] = 0.1
        x = tf.constant(x)

        result = kurtosis(x, 0)

        self.assertAllClose(result[0], _scipy(x[:, 0]), rtol=1e-5)
        self.assertEqual(result[1], 0.0)
        gradient = _gradient(lambda x: kurtosis(x, 0), x)
        self.assertAllEqual(gradient[:, 1], np.zeros(50))
        self.assertGreater(np.abs(gradient[:, 2]).min(), 0.0)

    def test_empty_shapes(self):
        self.assertAllEqual(np.isnan(kurtosis(tf.zeros([0]))), True)
        self.assertAllEqual(np.isnan(kurtosis(tf.zeros([0, 3]), 0)), [True] * 3)
        self.assertEqual(kurtosis(tf.zeros([3, 0]), 0).shape, (0,))

    def test_no_axis_makes_every_element_a_sample(self):
        self.assertAllEqual(kurtosis(tf.ones([1, 3]), ()), np.zeros([1, 3]))

    def test_scalar_is_a_constant(self):
        self.assertAllEqual(kurtosis(3.0), 0.0)

    @parameterized.named_parameters(("nan", np.nan), ("infinity", np.inf))
    def test_not_finite_gives_nan(self, value):
        x = _sample((50, 3))
        x[4, 1] = value

        self.assertTrue(np.isnan(kurtosis(x)))
        self.assertAllEqual(np.isnan(kurtosis(x, 0)), [False, True, False])

    @parameterized.named_parameters(
        ("float16", tf.float16), ("bfloat16", tf.bfloat16)
    )
    def test_half_precision_is_computed_in_float32(self, dtype):
        # Fourth powers of 100 are beyond float16.
        x = tf.cast(_sample((3000,)) * 100, dtype)

        result = kurtosis(x)

        self.assertEqual(result.dtype, tf.float32)
        wide = tf.cast(x, tf.float64).numpy()
        self.assertAllClose(result, _scipy(wide), rtol=1e-5)

    def test_integers_are_refused(self):
        with self.assertRaisesRegex(TypeError, "floating-point.*int32.*Cast"):
            kurtosis(tf.constant([1, 2, 3]))

    @parameterized.named_parameters(
        ("too_large", 2), ("too_small", -3), ("twice", (0, -2))
    )
    def test_axis_that_is_not_there_is_refused(self, axis):
        with self.assertRaisesRegex(ValueError, "axis"):
            kurtosis(tf.ones([2, 3]), axis)


class KurtosisGradientTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.named_parameters(*AXES)
    def test_equals_finite_differences(self, axis):
        x = _sample((3, 4, 5), seed=1)
        upstream = np.random.default_rng(2).normal(size=_scipy(x, axis).shape)

        gradient = _gradient(
            lambda x: kurtosis(x, axis), x, tf.constant(upstream)
        )

        self.assertAllClose(
            gradient, _finite_differences(x, axis, upstream), atol=1e-7
        )

    @parameterized.named_parameters(*AXES)
    def test_equals_autodiff_of_the_textbook_formula(self, axis):
        x = _sample(seed=3)

        self.assertAllClose(
            _gradient(lambda x: kurtosis(x, axis), x),
            _gradient(lambda x: _textbook(x, axis), x),
            rtol=1e-9,
            atol=1e-12,
        )

    @parameterized.product(axis=(None, 0, (1, 2)), jit_compile=(False, True))
    def test_is_the_same_inside_a_function(self, axis, jit_compile):
        x = _sample(seed=4).astype(np.float32)

        @tf.function(jit_compile=jit_compile)
        def compiled(x):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = tf.reduce_sum(kurtosis(x, axis))
            return y, tape.gradient(y, x)

        value, gradient = compiled(tf.constant(x))

        self.assertAllClose(value, np.sum(_scipy(x, axis)), rtol=1e-5)
        self.assertAllClose(
            gradient, _gradient(lambda x: _textbook(x, axis), x), atol=1e-5
        )

    def test_unknown_sizes_work_inside_a_function(self):
        x = _sample().astype(np.float32)
        signature = [tf.TensorSpec([None, None, None], tf.float32)]
        compiled = tf.function(
            lambda x: kurtosis(x, (0, 1)), input_signature=signature
        )

        self.assertAllClose(compiled(x), _scipy(x, (0, 1)), rtol=1e-5)

    def test_half_precision_gets_a_gradient_of_its_own_dtype(self):
        x = tf.cast(_sample((200,)), tf.bfloat16)

        gradient = _gradient(kurtosis, x)

        self.assertEqual(gradient.dtype, tf.bfloat16.as_numpy_dtype)
        wide = _gradient(_textbook, tf.cast(x, tf.float32))
        self.assertAllClose(
            gradient.astype(np.float32), wide, rtol=0.01, atol=1e-5
        )


if __name__ == "__main__":
    tf.test.main()
