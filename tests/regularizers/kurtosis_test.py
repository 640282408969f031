import os
import subprocess
import sys

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from kure_tf import compat
from kure_tf.compat import keras
from kure_tf.regularizers import KurtosisRegularizer

# tf_keras forgets the package of a registered regularizer when it reads .h5.
SUFFIXES = ("keras", "h5") if compat.IS_KERAS_3 else ("keras",)

LOAD_AND_PRINT_LOSSES = """
import sys
import kure_tf  # All that a user has to do.
from kure_tf.compat import keras

model = keras.models.load_model(sys.argv[1])
print(*[float(loss) for loss in model.losses])
copy = keras.models.clone_model(model)
copy.set_weights(model.get_weights())
print(*[float(loss) for loss in copy.losses])
"""


def _kurtosis(x):
    x = np.asarray(x, np.float64)
    d = x - x.mean()
    return np.mean(d**4) / np.mean(d**2) ** 2


def _term(x, target=1.8):
    """Eq. 15 for one layer."""
    return (_kurtosis(x) - target) ** 2


def _kernel(shape, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, shape).astype(np.float32)


def _gradient(regularizer, x):
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = regularizer(x)
    return tape.gradient(y, x).numpy()


class KurtosisRegularizerTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.product(target=(1.8, 3.0), coefficient=(0.0, 0.05, 1.0, 7.0))
    def test_per_tensor_is_equation_15(self, target, coefficient):
        x = _kernel((3, 3, 4, 5))

        term = KurtosisRegularizer(target, coefficient)(x)

        self.assertEqual(term.shape, ())
        self.assertAllClose(term, coefficient * _term(x, target), rtol=1e-5)

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
        x = _kernel((3, 3, 4, 5))

        term = KurtosisRegularizer(
            1.8, 2.0, granularity="per_channel", channel_axes=axes
        )(x)

        expected = 2.0 * np.mean([_term(x[channel]) for channel in channels])
        self.assertAllClose(term, expected, rtol=1e-5)

    def test_target_met_is_zero(self):
        x = np.linspace(-1, 1, 100_001)

        self.assertAllClose(KurtosisRegularizer(1.8)(x), 0.0, atol=1e-8)

    def test_scaling_channels_changes_only_the_term_per_tensor(self):
        """What folding a batch normalization does to a kernel."""
        x = _kernel((3, 3, 4, 50))
        gains = np.exp(np.random.default_rng(1).normal(0, 0.5, 50))
        per_tensor = KurtosisRegularizer()
        per_channel = KurtosisRegularizer(granularity="per_channel")

        self.assertAllClose(per_channel(x * gains), per_channel(x), rtol=1e-4)
        self.assertGreater(float(per_tensor(x * gains)), 5 * _term(x))

    def _with_a_near_dead_channel(self):
        x = _kernel((3, 3, 4, 6))
        x[..., 2] *= 0.01
        return x

    def test_near_dead_channel_is_left_out(self):
        x = self._with_a_near_dead_channel()

        term = KurtosisRegularizer(granularity="per_channel")(x)

        alive = [_term(x[..., c]) for c in (0, 1, 3, 4, 5)]
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
        x = _kernel((3, 3, 4, 5))
        x[0, 0, 0, 0] = np.nan

        term = KurtosisRegularizer(granularity=granularity)(x)

        self.assertTrue(np.isnan(term))

    @parameterized.product(
        dtype=(tf.float16, tf.bfloat16),
        granularity=("per_tensor", "per_channel"),
    )
    def test_half_precision_is_computed_in_float32(self, dtype, granularity):
        # Fourth powers of 100 are beyond float16.
        x = tf.cast(_kernel((3, 3, 20, 5)) * 1000, dtype)
        regularizer = KurtosisRegularizer(granularity=granularity)

        term = regularizer(x)

        self.assertEqual(term.dtype, tf.float32)
        self.assertAllClose(term, regularizer(tf.cast(x, tf.float32)))

    @parameterized.product(granularity=("per_tensor", "per_channel"))
    def test_descent_reaches_the_target(self, granularity):
        regularizer = KurtosisRegularizer(granularity=granularity)
        x = tf.Variable(_kernel((500, 3)))

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
        with self.assertRaisesRegex(ValueError, message):
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


def _other_options():
    return KurtosisRegularizer(
        2.0,
        0.25,
        granularity="per_channel",
        channel_axes=(-2, -1),
        min_channel_std=0.2,
    )


def _every_slot():
    """A model with KURE on each kind of weight, in the order of its losses."""
    layers, kure = keras.layers, KurtosisRegularizer
    inputs = keras.Input((6, 6, 2))
    x = layers.Conv2D(3, 3, kernel_regularizer=kure(1.8, 0.1))(inputs)
    x = layers.DepthwiseConv2D(2, depthwise_regularizer=_other_options())(x)
    x = layers.SeparableConv2D(
        4,
        2,
        depthwise_regularizer=kure(1.8, 0.2),
        pointwise_regularizer=kure(1.8, 0.3),
    )(x)
    x = layers.Reshape((4, 4))(x)
    x = layers.LSTM(5, recurrent_regularizer=kure(1.8, 0.4))(x)
    words = keras.Input((3,), dtype="int32")
    y = layers.Embedding(7, 5, embeddings_regularizer=kure(1.8, 0.5))(words)
    y = layers.GlobalAveragePooling1D()(y)
    return keras.Model([inputs, words], layers.Add()([x, y]))


