import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from kure_tf import data
from kure_tf.compat import keras
from kure_tf.evaluation import Evaluator


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
    rng = np.random.default_rng(1)
    return [
        (rng.normal(size=(n, 2)).astype(np.float32), rng.integers(3, size=n))
        for n in (5, 5, 2)
    ]


class EvaluatorTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(True, False)
    def test_accuracy_and_loss_are_means_over_images(self, from_logits):
        model = _model(activation=None if from_logits else "softmax")
        batches = _batches()

        found = Evaluator(batches, from_logits=from_logits)(model)

        x = np.concatenate([x for x, _ in batches]).astype(np.float64)
        labels = np.concatenate([labels for _, labels in batches])
        logits = x @ model.get_weights()[0]
        p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        loss = -np.log(p[np.arange(12), labels]).mean()
        self.assertEqual(found["images"], 12)
        self.assertAllClose(found["loss"], loss, rtol=1e-5)
        self.assertAllClose(
            found["accuracy"], np.mean(p.argmax(1) == labels), rtol=1e-9
        )

    def test_a_split_is_gone_through_whole_and_again(self):
        digits = data.digits()
        model = keras.Sequential(
            [
                keras.Input(digits.input_shape),
                keras.layers.Flatten(),
                keras.layers.Dense(10),
            ]
        )
        evaluate = Evaluator(digits.test, batch_size=100)
        first = evaluate(model)
        self.assertEqual(first["images"], digits.test.count)
        self.assertEqual(first, evaluate(model))
        self.assertEqual(evaluate.step.experimental_get_tracing_count(), 1)

    def test_another_model_is_compiled_anew(self):
        evaluate = Evaluator(_batches())
        first, second = _model(), _model(np.zeros((2, 3)))
        self.assertNotEqual(evaluate(first), evaluate(second))
        self.assertAllClose(evaluate(second)["loss"], np.log(3), rtol=1e-6)

    @parameterized.parameters(np.int32, np.uint8, np.int64)
    def test_labels_may_be_any_integers(self, dtype):
        for wrap in (tf.constant, np.asarray):
            batches = [(x, wrap(y.astype(dtype))) for x, y in _batches()]
            self.assertEqual(
                Evaluator(batches)(_model()), Evaluator(_batches())(_model())
            )

    @parameterized.parameters(-1, 3)
    def test_labels_outside_the_classes_are_refused(self, label):
        batches = [(np.ones((2, 2), np.float32), np.array([0, label]))]
        with self.assertRaisesRegex(
            ValueError, f"labels in 0..2.*Received.*{label}.*belong together"
        ):
            Evaluator(batches)(_model())

    def test_one_hot_labels_are_refused(self):
        batches = [(np.ones((2, 2), np.float32), np.eye(3)[:2])]
        with self.assertRaisesRegex(ValueError, r"\[2, 3\].*argmax"):
            Evaluator(batches)(_model())

    def test_no_images_are_refused(self):
        with self.assertRaisesRegex(ValueError, "images to evaluate"):
            Evaluator([])(_model())


if __name__ == "__main__":
    tf.test.main()
