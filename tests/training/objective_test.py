"""What `fit` trains a model towards where labels are no classes."""

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from kure_tf import data, runs
from kure_tf.compat import keras
from kure_tf.training import Recipe, fit

_RECIPE = Recipe(3, learning_rate=0.1, batch_size=8, schedule="constant")


def _dataset(validation=False):
    def pair(seed, count):
        x = np.random.default_rng(seed).normal(size=(count, 3))
        return x.astype(np.float32), (x @ [[1], [-2], [0.5]]).astype(np.float32)

    return data.from_arrays(
        pair(0, 32), pair(1, 16), validation=pair(2, 16) if validation else None
    )


def _model(units=1, activation=None):
    keras.utils.set_random_seed(0)
    layers = [keras.Input((3,)), keras.layers.Dense(units, activation)]
    return keras.Sequential(layers)


def _losses(model, dataset, recipe=_RECIPE, **options):
    history = fit(model, dataset, recipe, verbose=0, **options).history
    return [epoch["loss"] for epoch in history]


class TargetsTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(
        ("mean_absolute_error", lambda error: np.abs(error)),
        (None, np.square),
    )
    def test_the_loss_is_that_of_the_model(self, compiled, of_error):
        dataset, model = _dataset(), _model()
        if compiled:
            model.compile("sgd", compiled)
        x, y = dataset.train.arrays()
        truth = np.mean(of_error(model.predict(x, verbose=0) - y))
        still = Recipe(1, learning_rate=1e-9, batch_size=8)

        (loss,) = _losses(model, dataset, still)

        self.assertAllClose(loss, truth, rtol=1e-4)

    def test_a_linear_model_is_found(self):
        model = _model()
        recipe = Recipe(60, learning_rate=0.05, batch_size=8)

        _losses(model, _dataset(), recipe)

        self.assertAllClose(
            model.get_weights()[0], [[1], [-2], [0.5]], atol=0.01
        )

    def test_the_best_epoch_has_the_least_loss(self):
        result = fit(_model(), _dataset(True), _RECIPE, verbose=0)

        losses = [epoch["val_loss"] for epoch in result.history]
        self.assertEqual(result.best_epoch, int(np.argmin(losses)))

    def test_another_loss_is_another_run(self):
        folder = self.get_temp_dir()
        fit(_model(), _dataset(), _RECIPE, workdir=folder, verbose=0)
        other = _model()
        other.compile("sgd", "mean_absolute_error")

        with self.assertRaisesRegex(ValueError, "loss is .*squared_error"):
            fit(other, _dataset(), _RECIPE, workdir=folder, verbose=0)

    def test_outputs_of_another_shape_are_refused(self):
        with self.assertRaisesRegex(ValueError, r"\[1\].*targets.*\[2\]"):
            fit(_model(units=2), _dataset(), _RECIPE, verbose=0)

    def test_distillation_is_refused(self):
        recipe = Recipe(1, learning_rate=0.1, distillation=1.0)

        with self.assertRaisesRegex(ValueError, "class numbers for distill"):
            fit(_model(), _dataset(), recipe, teacher=_model(), verbose=0)


class SeveralInputsTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.product(
        given=("dict", "tuple"), takes=("list", "dict", "dict_in_order")
    )
    def test_each_input_gets_its_own(self, given, takes):
        """Both have one shape; their names are not in alphabetical order."""
        z, a = keras.Input((3,), name="z"), keras.Input((3,), name="a")
        dense = keras.layers.Dense(1, use_bias=False, name="of_z")
        keras.utils.set_random_seed(0)
        outputs = keras.layers.Add()([dense(z), 0.0 * dense(a)])
        inputs = {
            "list": [z, a],
            "dict": {"z": z, "a": a},
            "dict_in_order": {"a": a, "z": z},
        }[takes]
        model = keras.Model(inputs, outputs)
        # Keras has dictionaries in the order of their names.
        order = ("z", "a") if takes == "list" else ("a", "z")
        x = np.random.default_rng(0).normal(size=(32, 3))
        arrays = {"z": x, "a": 100 + x}
        own = arrays if given == "dict" else tuple(map(arrays.get, order))
        pair = own, x @ [[1], [-2], [0.5]]
        recipe = Recipe(40, learning_rate=0.05, batch_size=8)

        result = fit(
            model,
            data.from_arrays(pair, pair, validation=pair),
            recipe,
            verbose=0,
        )

        self.assertAllClose(
            model.get_weights()[0], [[1], [-2], [0.5]], atol=0.01
        )
        self.assertLess(result.history[-1]["val_loss"], 1e-3)

    def test_another_shape_or_name_is_refused(self):
        z, a = keras.Input((3,), name="z"), keras.Input((2,), name="a")
        x = keras.layers.Concatenate()([z, a])
        model = keras.Model([z, a], keras.layers.Dense(1)(x))
        zeros = np.zeros((8, 3))
        for inputs, message in (
            ({"z": zeros, "a": zeros}, r"shape \[2\].*'a'.*has \[3\]"),
            ({"z": zeros, "b": zeros}, r"\['z', 'a'\].*\['b', 'z'\]"),
            ((zeros,) * 3, "2 inputs.*Received 3"),
            (zeros, "2 inputs.*Received 1"),
        ):
            pair = inputs, np.zeros((8, 1))
            with self.assertRaisesRegex(ValueError, message):
                dataset = data.from_arrays(pair, pair)
                fit(model, dataset, _RECIPE, verbose=0)


class LabelsOfPositionsTest(tf.test.TestCase):
    def setUp(self):
        super().setUp()
        ids = np.random.default_rng(0).integers(0, 6, (32, 5))
        self.dataset = data.from_arrays((ids, ids % 3), (ids, ids % 3))

    def _model(self, classes=3, steps=5):
        keras.utils.set_random_seed(0)
        layers = [
            keras.Input((steps,), dtype="int32"),
            keras.layers.Embedding(6, 4),
            keras.layers.Dense(classes),
        ]
        return keras.Sequential(layers)

    def test_the_loss_is_the_mean_over_all_positions(self):
        model = self._model()
        ids, labels = self.dataset.train.arrays()
        logits = np.float64(model(ids))
        log_sum = np.log(np.exp(logits).sum(-1))
        own = np.take_along_axis(logits, labels[..., np.newaxis], -1)[..., 0]
        still = Recipe(1, learning_rate=1e-9, batch_size=8)

        (epoch,) = fit(model, self.dataset, still, verbose=0).history

        self.assertAllClose(epoch["loss"], np.mean(log_sum - own), rtol=1e-4)
        self.assertAllClose(
            epoch["accuracy"], np.mean(logits.argmax(-1) == labels)
        )

    def test_two_devices_train_as_one(self):
        """With a last batch of two, of which each gets one."""
        alone, together = self._model(), self._model()
        recipe = Recipe(2, learning_rate=0.1, batch_size=10)

        one = fit(alone, self.dataset, recipe, verbose=0)
        two = fit(
            together,
            self.dataset,
            recipe,
            strategy=runs.strategy_named("mirrored"),
            verbose=0,
        )

        for own, other in zip(
            alone.get_weights(), together.get_weights(), strict=True
        ):
            self.assertAllClose(own, other, rtol=1e-4, atol=1e-5)
        self.assertAllClose(
            one.history[-1]["accuracy"], two.history[-1]["accuracy"]
        )

    def test_a_net_of_steps_takes_any_number(self):
        history = fit(
            self._model(steps=None), self.dataset, _RECIPE, verbose=0
        ).history

        self.assertLess(history[-1]["loss"], history[0]["loss"])

    def test_outputs_for_other_positions_are_refused(self):
        model = self._model()
        pooled = keras.layers.GlobalAveragePooling1D()(model.outputs[0])
        for other in (self._model(4), keras.Model(model.inputs, pooled)):
            with self.assertRaisesRegex(
                ValueError, r"3 logits.*\[5, 3\].*One-hot.*returns"
            ):
                fit(other, self.dataset, _RECIPE, verbose=0)


if __name__ == "__main__":
    tf.test.main()
