"""The loss that a model says it has, against NumPy and against Keras."""

import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from scipy import special

from kure_tf import compat, fake_quantize_model
from kure_tf.compat import keras
from kure_tf.evaluation import loss_of

layers = keras.layers
_X = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
_CLASSES = np.arange(12) % 3
_ONE_HOT = np.eye(3)[_CLASSES]
_NUMBERS = np.random.default_rng(1).normal(size=(12, 3))


def _model(*ending, units=3, activation=None):
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(8, activation="relu"),
            layers.Dense(units, activation=activation),
            *ending,
        ]
    )


def _nested(activation):
    inputs = keras.Input((4,))
    return keras.Model(inputs, _model(activation=activation)(inputs))


def _steps(activation):
    inputs = keras.Input((2, 4))
    steps = layers.TimeDistributed(_model(activation=activation))
    return keras.Model(inputs, steps(inputs))


def _quantized_steps(activation):
    inputs = keras.Input((2, 4))
    steps = layers.TimeDistributed(layers.Dense(3, activation=activation))
    return fake_quantize_model(keras.Model(inputs, steps(inputs)), "tflite")


def _function(name):
    inputs = keras.Input((4,))
    outputs = layers.Dense(3)(inputs)
    if compat.IS_KERAS_3:
        return keras.Model(inputs, getattr(keras.ops, name)(outputs))
    return keras.Model(inputs, getattr(tf.nn, name)(outputs))


class LastActivationTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.named_parameters(
        ("none", _model, {}, "linear"),
        ("relu", _model, {"activation": "relu"}, "relu"),
        ("softmax", _model, {"activation": "softmax"}, "softmax"),
        ("sigmoid", _model, {"activation": "sigmoid"}, "sigmoid"),
        ("nested", _nested, {"activation": "softmax"}, "softmax"),
        ("steps", _steps, {"activation": "softmax"}, "softmax"),
        ("wrapped", _quantized_steps, {"activation": "softmax"}, "softmax"),
        ("function", _function, {"name": "softmax"}, "softmax"),
        ("sigmoid_function", _function, {"name": "sigmoid"}, "sigmoid"),
    )
    def test_the_function_before_the_output_is_found(self, make, how, name):
        self.assertEqual(compat.last_activations(make(**how)), [name])

    @parameterized.named_parameters(
        ("layer", lambda: [layers.Softmax()]),
        ("activation", lambda: [layers.Activation("softmax")]),
        ("cast", lambda: [layers.Softmax(), layers.Activation("linear")]),
        ("shape", lambda: [layers.Softmax(), layers.Reshape((3, 1, 1))]),
    )
    def test_what_only_hands_on_is_looked_through(self, ending):
        model = _model(*ending())
        self.assertEqual(compat.last_activations(model), ["softmax"])

    def test_quantizers_are_looked_through(self):
        model = fake_quantize_model(_model(activation="softmax"), "tflite")
        self.assertEqual(compat.last_activations(model), ["softmax"])


class LossOfTest(tf.test.TestCase, parameterized.TestCase):
    def _loss(self, model, y):
        loss = loss_of(model, y)
        outputs = model(_X).numpy()
        found = loss(y, outputs)
        self.assertEqual(found.shape, (12,))
        return found, outputs.astype(np.float64), loss.name

    @parameterized.parameters(None, "softmax")
    def test_class_numbers_of_logits_and_probabilities(self, activation):
        found, outputs, name = self._loss(
            _model(activation=activation), _CLASSES
        )
        p = outputs if activation else special.softmax(outputs, -1)
        self.assertAllClose(
            found, -np.log(p[np.arange(12), _CLASSES]), rtol=1e-5
        )
        kind = "probabilities" if activation else "logits"
        self.assertEqual(name, f"cross_entropy of {kind}")

    def test_probabilities_as_labels(self):
        y = special.softmax(_NUMBERS, -1)
        found, p, _ = self._loss(_model(activation="softmax"), y)
        self.assertAllClose(found, -(y * np.log(p)).sum(-1), rtol=1e-5)

    def test_many_labels_at_once(self):
        y = (_NUMBERS > 0).astype(int)
        found, p, name = self._loss(_model(activation="sigmoid"), y)
        expected = -np.log(np.where(y, p, 1 - p)).mean(-1)
        self.assertAllClose(found, expected, rtol=1e-5)
        self.assertEqual(name, "binary_cross_entropy of probabilities")

    @parameterized.parameters(1, 3)
    def test_numbers(self, units):
        y = _NUMBERS if units == 3 else _NUMBERS[:, 0]
        found, outputs, name = self._loss(_model(units=units), y)
        error = (outputs - y.reshape(12, -1)) ** 2
        self.assertAllClose(found, error.mean(-1), rtol=1e-5)
        self.assertEqual(name, "squared_error")

    def test_one_hot_labels_of_logits_need_a_compiled_model(self):
        with self.assertRaisesRegex(ValueError, "one-hot.*argmax.*compile"):
            loss_of(_model(), _ONE_HOT)

    def test_several_outputs_need_a_compiled_model(self):
        inputs = keras.Input((4,))
        outputs = [layers.Dense(1)(inputs), layers.Dense(2)(inputs)]
        with self.assertRaisesRegex(ValueError, "2 outputs.*compile"):
            loss_of(keras.Model(inputs, outputs), [_CLASSES, _CLASSES])


