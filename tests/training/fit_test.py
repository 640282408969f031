"""Training with `fit`."""

import dataclasses
import importlib.util
import random

import numpy as np
import pytest
import tensorflow as tf
from fit_case import RECIPE, Events, FitTestCase, make_dataset, make_model

from kure_tf import data
from kure_tf.compat import keras
from kure_tf.training import Recipe, fit


class FitTest(FitTestCase):
    def test_training_learns_and_says_how(self):
        model, dataset = make_model(), make_dataset()
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
        dataset = make_dataset(count=16, validation=False)
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
        dataset = make_dataset(count=16, validation=False)
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
        model = make_model()
        recipe = dataclasses.replace(RECIPE, mixed_precision="mixed_bfloat16")
        kernel, before = model.layers[0].kernel, model.get_weights()[0]

        fit(model, make_dataset(), recipe, verbose=0)

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
            make_model(kernel_regularizer=Counting()),
            make_dataset(),
            dataclasses.replace(RECIPE, epochs=3),
            callbacks=[Calls()],
            verbose=0,
        )

        self.assertEqual(counts, [counts[0]] * 3)

    def test_training_step_is_traced_once(self):
        """Its first trace would be thrown away if it made variables."""
        traces = []

        @keras.utils.register_keras_serializable("fit_test")
        class Traced(keras.regularizers.Regularizer):
            def __call__(self, x):
                if tf.inside_function():
                    traces.append(1)
                return 0.0 * tf.reduce_sum(x)

            def get_config(self):
                return {}

        fit(
            make_model(kernel_regularizer=Traced()),
            make_dataset(validation=False),
            RECIPE,
            verbose=0,
        )

        self.assertLen(traces, 1)

    def test_result_does_not_depend_on_the_global_random_state(self):
        models = [make_model(), make_model()]
        for number, model in enumerate(models):
            tf.random.set_seed(number)
            np.random.seed(number)
            random.seed(number)
            fit(model, make_dataset(), RECIPE, verbose=0)

        self.assertSameWeights(*models)

    @pytest.mark.one_keras
    def test_other_seed_gives_other_weights(self):
        models = [make_model(), make_model()]
        for seed, model in enumerate(models):
            recipe = dataclasses.replace(RECIPE, seed=seed)
            fit(model, make_dataset(), recipe, verbose=0)

        self.assertNotAllEqual(*(model.get_weights()[0] for model in models))

    def test_callbacks_see_one_training_of_the_working_copy(self):
        model, events = make_model(), Events()

        result = fit(
            model, make_dataset(), RECIPE, callbacks=[events], verbose=0
        )

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

    @pytest.mark.one_keras
    def test_stop_training_ends_after_the_epoch(self):
        class Stop(keras.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                self.model.stop_training = epoch == 1

        workdir = self.workdir()
        options = {"workdir": workdir, "verbose": 0}
        recipe = dataclasses.replace(RECIPE, epochs=9)

        result = fit(
            make_model(), make_dataset(), recipe, callbacks=[Stop()], **options
        )
        again = fit(
            make_model(), make_dataset(), recipe, callbacks=[Stop()], **options
        )

        self.assertLen(result.history, 2)
        self.assertEqual(again.history, result.history)

    @pytest.mark.one_keras
    def test_best_epoch_is_chosen_on_the_validation_split(self):
        class Weights(keras.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                logs["val_accuracy"] = [0.2, 0.9, 0.9, 0.1][epoch]
                seen.append(self.model.get_weights())

        seen, model = [], make_model()
        recipe = dataclasses.replace(RECIPE, epochs=4, select="best")

        result = fit(
            model, make_dataset(), recipe, callbacks=[Weights()], verbose=0
        )

        self.assertEqual((result.best_epoch, result.selected_epoch), (1, 1))
        for weight, expected in zip(model.get_weights(), seen[1], strict=True):
            self.assertAllEqual(weight, expected)

    @pytest.mark.one_keras
    def test_fewer_training_images_are_drawn_by_the_seed(self):
        class Steps(keras.callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None):
                steps.append(batch)

        steps = []
        recipe = dataclasses.replace(RECIPE, epochs=1, train_images=40)

        fit(
            make_model(),
            make_dataset(80),
            recipe,
            callbacks=[Steps()],
            verbose=0,
        )

        self.assertEqual(steps, [0, 1])


class BadInputTest(FitTestCase):
    def test_best_without_validation_split_is_refused(self):
        recipe = dataclasses.replace(RECIPE, select="best")

        with self.assertRaisesRegex(ValueError, "needs a validation split"):
            fit(make_model(), make_dataset(validation=False), recipe, verbose=0)

    def test_other_number_of_classes_is_refused(self):
        with self.assertRaisesRegex(ValueError, r"3 logits.*shape \[4\]"):
            fit(make_model(classes=4), make_dataset(), RECIPE, verbose=0)

    def test_other_image_shape_is_refused(self):
        with self.assertRaisesRegex(ValueError, r"\[6, 6, 1\].*\[8, 8, 1\]"):
            fit(make_model(), data.digits(), RECIPE, verbose=0)

    def test_softmax_is_refused(self):
        inputs = keras.Input((6, 6, 1))
        x = keras.layers.Flatten()(inputs)
        x = keras.layers.Dense(3, activation="softmax")(x)

        with self.assertRaisesRegex(ValueError, "logits.*softmax"):
            fit(keras.Model(inputs, x), make_dataset(), RECIPE, verbose=0)

    def test_more_training_images_than_there_are_are_refused(self):
        recipe = dataclasses.replace(RECIPE, train_images=81)

        with self.assertRaisesRegex(ValueError, r"1 \.\. 80 examples"):
            fit(make_model(), make_dataset(80), recipe, verbose=0)

    def test_tensorboard_needs_a_workdir(self):
        with self.assertRaisesRegex(ValueError, "needs a workdir"):
            fit(
                make_model(),
                make_dataset(),
                RECIPE,
                tensorboard=True,
                verbose=0,
            )


class TensorBoardTest(FitTestCase):
    def test_logs_are_written_or_the_missing_package_is_named(self):
        def train():
            fit(
                make_model(),
                make_dataset(),
                dataclasses.replace(RECIPE, epochs=1),
                workdir=self.workdir(),
                tensorboard=True,
                verbose=0,
            )

        if importlib.util.find_spec("tensorboard") is None:
            with self.assertRaisesRegex(ImportError, "kure-tf.report"):
                train()
            return
        train()

        self.assertNotEmpty(list(self.workdir().glob("logs/**/events*")))


if __name__ == "__main__":
    tf.test.main()
