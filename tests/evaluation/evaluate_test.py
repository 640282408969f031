"""Values, standard errors and counts, against NumPy."""

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized
from scipy import special

from kure_tf import data, evaluation, fake_quantize_model, set_operating_point
from kure_tf.compat import keras
from kure_tf.evaluation import Evaluator, evaluate, metric, top_1
from kure_tf.fake_quantized import Placement

pytestmark = pytest.mark.one_keras

_RNG = np.random.default_rng(1)
_X = _RNG.normal(size=(12, 2)).astype(np.float32)
_Y = _RNG.integers(3, size=12)
_W = _RNG.uniform(0, 2, size=12).astype(np.float32)


def _model(weights=None, activation=None):
    model = keras.Sequential(
        [
            keras.Input((2,)),
            keras.layers.Dense(3, activation=activation, use_bias=False),
        ]
    )
    if weights is None:
        weights = np.random.default_rng(0).normal(size=(2, 3))
    model.set_weights([weights])
    return model


def _batches():
    return [(_X[i : i + 5], _Y[i : i + 5]) for i in (0, 5, 10)]


def _losses(model):
    logits = _X.astype(np.float64) @ model.get_weights()[0]
    return -special.log_softmax(logits, -1)[np.arange(12), _Y]


class EvaluateTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(None, "softmax")
    def test_accuracy_and_loss_are_means_over_examples(self, activation):
        model = _model(activation=activation)

        found = evaluate(model, _batches())

        losses = _losses(model)
        right = np.argmax(_X @ model.get_weights()[0], 1) == _Y
        self.assertEqual(list(found), ["accuracy", "loss"])
        self.assertEqual(found["accuracy"].value, np.mean(right))
        self.assertTrue(found["accuracy"].higher_is_better)
        self.assertAllClose(found["loss"].value, losses.mean(), rtol=1e-5)
        self.assertAllClose(
            found["loss"].standard_error, losses.std() / np.sqrt(12), rtol=1e-5
        )
        self.assertFalse(found["loss"].higher_is_better)
        self.assertEqual(found["loss"].examples, 12)

    @parameterized.parameters(0.0, 0.25, 0.5, 1.0)
    def test_the_error_of_a_share_is_the_binomial_one(self, share):
        wanted = np.arange(12) < 12 * share

        @metric("right", higher_is_better=True)
        def right(y, outputs):
            return wanted[: len(y)]

        found = evaluate(_model(), (_X, _Y), [right])["right"]
        self.assertEqual(found.value, share)
        self.assertAllClose(
            found.standard_error, np.sqrt(share * (1 - share) / 12), rtol=1e-12
        )

    def test_sample_weights_count_in_value_and_error(self):
        found = evaluate(_model(), (_X, _Y, _W), batch_size=5)
        losses, weights = _losses(_model()), _W.astype(np.float64)
        mean = np.average(losses, weights=weights)
        error = np.sqrt(np.sum(weights**2 * (losses - mean) ** 2))
        self.assertAllClose(found["loss"].value, mean, rtol=1e-5)
        self.assertAllClose(
            found["loss"].standard_error, error / weights.sum(), rtol=1e-5
        )

    def test_a_weight_of_two_is_the_example_twice(self):
        twice = np.r_[np.arange(12), np.arange(6)]
        weights = np.where(np.arange(12) < 6, 2.0, 1.0)
        self.assertAllClose(
            evaluate(_model(), (_X, _Y, weights))["loss"].value,
            evaluate(_model(), (_X[twice], _Y[twice]))["loss"].value,
            rtol=1e-6,
        )

    def test_metrics_of_the_users_own_see_labels_and_outputs(self):
        @metric("distance", higher_is_better=False)
        def distance(y, outputs):
            return np.abs(outputs - y).max(1)

        y = _RNG.normal(size=(12, 3))
        found = evaluate(
            _model(), (_X, y), [distance, evaluation.mean_absolute_error]
        )
        apart = np.abs(_X @ _model().get_weights()[0] - y)
        self.assertAllClose(found["distance"].value, apart.max(1).mean())
        self.assertAllClose(found["mean_absolute_error"].value, apart.mean())

    def test_several_outputs_come_as_a_list(self):
        inputs = keras.Input((2,))
        model = keras.Model(inputs, [inputs, keras.layers.ReLU()(inputs)])

        @metric("sum", higher_is_better=True)
        def total(y, outputs):
            return (outputs[0] + outputs[1]).sum(1) + y[1]

        found = evaluate(model, [(_X, [_Y, _W])], [total])["sum"].value
        expected = (_X + np.maximum(_X, 0)).sum(1) + _W
        self.assertAllClose(found, expected.mean())

    @parameterized.parameters(np.int32, np.uint8, np.int64)
    def test_labels_may_be_any_integers(self, dtype):
        for wrap in (tf.constant, np.asarray):
            batches = [(x, wrap(y.astype(dtype))) for x, y in _batches()]
            self.assertEqual(
                evaluate(_model(), batches), evaluate(_model(), _batches())
            )

    def test_class_numbers_are_evaluated_where_nothing_is_said(self):
        """Of other labels there is the loss of the model alone."""
        y = _RNG.normal(size=(12, 3))
        self.assertEqual(list(evaluate(_model(), (_X, y))), ["loss"])

    @parameterized.named_parameters(
        ("below", (_X, _Y - 1), "labels in 0..2.*-1.*belong together"),
        ("above", (_X, _Y + 1), "labels in 0..2.*3.*belong together"),
        ("one_hot", (_X, np.eye(3)[_Y]), r"\[12, 3\].*argmax"),
        ("none", [], "examples to evaluate. Received none"),
        ("no_labels", _X, "without labels"),
        ("no_weight", (_X, _Y, 0 * _W), "above 0.*zeros only"),
    )
    def test_what_cannot_be_evaluated_is_refused(self, source, message):
        with self.assertRaisesRegex(ValueError, message):
            evaluate(_model(), source)

    def test_a_metric_has_one_number_per_example(self):
        @metric("all", higher_is_better=True)
        def everything(y, outputs):
            return outputs

        with self.assertRaisesRegex(ValueError, r"'all'.*\[12\].*\[12, 3\]"):
            evaluate(_model(), (_X, _Y), [everything])


