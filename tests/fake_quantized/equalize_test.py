"""Equalization: the same function, with ranges that one step size fits."""

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from kure_tf import OperatingPoint, fake_quantize_model, set_operating_point
from kure_tf.compat import keras
from kure_tf.fake_quantized import (
    Placement,
    equalize,
    fold_batch_norm,
    layer_pairs,
)

layers = keras.layers
BETWEEN = (
    ("nothing", lambda: []),
    ("relu", lambda: [layers.ReLU(name="r")]),
    (
        "padding_and_pooling",
        lambda: [
            layers.ZeroPadding2D(name="z"),
            layers.Activation("relu", name="r"),
            layers.MaxPooling2D(name="m"),
            layers.AveragePooling2D(2, name="a"),
        ],
    ),
    ("leaky_relu", lambda: [layers.LeakyReLU(name="r"), layers.Dropout(0.5)]),
)


def _skewed(model, seed=0):
    """Random weights whose output channels differ by orders of magnitude."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            _skewed(layer, seed + 1)
            continue
        values = []
        for weight in layer.get_weights():
            value = rng.normal(0, 0.4, weight.shape)
            if weight.ndim > 1:  # Along an axis of channels, in or out.
                value *= np.exp(rng.normal(0, 1.5, weight.shape[-1]))
            values.append(value)
        layer.set_weights(values)
    return model


def _images(model, count=4):
    shape = (count, *model.inputs[0].shape[1:])
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def _depthwise_separable(relu=layers.ReLU):
    """A small net of MobileNet's blocks, with batch norm."""
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, padding="same", name="stem")(inputs)
    x = relu()(layers.BatchNormalization()(x))
    for block, filters in enumerate((12, 16)):
        x = layers.DepthwiseConv2D(3, padding="same", name=f"dw{block}")(x)
        x = relu()(layers.BatchNormalization()(x))
        x = layers.Conv2D(filters, 1, name=f"pw{block}")(x)
        x = relu()(layers.BatchNormalization()(x))
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(5, name="head")(x))
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            size = layer.get_weights()[0].size
            gamma, variance = np.exp(rng.normal(0, 0.3, (2, size)))
            beta, mean = rng.normal(0, 0.5, (2, size))
            layer.set_weights([gamma, beta, mean, variance])
    return model


def _scale_channels(model, seed=0):
    """Scales the channels between pairs apart; the function stays.

    All channels matter as before, but one step size no longer fits them.
    """
    rng = np.random.default_rng(seed)
    for pair in layer_pairs(model)[0]:
        first, second = map(model.get_layer, (pair.first, pair.second))
        kernel, bias = first.get_weights()
        factors = np.exp(rng.normal(0, 1.5, bias.shape))
        if isinstance(first, layers.DepthwiseConv2D):
            kernel = kernel / factors[:, np.newaxis]
        else:
            kernel = kernel / factors
        first.set_weights([kernel, bias / factors])
        kernel, bias = second.get_weights()
        second.set_weights([kernel * factors[:, np.newaxis], bias])
    return model