def _expected_losses(model):
    conv, depthwise, separable, lstm, embedding = (
        next(layer for layer in model.layers if type(layer) is kind)
        for kind in (
            keras.layers.Conv2D,
            keras.layers.DepthwiseConv2D,
            keras.layers.SeparableConv2D,
            keras.layers.LSTM,
            keras.layers.Embedding,
        )
    )
    in_depth = compat.kernels_of(depthwise)[0].attribute
    in_depth = np.array(getattr(depthwise, in_depth))
    channels = in_depth.reshape(4, -1).T
    return [
        0.1 * _term(np.array(conv.kernel)),
        0.25 * np.mean([_term(channel, 2.0) for channel in channels]),
        0.2 * _term(np.array(separable.depthwise_kernel)),
        0.3 * _term(np.array(separable.pointwise_kernel)),
        0.4 * _term(np.array(lstm.cell.recurrent_kernel)),
        0.5 * _term(np.array(embedding.embeddings)),
    ]


class KurtosisRegularizerInKerasTest(tf.test.TestCase, parameterized.TestCase):
    def test_config_round_trip(self):
        regularizer = _other_options()

        copy = KurtosisRegularizer.from_config(regularizer.get_config())

        self.assertEqual(copy.get_config(), regularizer.get_config())
        x = _kernel((3, 3, 4, 5))
        self.assertAllEqual(copy(x), regularizer(x))

    def test_it_is_a_regularizer_of_the_active_keras(self):
        self.assertIsInstance(
            KurtosisRegularizer(), keras.regularizers.Regularizer
        )

    def test_keras_serializes_and_finds_it(self):
        regularizer = _other_options()

        serial = keras.regularizers.serialize(regularizer)

        for read in (
            keras.regularizers.deserialize,
            keras.regularizers.get,
        ):
            copy = read(serial)
            self.assertIsInstance(copy, KurtosisRegularizer)
            self.assertEqual(copy.get_config(), regularizer.get_config())

    def test_every_weight_slot_adds_its_term(self):
        model = _every_slot()

        losses = sorted(float(loss) for loss in model.losses)

        self.assertAllClose(losses, sorted(_expected_losses(model)), rtol=1e-4)

    def test_clone_keeps_every_term(self):
        model = _every_slot()

        copy = keras.models.clone_model(model)
        copy.set_weights(model.get_weights())

        self.assertAllClose(
            [float(loss) for loss in copy.losses],
            [float(loss) for loss in model.losses],
        )

    @parameterized.product(suffix=SUFFIXES)
    def test_models_with_it_are_saved_and_loaded(self, suffix):
        model = _every_slot()
        path = os.path.join(self.get_temp_dir(), f"model.{suffix}")

        model.save(path)
        loaded = keras.models.load_model(path)

        self.assertAllClose(
            sorted(float(loss) for loss in loaded.losses),
            sorted(float(loss) for loss in model.losses),
        )

    def test_a_fresh_process_loads_it_without_custom_objects(self):
        model = _every_slot()
        path = os.path.join(self.get_temp_dir(), "model.keras")
        model.save(path)

        result = subprocess.run(
            [sys.executable, "-c", LOAD_AND_PRINT_LOSSES, path],
            env={
                **os.environ,
                "TF_USE_LEGACY_KERAS": "0" if compat.IS_KERAS_3 else "1",
            },
            capture_output=True,
            text=True,
            check=False,
        )

        self.assertEqual(result.returncode, 0, result.stderr)
        loaded, cloned = (
            [float(text) for text in line.split()]
            for line in result.stdout.strip().splitlines()[-2:]
        )
        losses = [float(loss) for loss in model.losses]
        self.assertAllClose(sorted(loaded), sorted(losses), rtol=1e-5)
        self.assertAllClose(cloned, loaded)

    @parameterized.parameters("float32", "mixed_bfloat16", "mixed_float16")
    def test_training_moves_the_kurtosis_under_every_policy(self, policy):
        layer = keras.layers.Dense(
            50,
            kernel_regularizer=KurtosisRegularizer(1.8, 1.0),
            kernel_initializer=keras.initializers.RandomNormal(seed=0),
            dtype=policy,
        )
        model = keras.Sequential([keras.Input((20,)), layer])
        before = _kurtosis(layer.kernel)
        optimizer = keras.optimizers.SGD(0.05)
        model.compile(optimizer, loss=lambda y, p: tf.reduce_mean(p) * 0.0)
        x = np.ones((30, 20), np.float32)

        model.fit(x, np.zeros(30), batch_size=1, verbose=0)

        after = _kurtosis(layer.kernel)
        self.assertLess(abs(after - 1.8), 0.5 * abs(before - 1.8))

    def test_changing_the_weights_does_not_retrace(self):
        regularizer = KurtosisRegularizer(granularity="per_channel")
        kernel = tf.Variable(_kernel((3, 3, 4, 5)))
        traces = []

        @tf.function
        def term():
            traces.append(1)
            return regularizer(kernel)

        term()
        kernel.assign(_kernel((3, 3, 4, 5), seed=1))

        self.assertAllClose(term(), regularizer(kernel))
        self.assertLen(traces, 1)


if __name__ == "__main__":
    tf.test.main()