class EvaluatorTest(tf.test.TestCase):
    def test_a_split_is_gone_through_whole_and_again_without_a_trace(self):
        digits = data.digits()
        traces = []

        class Noting(keras.layers.Layer):
            def call(self, inputs):
                traces.append(1)  # Runs once per trace, not once per call.
                return inputs

        inputs = keras.Input(digits.input_shape)
        x = keras.layers.Dense(8, name="a")(keras.layers.Flatten()(inputs))
        outputs = keras.layers.Dense(10, name="b")(Noting()(x))
        model = fake_quantize_model(keras.Model(inputs, outputs), Placement())
        evaluate = Evaluator(digits.test, batch_size=100)
        traces.clear()
        found = []
        for point in ("FP/FP", "4/FP", "2/FP", "FP/FP"):
            set_operating_point(model, point)
            found.append(evaluate(model))
        self.assertEqual(found[0]["loss"].examples, digits.test.count)
        self.assertEqual(found[0], found[3])
        self.assertLen({one["loss"].value for one in found}, 3)
        self.assertLen(traces, 1)

    def test_another_model_is_compiled_anew(self):
        evaluate = Evaluator(_batches())
        first, second = _model(), _model(np.zeros((2, 3)))
        self.assertNotEqual(evaluate(first), evaluate(second))
        self.assertAllClose(evaluate(second)["loss"].value, np.log(3))

    def test_results_of_single_examples_stay_available(self):
        evaluate = Evaluator(_batches())
        found = evaluate(_model())
        self.assertAllClose(
            evaluate.per_example["loss"], _losses(_model()), rtol=1e-5
        )
        right = evaluate.per_example["accuracy"] == 1
        self.assertEqual(right.shape, (12,))
        self.assertEqual(np.mean(right), found["accuracy"].value)

    def test_it_says_which_loss_it_was(self):
        evaluate = Evaluator((_X, _Y))
        evaluate(_model(activation="softmax"))
        self.assertEqual(evaluate.loss_name, "cross_entropy of probabilities")
        evaluate = Evaluator((_X, _Y), [top_1])
        evaluate(_model())
        self.assertIsNone(evaluate.loss_name)

    def test_what_can_be_read_once_is_refused(self):
        with self.assertRaisesRegex(ValueError, "evaluate a model again"):
            Evaluator(batch for batch in _batches())


if __name__ == "__main__":
    tf.test.main()
