"""The kurtosis regularizer in models of Keras."""

import os
import subprocess
import sys

import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from kurtosis_truth import kurtosis_of, make_kernel, term_of

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
        0.1 * term_of(np.array(conv.kernel)),
        0.25 * np.mean([term_of(channel, 2.0) for channel in channels]),
        0.2 * term_of(np.array(separable.depthwise_kernel)),
        0.3 * term_of(np.array(separable.pointwise_kernel)),
        0.4 * term_of(np.array(lstm.cell.recurrent_kernel)),
        0.5 * term_of(np.array(embedding.embeddings)),
    ]


class KurtosisRegularizerInKerasTest(tf.test.TestCase, parameterized.TestCase):
    def test_config_round_trip(self):
        regularizer = _other_options()

        copy = KurtosisRegularizer.from_config(regularizer.get_config())

        self.assertEqual(copy.get_config(), regularizer.get_config())
        x = make_kernel((3, 3, 4, 5))
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
        before = kurtosis_of(layer.kernel)
        optimizer = keras.optimizers.SGD(0.05)
        model.compile(optimizer, loss=lambda y, p: tf.reduce_mean(p) * 0.0)
        x = np.ones((30, 20), np.float32)

        model.fit(x, np.zeros(30), batch_size=1, verbose=0)

        after = kurtosis_of(layer.kernel)
        self.assertLess(abs(after - 1.8), 0.5 * abs(before - 1.8))

    def test_changing_the_weights_does_not_retrace(self):
        regularizer = KurtosisRegularizer(granularity="per_channel")
        kernel = tf.Variable(make_kernel((3, 3, 4, 5)))
        traces = []

        @tf.function
        def term():
            traces.append(1)
            return regularizer(kernel)

        term()
        kernel.assign(make_kernel((3, 3, 4, 5), seed=1))

        self.assertAllClose(term(), regularizer(kernel))
        self.assertLen(traces, 1)


if __name__ == "__main__":
    tf.test.main()
