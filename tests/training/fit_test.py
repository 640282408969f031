import dataclasses
import importlib.util
import os
import pathlib
import random
from unittest import mock

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from kure_tf import data, training
from kure_tf.compat import keras
from kure_tf.training import Recipe, fit

RECIPE = Recipe(
    3,
    learning_rate=0.05,
    batch_size=32,
    augment=("flip", "shift=1"),
    weight_decay=1e-3,
)


def _dataset(count=80, classes=3, validation=True):
    """Images whose brightness is their class, plus noise."""

    def pair(seed):
        rng = np.random.default_rng(seed)
        labels = rng.integers(0, classes, count)
        noise = rng.integers(0, 60, (count, 6, 6, 1))
        images = labels[:, None, None, None] * 80 + noise
        return np.minimum(images, 255).astype(np.uint8), labels

    return data.from_arrays(
        pair(0),
        pair(1),
        validation=pair(2) if validation else None,
        num_classes=classes,
    )


def _model(seed=0, classes=3, **options):
    """Convolution, batch norm, dropout, dense; weights by NumPy."""
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Conv2D(4, 3, use_bias=False, **options),
            layers.BatchNormalization(momentum=0.5),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dropout(0.2),
            layers.Dense(classes),
        ]
    )
    rng = np.random.default_rng(seed)
    for layer in (model.layers[0], model.layers[-1]):
        layer.set_weights(
            [rng.normal(0, 0.2, w.shape) for w in layer.get_weights()]
        )
    return model


class _Killer(keras.callbacks.Callback):
    """Raises KeyboardInterrupt in the middle of an epoch."""

    def __init__(self, epoch):
        super().__init__()
        self._epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        self._here = epoch == self._epoch

    def on_train_batch_end(self, batch, logs=None):
        if self._here and batch == 1:
            raise KeyboardInterrupt


