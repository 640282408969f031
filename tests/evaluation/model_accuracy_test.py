"""The accuracy of a model of two classes is that which it is compiled with."""

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from kure_tf import evaluate_robustness
from kure_tf.compat import keras
from kure_tf.evaluation import evaluate
from kure_tf.evaluation.model_accuracy import accuracy_of

_X = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)


def _model(activation="sigmoid", units=1):
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(units, activation)]
    )


def _labels(units=1):
    noise = np.random.default_rng(1).normal(size=(60, units))
    return (_X[:, :units] + noise > 0).astype(np.int64)


def _metric(threshold):
    return keras.metrics.BinaryAccuracy("right", threshold=threshold)


class ModelAccuracyTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.named_parameters(
        ("accuracy", "accuracy", "sigmoid", 1),
        ("short", "acc", "sigmoid", 1),
        ("by_name", "binary_accuracy", "sigmoid", 1),
        ("threshold", _metric(0.3), "sigmoid", 1),
        ("logits", _metric(0.0), None, 1),
        ("several_labels", _metric(0.5), "sigmoid", 3),
    )
    def test_it_is_what_keras_says(self, metric, activation, units):
        model, y = _model(activation, units), _labels(units)
        loss = keras.losses.BinaryCrossentropy(from_logits=activation is None)
        model.compile("sgd", loss, metrics=[metric])
        truth = model.evaluate(_X, y, verbose=0)[1]

        for labels in (y, y.astype(np.float32)):
            found = evaluate(model, (_X, labels))
            self.assertEqual(list(found), ["accuracy", "loss"])
            self.assertAllClose(found["accuracy"].value, truth)
            self.assertTrue(found["accuracy"].higher_is_better)

    @parameterized.named_parameters(
        ("no_metric", "binary_crossentropy", []),
        ("another_metric", "binary_crossentropy", ["mae"]),
        ("another_loss", "mse", ["accuracy"]),
    )
    def test_it_has_none(self, loss, metrics):
        model = _model()
        model.compile("sgd", loss, metrics=metrics)

        self.assertEqual(list(evaluate(model, (_X, _labels()))), ["loss"])

    def test_labels_between_have_the_loss_alone(self):
        model = _model()
        model.compile("sgd", "binary_crossentropy", metrics=["accuracy"])

        found = evaluate(model, (_X, 0.8 * _labels() + 0.1))

        self.assertEqual(list(found), ["loss"])

    def test_labels_of_another_shape_are_refused(self):
        """Of [60, 2] and [2, 60] are as many."""
        model = _model(units=2)
        model.compile("sgd", "binary_crossentropy", metrics=[_metric(0.5)])
        labels = _labels(2)
        accuracy = accuracy_of(model, labels)

        for wrong in (labels.T, labels[:, 0], labels.reshape(30, 4)):
            with self.assertRaisesRegex(ValueError, "shape of the outputs"):
                accuracy.checked(wrong, (60, 2))
        with self.assertRaisesRegex(ValueError, "0 and 1.*0.5"):
            accuracy.checked(0.5 * labels, (60, 2))

    def test_a_report_is_of_it(self):
        hidden = keras.layers.Dense(4, "relu")
        model = keras.Sequential([keras.Input((4,)), hidden, *_model().layers])
        model.compile("sgd", "binary_crossentropy", metrics=["accuracy"])
        y = _labels()[:, 0]
        truth = model.evaluate(_X, y, verbose=0, return_dict=True)

        report = evaluate_robustness(
            model, (_X, y), points="8/FP", placement="tflite", progress=False
        )

        (in_float, _) = report.runs[0].rows
        self.assertEqual(in_float.metric, "accuracy")
        self.assertAllClose(in_float.value, truth["accuracy"])
        self.assertAllClose(in_float.details["loss"], truth["loss"])


if __name__ == "__main__":
    tf.test.main()
