"""Recurrent layers, and other loops, through TFLite's converter."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized
from litert_files import at_point, run

from kure_tf.compat import keras
from kure_tf.export import export_exact, to_tflite

layers = keras.layers
_SEQUENCES = np.random.default_rng(0).normal(size=(32, 5, 3))
_SEQUENCES = _SEQUENCES.astype(np.float32)


@keras.utils.register_keras_serializable("export_recurrent_test")
class _Own(layers.SimpleRNNCell):
    """Another class than those that Keras has."""


def _model(recurrent):
    keras.utils.set_random_seed(0)
    inputs = keras.Input(_SEQUENCES.shape[1:])
    x = recurrent(layers.Dense(4, activation="relu")(inputs))
    return keras.Model(inputs, layers.Dense(2)(x))


def _counted_down(x):
    """Returns 16 x by a loop whose length TensorFlow does not know."""
    return tf.while_loop(
        lambda y, n: n < 4, lambda y, n: (2 * y, n + 1), [x, 0]
    )[0]


class RecurrentTest(tf.test.TestCase, parameterized.TestCase):
    def _check(self, content, model, tolerance):
        expected = model(_SEQUENCES).numpy()
        found = np.concatenate(
            [run(content, [one[np.newaxis]]) for one in _SEQUENCES]
        )
        spread = expected.max() - expected.min()
        self.assertAllClose(found, expected, atol=tolerance * spread)

    @parameterized.product(
        mode=("float", "dynamic_range", "weight_only"), batch_size=(None, 1)
    )
    def test_files_answer_as_the_model(self, mode, batch_size):
        model = _model(layers.Bidirectional(layers.LSTM(3)))
        model = at_point(model, _SEQUENCES, "8/FP", "tflite")
        file = to_tflite(model, mode=mode, batch_size=batch_size)
        self._check(file.content, model, 0.03)

    @parameterized.named_parameters(
        ("gru", lambda: layers.GRU(4)),
        ("own_cell", lambda: layers.RNN(_Own(4))),
    )
    def test_integers_of_the_converter_do_not_end_the_process(self, make):
        model = _model(make())
        file = to_tflite(model, _SEQUENCES, mode="converter_int8", batch_size=1)
        self.assertEqual(file.details["input"]["dtype"], "int8")

    @pytest.mark.one_keras
    def test_a_model_of_floats_alone_has_no_codes_to_compare(self):
        model = at_point(_model(layers.GRU(4)), _SEQUENCES, "4/FP", "tflite")
        found = export_exact(
            model,
            pathlib.Path(self.get_temp_dir()) / "floats.tflite",
            [_SEQUENCES],
            [(_SEQUENCES, np.arange(32) % 2)],
            allow_float=True,
            progress=False,
        )
        self.assertEqual((found.codes, found.differing_codes), (0, 0))

    @pytest.mark.one_keras
    def test_other_loops_are_refused(self):
        loop = layers.Lambda(_counted_down, output_shape=(5, 4))
        with self.assertRaisesRegex(
            ValueError, "^Expected a model without loops.*Unroll"
        ):
            to_tflite(
                _model(loop), _SEQUENCES, mode="converter_int8", batch_size=1
            )


if __name__ == "__main__":
    tf.test.main()