class CompiledTest(tf.test.TestCase, parameterized.TestCase):
    """The mean is what `Model.evaluate` of Keras calls the loss."""

    @parameterized.named_parameters(
        ("text", "mse", _NUMBERS, "compiled mean_squared_error"),
        ("function", keras.losses.mean_absolute_error, _NUMBERS, None),
        ("object", keras.losses.Huber(0.3), _NUMBERS, None),
        ("classes", "sparse_categorical_crossentropy", _CLASSES,
         "compiled sparse_categorical_crossentropy"),
        ("column", "sparse_categorical_crossentropy", _CLASSES[:, np.newaxis],
         None),
        ("one_hot", "categorical_crossentropy", _ONE_HOT, None),
        ("smoothed", keras.losses.CategoricalCrossentropy(label_smoothing=0.1),
         _ONE_HOT, None),
    )  # fmt: skip
    def test_one_output(self, loss, y, name):
        model = _model(activation="softmax")
        model.compile("sgd", loss)
        self._check(model, y)
        if name is not None:
            self.assertEqual(loss_of(model, y).name, name)

    def test_logits_of_a_compiled_model(self):
        model = _model()
        model.compile(
            "sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        )
        self._check(model, _CLASSES)

    def test_class_numbers_do_for_a_loss_of_one_hot_labels(self):
        model = _model(activation="softmax")
        model.compile("sgd", "categorical_crossentropy")
        found = loss_of(model, _CLASSES)(_CLASSES, model(_X))
        self.assertAllClose(
            found.mean(), model.evaluate(_X, _ONE_HOT, verbose=0), rtol=1e-5
        )

    def test_one_number_is_not_held_against_all_of_them(self):
        model = _model(units=1)
        model.compile("sgd", "mse")
        self._check(model, _NUMBERS[:, 0])

    @parameterized.product(
        loss=(None, "mse", "mae"), shape=((12, 2), (12, 3, 1), (12,))
    )
    def test_labels_of_another_shape_are_refused(self, loss, shape):
        """One of [12, 1] and labels of [12, 2] make 24 errors."""
        model = _model(units=1 if shape != (12,) else 3)
        if loss:
            model.compile("sgd", loss)
        message = "shape of the outputs|class numbers as labels.*whole"
        with self.assertRaisesRegex(ValueError, message):
            found = loss_of(model, np.zeros(shape) + 0.5)
            found.checked(np.zeros(shape) + 0.5)

    @parameterized.parameters("mse", "mae", None)
    def test_outputs_without_a_last_axis(self, loss):
        model = _model(layers.Reshape(()), units=1)
        if loss:
            model.compile("sgd", loss)
        error = np.asarray(model(_X)) - _NUMBERS[:, 0]
        truth = np.abs(error) if loss == "mae" else error**2

        for y in (_NUMBERS[:, 0], _NUMBERS[:, :1]):
            found = loss_of(model, y)(y, model(_X))
            self.assertAllClose(found, truth, rtol=1e-5)

    def test_the_copy_of_a_compiled_model_has_its_loss(self):
        model = _model()
        model.compile("sgd", "mae")
        copy = fake_quantize_model(model, "tflite")
        self.assertEqual(
            loss_of(copy, _NUMBERS).name, loss_of(model, _NUMBERS).name
        )

    @parameterized.parameters(False, True)
    def test_several_outputs_are_weighted(self, by_name):
        inputs = keras.Input((4,))
        a = layers.Dense(3, activation="softmax", name="a")(inputs)
        b = layers.Dense(1, name="b")(inputs)
        model = keras.Model(inputs, {"a": a, "b": b} if by_name else [a, b])
        losses = ["sparse_categorical_crossentropy", "mse"]
        weights, y = [0.5, 2.0], [_CLASSES, _NUMBERS[:, :1]]
        if by_name:
            losses, weights, y = (
                dict(zip("ab", given, strict=True))
                for given in (losses, weights, y)
            )
        model.compile("sgd", losses, loss_weights=weights)
        self._check(model, y)

    def test_labels_for_each_output_are_asked_for(self):
        inputs = keras.Input((4,))
        model = keras.Model(inputs, [layers.Dense(1)(inputs)] * 2)
        model.compile("sgd", "mse")
        with self.assertRaisesRegex(ValueError, "each of the outputs"):
            loss_of(model, _NUMBERS).checked(_NUMBERS)

    def _check(self, model, y):
        outputs = model(_X, training=False)
        found = loss_of(model, y)(y, tf.nest.flatten(outputs))
        wanted = model.evaluate(_X, y, verbose=0)
        wanted = wanted[0] if isinstance(wanted, list) else wanted
        self.assertEqual(found.shape, (12,))
        self.assertAllClose(found.mean(), wanted, rtol=1e-5)


if __name__ == "__main__":
    tf.test.main()
