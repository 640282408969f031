"""tensorflow-model-optimization and either Keras in one process."""

import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from absl.testing import parameterized

from kure_tf.fake_quantized import operating_point_of, set_operating_point
from kure_tf.qat import quantize_aware
from kure_tf.qat.tfmot import quantize_scope, quantize_with_tfmot

pytestmark = pytest.mark.one_keras


class CoexistenceTest(tf.test.TestCase, parameterized.TestCase):
    def test_tf_keras_models_are_trained_moved_and_saved(self):
        """Under Keras 3 too, where `tf.keras` is the other Keras."""
        random = np.random.default_rng(0)
        x = random.normal(size=(16, 6, 6, 2)).astype(np.float32)
        model = tf_keras.Sequential(
            [
                tf_keras.layers.Input((6, 6, 2)),
                tf_keras.layers.Conv2D(3, 3, activation="relu"),
                tf_keras.layers.Conv2D(3, 3),
                tf_keras.layers.Flatten(),
                tf_keras.layers.Dense(3),
            ]
        )
        quantized = quantize_aware(
            model, "lsq", 4, 4, calibration=[x], engine="tfmot", verbose=False
        )
        quantized.compile("sgd", "mse", run_eagerly=True)
        losses = [
            quantized.train_on_batch(x, np.ones((16, 3))) for _ in range(4)
        ]
        self.assertLess(losses[-1], losses[0])
        set_operating_point(quantized, "3/4")
        path = pathlib.Path(self.get_temp_dir()) / "model.keras"
        quantized.save(path)
        with quantize_scope():
            loaded = tf_keras.models.load_model(path)
        self.assertEqual(operating_point_of(loaded), (3, 4))
        self.assertAllClose(loaded(x), quantized(x), rtol=1e-5, atol=1e-6)

    def test_a_keras_3_model_is_refused_with_the_ways_out(self):
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        with self.assertRaisesRegex(
            TypeError, r'Keras 3.*to_tf_keras.*engine="native"'
        ):
            quantize_with_tfmot(model)

    @parameterized.named_parameters(("unset", None), ("tf_keras", "1"))
    def test_the_import_leaves_keras_and_its_variable_alone(self, value):
        environment = {**os.environ, "TF_USE_LEGACY_KERAS": value or ""}
        if value is None:
            del environment["TF_USE_LEGACY_KERAS"]
        probe = (
            "import os; import kure_tf.qat.tfmot; import tensorflow as tf; "
            "print(os.environ.get('TF_USE_LEGACY_KERAS'), "
            "tf.keras.Model.__module__.partition('.')[0])"
        )
        printed = subprocess.run(
            [sys.executable, "-c", probe],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        family = "tf_keras" if value == "1" else "keras"
        self.assertEqual(printed.split(), [str(value), family])


if __name__ == "__main__":
    tf.test.main()
