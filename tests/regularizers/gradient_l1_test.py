import os

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

from kure_tf import compat
from kure_tf.compat import keras
from kure_tf.regularizers import GradientL1Model, regularize_kurtosis

_RATE = 0.1


def _linear(**options):
    """y = x w, with the mean squared error: all derivatives are known."""
    layer = keras.layers.Dense(1, use_bias=False, name="dense", **options)
    model = keras.Sequential([keras.Input((3,)), layer])
    model.compile(keras.optimizers.SGD(_RATE), "mse")
    return model


def _data(count=8, features=3):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(count, features)).astype(np.float32)
    return x, rng.normal(size=(count, 1)).astype(np.float32)


def _gradient(x, y, w):
    return 2 / len(x) * x.T @ (x @ w - y)


def _hessian(x):
    return 2 / len(x) * x.T @ x


def _small_net(**options):
    """Convolution, batch normalization, depthwise convolution, pooling."""
    layers = keras.layers
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            layers.Conv2D(3, 3, use_bias=False, name="conv"),
            layers.BatchNormalization(name="norm", **options),
            layers.Activation("softplus"),
            layers.DepthwiseConv2D(3, name="deep"),
            layers.AveragePooling2D(2),
            layers.Flatten(),
            layers.Dense(4, name="logits"),
        ]
    )
    model.compile(
        keras.optimizers.SGD(_RATE),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return model


class GradientL1ModelTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.named_parameters(("graph", False), ("eagerly", True))
    def test_one_step_on_a_linear_model_is_the_closed_form(self, eagerly):
        """d/dw lambda |g|_1 = lambda H sign(g), H the Hessian of the loss."""
        model = _linear()
        x, y = _data()
        (w,) = model.get_weights()
        trained = GradientL1Model(model, 0.3)
        trained.compile(keras.optimizers.SGD(_RATE), "mse", run_eagerly=eagerly)

        loss = trained.train_on_batch(x, y)

        g = _gradient(x, y, w)
        expected = w - _RATE * (g + 0.3 * _hessian(x) @ np.sign(g))
        self.assertAllClose(model.get_weights()[0], expected, atol=1e-6)
        mse = np.mean((x @ w - y) ** 2)
        self.assertAllClose(loss, mse + 0.3 * np.abs(g).sum(), atol=1e-5)

    @pytest.mark.one_keras
    def test_regularizers_are_no_part_of_the_gradient_that_is_measured(self):
        model = _linear(kernel_regularizer=keras.regularizers.L2(0.5))
        x, y = _data()
        (w,) = model.get_weights()

        loss = GradientL1Model(model, 0.3).train_on_batch(x, y)

        g = _gradient(x, y, w)
        expected = w - _RATE * (g + w + 0.3 * _hessian(x) @ np.sign(g))
        self.assertAllClose(model.get_weights()[0], expected, atol=1e-6)
        mse = np.mean((x @ w - y) ** 2)
        total = mse + 0.5 * np.sum(w**2) + 0.3 * np.abs(g).sum()
        self.assertAllClose(loss, total, atol=1e-5)

    def test_sample_weights_weigh_the_gradient(self):
        model = _linear()
        x, y = _data()
        (w,) = model.get_weights()
        weights = np.arange(8).astype(np.float32)

        loss = GradientL1Model(model, 0.3).train_on_batch(x, y, weights)

        residual = weights[:, None] * (x @ w - y)
        g = 2 / len(x) * x.T @ residual
        mse = np.mean(weights[:, None] * (x @ w - y) ** 2)
        self.assertAllClose(loss, mse + 0.3 * np.abs(g).sum(), atol=1e-5)

    def test_activations_are_the_inputs_of_layers(self):
        """L = mean (x a b - y)^2 has dL/dX_2 = 2 / B r b^T."""
        layers = keras.layers
        model = keras.Sequential(
            [
                keras.Input((3,)),
                layers.Dense(4, use_bias=False),
                layers.Dense(1, use_bias=False),
            ]
        )
        model.compile(keras.optimizers.SGD(_RATE), "mse")
        x, y = _data()
        a, b = model.get_weights()

        trained = GradientL1Model(model, 0.0, activation_coefficient=0.3)
        loss = trained.train_on_batch(x, y)

        # With s the signs of dL/dX_2, the term is 2 / B sum_i |r_i| sum |b_j|.
        r = x @ a @ b - y
        norm = 2 / len(x) * np.abs(r).sum() * np.abs(b).sum()
        self.assertAllClose(loss, np.mean(r**2) + 0.3 * norm, atol=1e-5)
        s = np.sign(r)
        da = x.T @ (r + 0.3 * np.abs(b).sum() * s) @ b.T
        db = (x @ a).T @ (r + 0.3 * np.abs(b).sum() * s)
        db = db + 0.3 * np.abs(r).sum() * np.sign(b)
        for found, before, gradient in zip(
            model.get_weights(), (a, b), (da, db), strict=True
        ):
            expected = before - _RATE * 2 / len(x) * gradient
            self.assertAllClose(found, expected, atol=1e-5)

    @parameterized.named_parameters(
        ("as_keras_chooses", {}),
        ("not_fused", {} if compat.IS_KERAS_3 else {"fused": False}),
    )
    def test_gradient_through_batch_normalization_is_a_finite_difference(
        self, options
    ):
        model = _small_net(**options)
        trained = GradientL1Model(model, 1.0, layers=["conv"])
        rng = np.random.default_rng(0)
        x = rng.normal(size=(8, 6, 6, 2)).astype(np.float32)
        y = np.arange(8) % 4
        start = model.get_weights()
        direction = [
            rng.normal(size=w.shape) if w.ndim > 1 else 0.0 for w in start
        ]

        def loss_at(shift, coefficient, rate=0.0):
            trained.coefficient = coefficient
            trained.compile(
                keras.optimizers.SGD(rate), trained.loss, run_eagerly=True
            )
            model.set_weights(
                [w + shift * d for w, d in zip(start, direction, strict=True)]
            )
            return float(trained.train_on_batch(x, y))

        def slopes(coefficient):
            """Along `direction`: by differences, and by the gradient."""
            h = 2e-4  # Small: the norm has kinks, where a gradient is 0.
            numeric = loss_at(h, coefficient) - loss_at(-h, coefficient)
            loss_at(0.0, coefficient, rate=0.01)
            return numeric / (2 * h), sum(
                np.sum((w - moved) / 0.01 * d)
                for w, moved, d in zip(
                    start, model.get_weights(), direction, strict=True
                )
            )

        (with_numeric, with_analytic), (numeric, analytic) = map(
            slopes, (1.0, 0.0)
        )

        # The own slope of the term; that of `tf.nn.moments` is further off.
        term = with_numeric - numeric
        self.assertGreater(abs(term), 0.05)
        self.assertNear(with_analytic - analytic, term, 0.02 * abs(term))

    @pytest.mark.one_keras
    def test_training_makes_the_gradients_smaller(self):
        x, y = _data(64, 3)
        norms = {}
        for coefficient in (0.0, 0.5):
            model = _linear()
            model.set_weights([np.ones((3, 1), np.float32)])
            trained = GradientL1Model(model, coefficient)
            trained.fit(x, y, epochs=5, batch_size=64, verbose=0)
            norms[coefficient] = np.abs(_gradient(x, y, model.get_weights()[0]))

        self.assertLess(norms[0.5].sum(), 0.5 * norms[0.0].sum())

    @pytest.mark.one_keras
    def test_with_coefficients_of_zero_it_trains_as_the_original(self):
        x = np.random.default_rng(0).normal(size=(8, 6, 6, 2))
        y = np.arange(8) % 4
        plain, original = _small_net(), _small_net()

        expected = plain.train_on_batch(x, y)
        found = GradientL1Model(original, 0.0).train_on_batch(x, y)

        self.assertAllClose(found, expected)
        for a, b in zip(
            original.get_weights(), plain.get_weights(), strict=True
        ):
            self.assertAllClose(a, b, atol=1e-6)

    def test_evaluation_and_prediction_are_those_of_the_original(self):
        x = np.random.default_rng(0).normal(size=(8, 6, 6, 2))
        y = np.arange(8) % 4
        model = _small_net()
        trained = GradientL1Model(model, 5.0, activation_coefficient=5.0)
        trained.train_on_batch(x, y)

        self.assertAllClose(
            trained.evaluate(x, y, verbose=0), model.evaluate(x, y, verbose=0)
        )
        self.assertAllEqual(trained(x), model(x))
        self.assertEmpty(trained.losses)

    @pytest.mark.one_keras
    def test_layers_are_chosen_as_for_kure(self):
        model = _small_net()

        def chosen(layers):
            return GradientL1Model(model, 1.0, layers=layers).regularized_layers

        self.assertEqual(chosen("all"), ("conv", "deep", "logits"))
        self.assertEqual(chosen("all_but_first"), ("deep", "logits"))
        self.assertEqual(chosen(["conv"]), ("conv",))

    def test_it_goes_together_with_kure(self):
        model = regularize_kurtosis(_small_net(), verbose=False)
        x = np.random.default_rng(0).normal(size=(8, 6, 6, 2))

        trained = GradientL1Model(model, 0.1, activation_coefficient=0.1)
        loss = trained.train_on_batch(x, np.arange(8) % 4)

        self.assertLen(trained.losses, 2)
        self.assertTrue(np.isfinite(loss))

    def test_it_is_saved_and_goes_on_where_it_was(self):
        model = _small_net()
        trained = GradientL1Model(
            model, 0.2, activation_coefficient=0.1, layers=["deep", "logits"]
        )
        x = np.random.default_rng(0).normal(size=(8, 6, 6, 2))
        y = np.arange(8) % 4
        trained.train_on_batch(x, y)
        path = os.path.join(self.get_temp_dir(), "model.keras")
        trained.save(path)

        loaded = compat.load_model(path)

        self.assertIsInstance(loaded, GradientL1Model)
        self.assertEqual(loaded.regularized_layers, ("deep", "logits"))
        self.assertAllEqual(loaded(x), trained(x))
        trained.reset_metrics()  # Some versions of Keras 3 let them go on.
        self.assertAllClose(
            loaded.train_on_batch(x, y), trained.train_on_batch(x, y)
        )

    @pytest.mark.one_keras
    def test_weights_are_those_of_the_original_counted_once(self):
        model = _small_net()

        trained = GradientL1Model(model, 1.0, activation_coefficient=1.0)

        self.assertLen(trained.weights, len(model.weights))
        for mine, original in zip(trained.weights, model.weights, strict=True):
            self.assertIs(mine, original)
        self.assertTrue(compat.is_graph_model(trained))

    @parameterized.parameters(-1.0, float("nan"), "0.1", None)
    def test_coefficients_are_numbers_of_zero_or_more(self, value):
        model = _linear()

        errors = TypeError, ValueError
        with self.assertRaisesRegex(errors, "not negative"):
            GradientL1Model(model, value)
        with self.assertRaisesRegex(errors, "not negative"):
            GradientL1Model(model, 0.1, activation_coefficient=value)

    def test_models_without_a_kernel_are_refused(self):
        model = keras.Sequential(
            [keras.Input((3,)), keras.layers.BatchNormalization()]
        )

        with self.assertRaisesRegex(ValueError, "none is left.*no kernel"):
            GradientL1Model(model, 0.1)

    def test_models_of_several_outputs_are_refused(self):
        inputs = keras.Input((3,))
        outputs = [keras.layers.Dense(1)(inputs) for _ in range(2)]

        with self.assertRaisesRegex(ValueError, "Received 1 and 2"):
            GradientL1Model(keras.Model(inputs, outputs), 0.1)

    def test_activations_of_nested_models_are_refused(self):
        inner = keras.Sequential(
            [keras.Input((3,)), keras.layers.Dense(2, name="dense")],
            name="inner",
        )
        model = keras.Sequential([keras.Input((3,)), inner])
        GradientL1Model(model, 0.1)

        with self.assertRaisesRegex(ValueError, "inner/dense.*nested"):
            GradientL1Model(model, 0.1, activation_coefficient=0.1)

    def test_activations_of_a_layer_used_twice_are_refused(self):
        inputs = keras.Input((3,))
        layer = keras.layers.Dense(3, name="dense")
        model = keras.Model(inputs, layer(layer(inputs)))
        GradientL1Model(model, 0.1)

        with self.assertRaisesRegex(ValueError, "'dense'.*more than once"):
            GradientL1Model(model, 0.1, activation_coefficient=0.1)

    def test_training_without_a_loss_is_refused(self):
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
        trained = GradientL1Model(model, 0.1)
        trained.compile("sgd", run_eagerly=True)

        with self.assertRaisesRegex(ValueError, "without one.*`loss`"):
            trained.train_on_batch(*_data())


if __name__ == "__main__":
    tf.test.main()
