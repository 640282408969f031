import dataclasses
import os

import numpy as np
import pytest
import scipy.special
import tensorflow as tf
from absl.testing import parameterized
from fit_case import Killer, make_dataset

from kure_tf import compat, qat
from kure_tf.compat import keras
from kure_tf.training import DistillationModel, Recipe, fit

_RATE = 0.1
_CROSS_ENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def _linear(seed, classes=4, features=3):
    """z = x w: the gradient of every term is known."""
    keras.utils.set_random_seed(seed)
    layer = keras.layers.Dense(classes, use_bias=False, name="logits")
    model = keras.Sequential([keras.Input((features,)), layer])
    model.compile(keras.optimizers.SGD(_RATE), _CROSS_ENTROPY)
    return model


def _with_softmax(model):
    outputs = keras.layers.Softmax()(model.outputs[0])
    return keras.Model(model.inputs, outputs)


def _data(count=8, classes=4):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(count, 3)).astype(np.float32)
    return x, rng.integers(0, classes, count)


def _no_loss(y, logits):
    return 0 * tf.reduce_mean(logits, -1)


def _softmax(logits):
    return scipy.special.softmax(np.float64(logits), axis=-1)


def _cross_entropies(targets, logits):
    return -np.sum(targets * scipy.special.log_softmax(logits, -1), -1)


class DistillationModelTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.product(
        temperature=(1.0, 4.0), how=("graph", "eager", "xla")
    )
    def test_one_step_is_the_closed_form(self, temperature, how):
        student, teacher = _linear(0), _linear(1)
        x, y = _data()
        (w,), (v,) = student.get_weights(), teacher.get_weights()
        weight = np.linspace(0.0, 2.0, len(x), dtype=np.float32)
        given = weight if how == "graph" else weight[:, np.newaxis]
        trained = DistillationModel(
            student, teacher, 0.7, temperature=temperature
        )
        trained.compile(
            keras.optimizers.SGD(_RATE),
            _CROSS_ENTROPY,
            run_eagerly=how == "eager",
            jit_compile=how == "xla",
        )

        loss = trained.train_on_batch(x, y, sample_weight=given)

        hard = np.eye(4)[y]
        soft = _softmax(x @ v / temperature)
        losses = _cross_entropies(hard, x @ w)
        losses += (
            0.7 * temperature**2 * _cross_entropies(soft, x @ w / temperature)
        )
        self.assertAllClose(loss, np.mean(weight * losses), rtol=1e-5)
        error = _softmax(x @ w) - hard
        error += 0.7 * temperature * (_softmax(x @ w / temperature) - soft)
        gradient = x.T @ (weight[:, None] * error) / len(x)
        self.assertAllClose(
            student.get_weights()[0], w - _RATE * gradient, atol=1e-6
        )
        self.assertAllEqual(teacher.get_weights()[0], v)

    def test_evaluation_is_that_of_the_student(self):
        student = _linear(0)
        x, y = _data()

        trained = DistillationModel(student, _linear(1), 5.0)

        expected = student.evaluate(x, y, verbose=0)
        self.assertAllClose(trained.evaluate(x, y, verbose=0), expected)

    def test_teacher_is_asked_in_inference_mode(self):
        keras.utils.set_random_seed(0)
        layers = [keras.Input((3,)), keras.layers.BatchNormalization()]
        teacher = keras.Sequential([*layers, keras.layers.Dense(4)])
        before = teacher.get_weights()
        trained = DistillationModel(_linear(0), teacher, 1.0)

        trained.fit(*_data(), verbose=0)

        for now, then in zip(teacher.get_weights(), before, strict=True):
            self.assertAllEqual(now, then)

    def test_what_is_saved_is_the_student(self):
        student = _linear(0)
        trained = DistillationModel(student, _linear(1), 1.0)
        path = os.path.join(self.get_temp_dir(), "trained.keras")

        trained.save(path)
        loaded = compat.load_model(path)

        self.assertNotIsInstance(loaded, DistillationModel)
        self.assertLen(loaded.weights, 1)
        self.assertAllEqual(loaded.get_weights()[0], student.get_weights()[0])

    def test_quantized_student_follows_its_float_model(self):
        """Without labels that say anything, the teacher alone is learned."""
        x, _ = _data(64)
        teacher = _linear(1)
        student = qat.quantize_aware(
            teacher, "dorefa", 2, None, placement="tflite", engine="native"
        )
        student.compile(keras.optimizers.SGD(0.5), _no_loss)
        trained = DistillationModel(student, teacher, 1.0)

        losses = trained.fit(
            x, np.zeros(64), epochs=10, batch_size=64, verbose=0
        ).history["loss"]

        targets = _softmax(x @ teacher.get_weights()[0])
        least = np.mean(_cross_entropies(targets, np.log(targets)))
        self.assertLess(losses[-1] - least, 0.7 * (losses[0] - least))

    @parameterized.named_parameters(
        (
            "other_outputs",
            lambda: _linear(1, classes=5),
            1.0,
            r"outputs.*shape \[4\]",
        ),
        ("other_inputs", lambda: _linear(1, features=2), 1.0, "inputs"),
        ("softmax", lambda: _with_softmax(_linear(1)), 1.0, "teacher.*logits"),
        ("negative", lambda: _linear(1), -1.0, "of 0 or more"),
        ("no_model", lambda: "teacher.keras", 1.0, "Received: str"),
    )
    def test_what_does_not_fit_is_refused(self, teacher, coefficient, message):
        with self.assertRaises((TypeError, ValueError)) as raised:
            DistillationModel(_linear(0), teacher(), coefficient)
        self.assertRegex(str(raised.exception), message)

    def test_student_is_not_its_own_teacher(self):
        model = _linear(0)
        with self.assertRaisesRegex(ValueError, "not the student"):
            DistillationModel(model, model, 1.0)


