"""Which Keras is active, and models of the other one."""

import importlib

import tensorflow as tf
from absl.testing import parameterized
from graph_models import OTHER, OTHER_FLAG, Scaled
from import_probe import imported

from kure_tf import compat
from kure_tf.compat import keras


def _other_keras():
    """Returns the Keras that is not in use."""
    return importlib.import_module(OTHER)


class ActiveKerasTest(tf.test.TestCase, parameterized.TestCase):
    def test_it_is_what_tf_keras_resolves_to(self):
        self.assertIs(keras.layers.Dense, tf.keras.layers.Dense)
        self.assertEqual(compat.KERAS_NAME, keras.__name__)
        self.assertEqual(compat.KERAS_VERSION, keras.__version__)

    def test_the_variable_does_not_matter_later(self):
        """tensorflow-model-optimization changes it behind everybody's back."""
        self.assertEqual(
            imported(compat.KERAS_NAME)["keras"], [compat.KERAS_NAME] * 2
        )

    def test_keras_of_tells_the_two_apart(self):
        other = _other_keras()

        self.assertEqual(
            compat.keras_of(keras.layers.Dense(2)), compat.KERAS_NAME
        )
        self.assertEqual(compat.keras_of(Scaled()), compat.KERAS_NAME)
        self.assertEqual(compat.keras_of(other.layers.Dense(2)), OTHER)
        self.assertIsNone(compat.keras_of("dense"))

    def test_a_model_of_the_other_keras_is_refused_with_the_way_out(self):
        other = _other_keras()
        model = other.Sequential(
            [other.layers.InputLayer((3,)), other.layers.Dense(2)]
        )

        for check in (compat.check_active_keras, compat.check_graph_model):
            with self.assertRaisesRegex(
                TypeError,
                f"model of {compat.KERAS_NAME},.*model of {OTHER}:.*"
                f"TF_USE_LEGACY_KERAS={OTHER_FLAG}",
            ):
                check(model)

    def test_registered_classes_are_serializable(self):
        @compat.register_serializable("compat_test")
        class Registered(keras.layers.Layer):
            pass

        copy = keras.layers.deserialize(
            keras.layers.serialize(Registered(name="x"))
        )

        self.assertIsInstance(copy, Registered)


if __name__ == "__main__":
    tf.test.main()