class _Events(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.events, self.losses, self.models = [], [], set()

    def on_train_begin(self, logs=None):
        self.events.append("train_begin")

    def on_train_end(self, logs=None):
        self.events.append("train_end")

    def on_epoch_begin(self, epoch, logs=None):
        self.events.append(f"begin {epoch}")

    def on_epoch_end(self, epoch, logs=None):
        self.events.append(f"end {epoch}")
        self.models.add(id(self.model))
        self.losses = self.model.losses
        logs["mine"] = epoch + 0.5


class FitTestCase(tf.test.TestCase, parameterized.TestCase):
    def workdir(self):
        return pathlib.Path(self.get_temp_dir()) / self.id()

    def assertSameWeights(self, first, second):
        pairs = zip(first.get_weights(), second.get_weights(), strict=True)
        for weight, other in pairs:
            self.assertAllEqual(weight, other)

    def interrupt(self, epoch, recipe, dataset, **options):
        with self.assertRaises(KeyboardInterrupt):
            fit(
                _model(),
                dataset,
                recipe,
                workdir=self.workdir(),
                callbacks=[_Killer(epoch)],
                verbose=0,
                **options,
            )


class FitTest(FitTestCase):
    def test_training_learns_and_says_how(self):
        model, dataset = _model(), _dataset()
        recipe = dataclasses.replace(RECIPE, epochs=8, learning_rate=0.1)

        result = fit(model, dataset, recipe, verbose=0)

        self.assertLen(result.history, 8)
        self.assertContainsSubset(
            {"loss", "accuracy", "val_loss", "val_accuracy"}, result.history[0]
        )
        images, labels = dataset.test.arrays()
        accuracy = np.mean(
            np.argmax(model.predict(images, verbose=0), -1) == labels
        )
        self.assertGreater(accuracy, 0.9)
        self.assertEqual(result.selected_epoch, 7)
        self.assertGreater(result.seconds, 0)

    def test_one_step_is_the_gradient_of_cross_entropy_and_decay(self):
        """Softmax regression, whose gradient is known in closed form."""
        dataset = _dataset(count=16, validation=False)
        inputs = keras.Input((6, 6, 1))
        outputs = keras.layers.Dense(3)(keras.layers.Flatten()(inputs))
        model = keras.Model(inputs, outputs)
        kernel, bias = model.get_weights()
        recipe = Recipe(
            1,
            learning_rate=0.5,
            batch_size=16,
            schedule="constant",
            momentum=0.0,
            weight_decay=0.1,
        )

        fit(model, dataset, recipe, verbose=0)

        images, labels = dataset.train.arrays()
        x = images.reshape(16, -1).astype(np.float64)
        logits = x @ kernel + bias
        error = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        error -= np.eye(3)[labels]
        gradient = x.T @ error / 16 + 0.1 * kernel
        trained = model.get_weights()
        self.assertAllClose(trained[0], kernel - 0.5 * gradient, atol=1e-5)
        self.assertAllClose(trained[1], bias - 0.5 * error.mean(0), atol=1e-5)

    def test_the_norm_of_the_gradients_joins_the_loss(self):
        """Softmax regression again; decay is no part of the gradients."""
        dataset = _dataset(count=16, validation=False)
        inputs = keras.Input((6, 6, 1))
        outputs = keras.layers.Dense(3)(keras.layers.Flatten()(inputs))
        model = keras.Model(inputs, outputs)
        kernel, bias = model.get_weights()
        options = {"learning_rate": 0.1, "batch_size": 16}
        recipe = Recipe(1, weight_decay=0.1, gradient_l1=0.3, **options)

        result = fit(model, dataset, recipe, verbose=0)

        images, labels = dataset.train.arrays()
        x = images.reshape(16, -1).astype(np.float64)
        logits = x @ kernel + bias
        share = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        entropy = -np.mean(np.log(share[np.arange(16), labels]))
        gradient = x.T @ (share - np.eye(3)[labels]) / 16
        self.assertAllClose(
            result.history[0]["loss"],
            entropy + 0.05 * np.sum(kernel**2) + 0.3 * np.abs(gradient).sum(),
            rtol=1e-5,
        )
        self.assertNotAllClose(model.get_weights()[0], kernel)

    def test_model_keeps_identity_precision_and_regularizers(self):
        model = _model()
        recipe = dataclasses.replace(RECIPE, mixed_precision="mixed_bfloat16")
        kernel, before = model.layers[0].kernel, model.get_weights()[0]

        fit(model, _dataset(), recipe, verbose=0)

        self.assertIs(model.layers[0].kernel, kernel)
        self.assertNotAllEqual(model.get_weights()[0], before)
        self.assertEqual(model.layers[0].compute_dtype, "float32")
        self.assertEmpty(model.losses)

    def test_training_step_compiles_once(self):
        calls = []

        @keras.utils.register_keras_serializable("fit_test")
        class Counting(keras.regularizers.Regularizer):
            def __call__(self, x):
                calls.append(1)  # Runs once per trace, not once per step.
                return 0.0 * tf.reduce_sum(x)

            def get_config(self):
                return {}

        class Calls(keras.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                counts.append(len(calls))

        counts = []
        fit(
            _model(kernel_regularizer=Counting()),
            _dataset(),
            dataclasses.replace(RECIPE, epochs=3),
            callbacks=[Calls()],
            verbose=0,
        )

        self.assertEqual(counts, [counts[0]] * 3)

    def test_result_does_not_depend_on_the_global_random_state(self):
        models = [_model(), _model()]
        for number, model in enumerate(models):
            tf.random.set_seed(number)
            np.random.seed(number)
            random.seed(number)
            fit(model, _dataset(), RECIPE, verbose=0)

        self.assertSameWeights(*models)

    def test_other_seed_gives_other_weights(self):
        models = [_model(), _model()]
        for seed, model in enumerate(models):
            recipe = dataclasses.replace(RECIPE, seed=seed)
            fit(model, _dataset(), recipe, verbose=0)

        self.assertNotAllEqual(*(model.get_weights()[0] for model in models))

    def test_callbacks_see_one_training_of_the_working_copy(self):
        model, events = _model(), _Events()

        result = fit(model, _dataset(), RECIPE, callbacks=[events], verbose=0)

        self.assertEqual(
            events.events,
            ["train_begin"]
            + [f"{what} {i}" for i in range(3) for what in ("begin", "end")]
            + ["train_end"],
        )
        self.assertLen(events.models, 1)
        self.assertNotIn(id(model), events.models)
        self.assertLen(events.losses, 2)  # Weight decay: conv and dense.
        self.assertEqual(
            [row["mine"] for row in result.history], [0.5, 1.5, 2.5]
        )

    def test_stop_training_ends_after_the_epoch(self):
        class Stop(keras.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                self.model.stop_training = epoch == 1

        workdir = self.workdir()
        options = {"workdir": workdir, "verbose": 0}
        recipe = dataclasses.replace(RECIPE, epochs=9)

        result = fit(
            _model(), _dataset(), recipe, callbacks=[Stop()], **options
        )
        again = fit(_model(), _dataset(), recipe, callbacks=[Stop()], **options)

        self.assertLen(result.history, 2)
        self.assertEqual(again.history, result.history)

    def test_best_epoch_is_chosen_on_the_validation_split(self):
        class Weights(keras.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                logs["val_accuracy"] = [0.2, 0.9, 0.9, 0.1][epoch]
                seen.append(self.model.get_weights())

        seen, model = [], _model()
        recipe = dataclasses.replace(RECIPE, epochs=4, select="best")

        result = fit(
            model, _dataset(), recipe, callbacks=[Weights()], verbose=0
        )

        self.assertEqual((result.best_epoch, result.selected_epoch), (1, 1))
        for weight, expected in zip(model.get_weights(), seen[1], strict=True):
            self.assertAllEqual(weight, expected)

    def test_fewer_training_images_are_drawn_by_the_seed(self):
        class Steps(keras.callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None):
                steps.append(batch)

        steps = []
        recipe = dataclasses.replace(RECIPE, epochs=1, train_images=40)

        fit(_model(), _dataset(80), recipe, callbacks=[Steps()], verbose=0)

        self.assertEqual(steps, [0, 1])


class ResumeTest(FitTestCase):
    @parameterized.named_parameters(
        ("float32_best", {"select": "best"}),
        (
            "bfloat16_adam_step",
            {
                "mixed_precision": "mixed_bfloat16",
                "optimizer": "adam",
                "learning_rate": 0.01,
                "schedule": "step",
                "decay_every": 1,
            },
        ),
        ("float16", {"mixed_precision": "mixed_float16"}),
        (
            "gradient_l1",
            {"gradient_l1": 0.05, "mixed_precision": "mixed_bfloat16"},
        ),
    )
    def test_killed_and_resumed_run_ends_with_the_same_weights(self, options):
        recipe = dataclasses.replace(RECIPE, **options)
        dataset, straight, resumed = _dataset(), _model(), _model(seed=7)
        expected = fit(straight, dataset, recipe, verbose=0)

        self.interrupt(1, recipe, dataset)
        tf.random.set_seed(5)
        # Its own initial weights do not matter: the checkpoint has them.
        result = fit(
            resumed, dataset, recipe, workdir=self.workdir(), verbose=0
        )

        self.assertEqual(result.resumed_from, 1)
        self.assertSameWeights(straight, resumed)
        self.assertEqual(result.history, expected.history)

    def test_kill_while_a_checkpoint_is_written_leaves_the_last_one(self):
        dataset, straight, resumed = _dataset(), _model(), _model()
        fit(straight, dataset, RECIPE, verbose=0)
        replace, calls = os.replace, []

        def killed_the_second_time(*arguments):
            calls.append(1)
            if len(calls) == 2:
                raise KeyboardInterrupt
            replace(*arguments)

        with mock.patch("os.replace", killed_the_second_time):
            with self.assertRaises(KeyboardInterrupt):
                fit(
                    _model(), dataset, RECIPE, workdir=self.workdir(), verbose=0
                )
        self.assertLen(os.listdir(self.workdir()), 1)
        result = fit(
            resumed, dataset, RECIPE, workdir=self.workdir(), verbose=0
        )

        self.assertEqual(result.resumed_from, 1)
        self.assertSameWeights(straight, resumed)

    def test_finished_run_hands_over_its_weights_without_training(self):
        first, second, events = _model(), _model(seed=3), _Events()
        options = {"workdir": self.workdir(), "verbose": 0}
        expected = fit(first, _dataset(), RECIPE, **options)

        result = fit(second, _dataset(), RECIPE, callbacks=[events], **options)

        self.assertSameWeights(first, second)
        self.assertEqual(result.history, expected.history)
        self.assertEmpty(events.events)

    @parameterized.named_parameters(
        ("recipe", _model, {"learning_rate": 0.5}, "learning_rate is 0.05"),
        (
            "regularizer",
            lambda: _model(kernel_regularizer="l2"),
            {},
            r"layers\[0\].kernel_regularizer",
        ),
        ("model", lambda: _model(activation="relu"), {}, "activation is"),
    )
    def test_workdir_of_another_run_is_refused(self, make, changes, words):
        options = {"workdir": self.workdir(), "verbose": 0}
        fit(_model(), _dataset(), RECIPE, **options)

        with self.assertRaisesRegex(
            ValueError, f"workdir of another run.*{words}"
        ):
            recipe = dataclasses.replace(RECIPE, **changes)
            fit(make(), _dataset(), recipe, **options)

    def test_truncated_checkpoint_is_refused_and_the_model_untouched(self):
        path = self.workdir() / training.CHECKPOINT_NAME
        options = {"workdir": self.workdir(), "verbose": 0}
        fit(_model(), _dataset(), RECIPE, **options)
        path.write_bytes(path.read_bytes()[:-200])
        model = _model()
        before = model.get_weights()

        with self.assertRaisesRegex(ValueError, "truncated or foreign"):
            fit(model, _dataset(), RECIPE, **options)

        for weight, expected in zip(model.get_weights(), before, strict=True):
            self.assertAllEqual(weight, expected)


class BadInputTest(FitTestCase):
    def test_best_without_validation_split_is_refused(self):
        recipe = dataclasses.replace(RECIPE, select="best")

        with self.assertRaisesRegex(ValueError, "needs a validation split"):
            fit(_model(), _dataset(validation=False), recipe, verbose=0)

    def test_other_number_of_classes_is_refused(self):
        with self.assertRaisesRegex(ValueError, r"3 logits.*shape \[4\]"):
            fit(_model(classes=4), _dataset(), RECIPE, verbose=0)

    def test_other_image_shape_is_refused(self):
        with self.assertRaisesRegex(ValueError, r"\[6, 6, 1\].*\[8, 8, 1\]"):
            fit(_model(), data.digits(), RECIPE, verbose=0)

    def test_softmax_is_refused(self):
        inputs = keras.Input((6, 6, 1))
        x = keras.layers.Flatten()(inputs)
        x = keras.layers.Dense(3, activation="softmax")(x)

        with self.assertRaisesRegex(ValueError, "logits.*softmax"):
            fit(keras.Model(inputs, x), _dataset(), RECIPE, verbose=0)

    def test_more_training_images_than_there_are_are_refused(self):
        recipe = dataclasses.replace(RECIPE, train_images=81)

        with self.assertRaisesRegex(ValueError, r"1 \.\. 80 images"):
            fit(_model(), _dataset(80), recipe, verbose=0)

    def test_tensorboard_needs_a_workdir(self):
        with self.assertRaisesRegex(ValueError, "needs a workdir"):
            fit(_model(), _dataset(), RECIPE, tensorboard=True, verbose=0)


class TensorBoardTest(FitTestCase):
    def test_logs_are_written_or_the_missing_package_is_named(self):
        def train():
            fit(
                _model(),
                _dataset(),
                dataclasses.replace(RECIPE, epochs=1),
                workdir=self.workdir(),
                tensorboard=True,
                verbose=0,
            )

        if importlib.util.find_spec("tensorboard") is None:
            with self.assertRaisesRegex(ImportError, "pip install tensorboard"):
                train()
            return
        train()

        self.assertNotEmpty(list(self.workdir().glob("logs/**/events*")))


if __name__ == "__main__":
    tf.test.main()