class FitWithTeacherTest(tf.test.TestCase):
    def setUp(self):
        super().setUp()
        self.dataset = make_dataset()
        self.model = _image_model(self.dataset, 0)
        self.teacher = _image_model(self.dataset, 1)
        self.recipe = Recipe(
            1, learning_rate=0.1, batch_size=32, distillation=2.0
        )

    def test_recipe_adds_the_term(self):
        plain = Recipe(1, learning_rate=0.0001, distillation=0)
        small = dataclasses.replace(
            plain, distillation=2.0, distillation_temperature=4.0
        )
        weights = self.model.get_weights()

        without = fit(self.model, self.dataset, plain, verbose=0)
        self.model.set_weights(weights)
        result = fit(
            self.model, self.dataset, small, teacher=self.teacher, verbose=0
        )

        x, _ = next(iter(self.dataset.train.batches(self.dataset.train.count)))
        self.model.set_weights(weights)
        targets = _softmax(self.teacher(x) / 4)
        losses = _cross_entropies(targets, self.model(x).numpy() / 4)
        term = 2 * 4**2 * np.mean(losses)
        more = result.history[0]["loss"] - without.history[0]["loss"]
        self.assertAllClose(more, term, rtol=1e-2)

    def test_teacher_and_recipe_go_together(self):
        with self.assertRaisesRegex(ValueError, "or neither"):
            fit(self.model, self.dataset, self.recipe, verbose=0)
        plain = Recipe(1, learning_rate=0.1)
        with self.assertRaisesRegex(ValueError, "or neither"):
            fit(self.model, self.dataset, plain, teacher=self.teacher)

    def test_one_term_beside_the_loss(self):
        with self.assertRaisesRegex(ValueError, "gradient_l1 or distillation"):
            dataclasses.replace(self.recipe, gradient_l1=0.1)

    @pytest.mark.one_keras
    def test_killed_it_goes_on_to_the_same_weights(self):
        recipe = dataclasses.replace(self.recipe, epochs=2)
        arguments = {"teacher": self.teacher, "verbose": 0}
        start = self.model.get_weights()
        fit(self.model, self.dataset, recipe, **arguments)
        expected = self.model.get_weights()

        self.model.set_weights(start)
        arguments["workdir"] = os.path.join(self.get_temp_dir(), "killed")
        with self.assertRaises(KeyboardInterrupt):
            fit(
                self.model,
                self.dataset,
                recipe,
                callbacks=[Killer(1)],
                **arguments,
            )
        result = fit(self.model, self.dataset, recipe, **arguments)

        self.assertEqual(result.resumed_from, 1)
        for now, then in zip(self.model.get_weights(), expected, strict=True):
            self.assertAllEqual(now, then)

    @pytest.mark.one_keras
    def test_another_teacher_is_another_run(self):
        folder = self.get_temp_dir()
        arguments = (self.model, self.dataset, self.recipe)
        fit(*arguments, teacher=self.teacher, workdir=folder, verbose=0)
        other = _image_model(self.dataset, 2)
        with self.assertRaisesRegex(ValueError, "teacher"):
            fit(*arguments, teacher=other, workdir=folder, verbose=0)


def _image_model(dataset, seed):
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input(dataset.input_shape),
            keras.layers.Flatten(),
            keras.layers.Dense(dataset.num_classes),
        ]
    )


if __name__ == "__main__":
    tf.test.main()