class EqualizeTest(tf.test.TestCase, parameterized.TestCase):
    def _assert_same(self, model, equalized):
        images = _images(model)
        weights = [np.array(w) for w in model.get_weights()]
        wanted = np.asarray(model(images))
        size = np.abs(wanted).max()
        self.assertAllClose(
            equalized(images) / size, wanted / size, rtol=0, atol=1e-4
        )
        for before, after in zip(weights, model.get_weights(), strict=True):
            self.assertAllEqual(before, after)

    @parameterized.named_parameters(*BETWEEN)
    def test_ranges_are_equal_across(self, between):
        """Eq. 11: both ranges become sqrt(r1 r2)."""
        model = _skewed(
            keras.Sequential(
                [
                    keras.Input((8, 8, 2)),
                    layers.Conv2D(5, 3, activation="relu", name="first"),
                    *between(),
                    layers.Conv2D(3, 1, name="second"),
                ]
            )
        )
        equalized = equalize(model)
        self._assert_same(model, equalized)

        def ranges(net):
            first = np.abs(net.get_layer("first").get_weights()[0])
            second = np.abs(net.get_layer("second").get_weights()[0])
            return first.max((0, 1, 2)), second.max((0, 1, 3))

        r1, r2 = ranges(model)
        for found in ranges(equalized):
            self.assertAllClose(found, np.sqrt(r1 * r2), rtol=1e-4)

    def test_all_kinds_of_layers_form_pairs(self):
        inputs = keras.Input((6, 6, 3))
        x = layers.Conv2DTranspose(4, 2, activation="relu", name="up")(inputs)
        x = layers.DepthwiseConv2D(2, depth_multiplier=2, name="dw")(x)
        x = layers.ReLU()(x)
        x = layers.Conv2DTranspose(3, 2, name="up2")(x)
        x = layers.GlobalAveragePooling2D()(layers.ReLU()(x))
        x = layers.Dense(6, activation="relu", name="d1")(x)
        model = _skewed(keras.Model(inputs, layers.Dense(2, name="d2")(x)))
        pairs, skipped = layer_pairs(model)
        self.assertEqual(
            {(pair.first, pair.second) for pair in pairs},
            {("up", "dw"), ("dw", "up2"), ("up2", "d1"), ("d1", "d2")},
        )
        self.assertEqual(
            skipped, {"d2": "its output is an output of the model"}
        )
        self._assert_same(model, equalize(model))

    def test_nested_models_are_opened(self):
        inner = keras.Sequential(
            [
                keras.Input((4,)),
                layers.Dense(6, activation="relu", name="a"),
                layers.Dense(4, name="b"),
            ],
            name="inner",
        )
        inputs = keras.Input((4,))
        model = _skewed(
            keras.Model(inputs, layers.Dense(2, name="c")(inner(inputs)))
        )
        ((pair,), _) = layer_pairs(model)
        self.assertEqual((pair.first, pair.second), ("inner/a", "inner/b"))
        self._assert_same(model, equalize(model))

    def test_what_is_not_homogeneous_or_not_alone_is_skipped(self):
        inputs = keras.Input((4, 4, 2))
        x = layers.Conv2D(4, 1, activation="tanh", name="tanh")(inputs)
        x = layers.Conv2D(4, 1, name="branch")(x)
        y = layers.ReLU()(layers.Conv2D(4, 1, name="added")(x))
        x = layers.Add(name="add")([x, y])
        x = layers.Conv2D(4, 1, name="norm")(x)
        x = layers.BatchNormalization(name="bn")(x)
        x = layers.Conv2D(4, 1, name="flat")(x)
        x = layers.Dense(2, name="last")(layers.Flatten(name="flatten")(x))
        model = _skewed(keras.Model(inputs, x))
        pairs, skipped = layer_pairs(model)
        self.assertEqual(pairs, [])
        for name, why in {
            "tanh": "not homogeneous",
            "branch": "more than once",
            "added": "other inputs",
            "norm": "fold_batch_norm first",
            "flat": "Flatten",
            "last": "output of the model",
        }.items():
            self.assertIn(why, skipped[name])
        with self.assertRaisesRegex(ValueError, "Expected pairs"):
            equalize(model)

    def test_relu6_is_kept_unless_it_is_to_be_replaced(self):
        def make(largest):
            return _skewed(
                keras.Sequential(
                    [
                        keras.Input((4,)),
                        layers.Dense(5, name="first"),
                        layers.ReLU(max_value=largest, name="r"),
                        layers.Dense(5, name="second"),
                    ]
                )
            )

        with self.assertRaisesRegex(ValueError, "such as ReLU6"):
            equalize(make(6.0))
        self._assert_same(make(None), equalize(make(6.0), relu6="relu"))
        with self.assertRaisesRegex(ValueError, "relu6='keep'"):
            equalize(make(6.0), relu6="drop")

    def test_a_model_that_would_compute_something_else_is_refused(self):
        first = keras.layers.Dense(3)
        model = keras.Sequential(
            [keras.Input((3,)), first, keras.layers.Dense(2)]
        )
        first.call = lambda inputs, training=None: inputs + 7.0
        with self.assertRaisesRegex(ValueError, "without equalize"):
            equalize(model)

    def test_a_channel_without_weights_stays(self):
        model = keras.Sequential(
            [
                keras.Input((2,)),
                layers.Dense(2, activation="relu", name="first"),
                layers.Dense(1, name="second"),
            ]
        )
        model.set_weights(
            [
                np.array([[0.0, 8.0], [0.0, -2.0]]),
                np.array([3.0, 1.0]),
                np.array([[5.0], [2.0]]),
                np.array([0.0]),
            ]
        )
        kernel, bias, other, _ = equalize(model).get_weights()
        self.assertAllClose(kernel, [[0, 4], [0, -1]])
        self.assertAllClose(bias, [3, 0.5])
        self.assertAllClose(other, [[5], [4]])

    def test_per_tensor_int8_errs_less_on_depthwise_separable_nets(self):
        folded = _scale_channels(fold_batch_norm(_depthwise_separable()))
        equalized = equalize(folded)
        self._assert_same(folded, equalized)
        images = _images(folded, 16)
        wanted = np.asarray(folded(images))
        errors = []
        for model in (folded, equalized):
            copy = fake_quantize_model(model, Placement(activations=None))
            set_operating_point(copy, OperatingPoint(8, None))
            errors.append(np.mean((np.asarray(copy(images)) - wanted) ** 2))
        self.assertLess(errors[1], 0.1 * errors[0], errors)

    def test_a_class_of_ones_own_is_in_no_pair(self):
        """A kernel of signs does not change with its scale."""

        class Binary(keras.layers.Dense):
            def call(self, inputs):
                return inputs @ tf.sign(tf.convert_to_tensor(self.kernel))

        dense = keras.layers.Dense
        model = keras.Sequential(
            [keras.Input((3,)), dense(4), Binary(4, name="binary"), dense(2)]
        )

        with self.assertRaisesRegex(ValueError, "binary is a Binary"):
            equalize(model)


if __name__ == "__main__":
    tf.test.main()
