import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from kure_tf import fake_quantize_model, set_operating_point
from kure_tf.compat import IS_KERAS_3, keras
from kure_tf.fake_quantized import fold_batch_norm
from kure_tf.fake_quantized.fold import FoldedAway
from kure_tf.fake_quantized.same_outputs import check_same_outputs

layers = keras.layers

BEFORE = (
    ("conv1d", lambda b: layers.Conv1D(3, 2, use_bias=b), (5, 2)),
    ("conv2d", lambda b: layers.Conv2D(3, 2, use_bias=b), (5, 5, 2)),
    ("grouped", lambda b: layers.Conv2D(4, 2, groups=2, use_bias=b), (5, 5, 2)),
    ("conv3d", lambda b: layers.Conv3D(2, 2, use_bias=b), (3, 3, 3, 2)),
    (
        "depthwise",
        lambda b: layers.DepthwiseConv2D(2, depth_multiplier=3, use_bias=b),
        (5, 5, 2),
    ),
    (
        "separable",
        lambda b: layers.SeparableConv2D(3, 2, use_bias=b),
        (5, 5, 2),
    ),
    (
        "transposed",
        lambda b: layers.Conv2DTranspose(3, 2, strides=2, use_bias=b),
        (4, 4, 2),
    ),
    ("dense", lambda b: layers.Dense(3, use_bias=b), (4,)),
    ("dense_on_sequences", lambda b: layers.Dense(3, use_bias=b), (2, 4)),
)


def _randomized(model, seed=0):
    """Random weights: negative gammas, means off zero, positive variances."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            _randomized(layer, seed + 1)
        elif isinstance(layer, layers.BatchNormalization):
            values = [rng.normal(0, 1, w.shape) for w in layer.get_weights()]
            values[-1] = np.abs(values[-1]) + 0.1
            layer.set_weights(values)
        else:
            layer.set_weights(
                [rng.normal(0, 0.4, w.shape) for w in layer.get_weights()]
            )
    return model


def _images(model, count=3):
    shape = (count, *model.inputs[0].shape[1:])
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def _norms_left(model):
    return [
        layer.name
        for layer in model.layers
        if isinstance(layer, layers.BatchNormalization)
    ]


class FoldTest(tf.test.TestCase, parameterized.TestCase):
    def _assert_folded(self, model, left=()):
        folded = fold_batch_norm(model)
        images = _images(model)
        weights = model.get_weights()
        self.assertAllClose(model(images), folded(images), rtol=1e-5, atol=1e-5)
        self.assertEqual(_norms_left(folded), list(left))
        for before, after in zip(weights, model.get_weights(), strict=True):
            self.assertAllEqual(before, after)
        return folded

    @parameterized.named_parameters(*BEFORE)
    def test_outputs_are_equal_after(self, make, shape):
        for use_bias, scale, center in (
            (True, True, True),
            (False, True, False),
            (True, False, True),
        ):
            inputs = keras.Input(shape)
            x = make(use_bias)(inputs)
            x = layers.BatchNormalization(
                scale=scale, center=center, epsilon=0.01
            )(x)
            self._assert_folded(_randomized(keras.Model(inputs, x)))

    def test_sequential_models_are_folded(self):
        model = keras.Sequential(
            [
                keras.Input((4, 4, 1)),
                layers.Conv2D(3, 2),
                layers.BatchNormalization(name="norm"),
                layers.ReLU(),
            ]
        )
        folded = self._assert_folded(_randomized(model))
        self.assertIsInstance(folded.get_layer("norm"), FoldedAway)

    def test_nested_models_used_twice_are_folded(self):
        inner = keras.Sequential(
            [
                keras.Input((4,)),
                layers.Dense(4),
                layers.BatchNormalization(),
                layers.ReLU(),
            ],
            name="inner",
        )
        inputs = keras.Input((4,))
        model = _randomized(keras.Model(inputs, inner(inner(inputs))))
        folded = self._assert_folded(model)
        self.assertEmpty(_norms_left(folded.get_layer("inner")))

    def test_what_stands_between_keeps_batch_norm(self):
        inputs = keras.Input((4,))
        x = layers.Dense(4, activation="relu")(inputs)
        x = layers.BatchNormalization(name="after_activation")(x)
        x = layers.ReLU()(layers.Dense(4)(x))
        x = layers.BatchNormalization(name="after_relu")(x)
        x = layers.Dense(4)(x)
        x = layers.BatchNormalization(name="folded")(x)
        self._assert_folded(
            _randomized(keras.Model(inputs, x)),
            ["after_activation", "after_relu"],
        )

    def test_an_output_that_something_else_uses_keeps_batch_norm(self):
        inputs = keras.Input((4,))
        x = layers.Dense(4)(inputs)
        y = layers.BatchNormalization(name="beside")(x)
        x = layers.Add()([x, y])
        z = layers.Dense(4, name="end")(x)
        y = layers.BatchNormalization(name="of_an_output")(z)
        model = _randomized(keras.Model(inputs, [y, z]))
        folded = fold_batch_norm(model)
        images = _images(model)
        for expected, found in zip(model(images), folded(images), strict=True):
            self.assertAllClose(expected, found, atol=1e-5)
        self.assertEqual(_norms_left(folded), ["beside", "of_an_output"])

    def test_shared_layers_keep_batch_norm(self):
        dense, norm = layers.Dense(4), layers.BatchNormalization(name="shared")
        inputs = keras.Input((4,))
        x = layers.BatchNormalization(name="once")(dense(dense(inputs)))
        x = norm(layers.Dense(4)(norm(layers.Dense(4)(x))))
        model = _randomized(keras.Model(inputs, x))
        self._assert_folded(model, ["once", "shared"])

    def test_layers_shared_with_a_nested_model_keep_batch_norm(self):
        dense, norm = layers.Dense(4), layers.BatchNormalization(name="norm")
        inside = keras.Input((4,))
        inner = keras.Model(inside, norm(dense(inside)), name="inner")
        inputs = keras.Input((4,))
        model = keras.Model(
            inputs, layers.Add()([dense(inputs), inner(inputs)])
        )
        folded = self._assert_folded(_randomized(model))
        self.assertEqual(_norms_left(folded.get_layer("inner")), ["norm"])

    def test_another_axis_keeps_batch_norm(self):
        inputs = keras.Input((4, 3))
        x = layers.Dense(3)(inputs)
        x = layers.BatchNormalization(axis=1, name="rows")(x)
        self._assert_folded(_randomized(keras.Model(inputs, x)), ["rows"])

    def test_folded_layers_keep_their_regularizer(self):
        inputs = keras.Input((4,))
        x = layers.Dense(3, kernel_regularizer=keras.regularizers.L2(0.1))(
            inputs
        )
        model = _randomized(keras.Model(inputs, layers.BatchNormalization()(x)))
        folded = fold_batch_norm(model)
        (loss,) = folded.losses
        kernel = np.array(folded.layers[1].kernel)
        self.assertAllClose(loss, 0.1 * np.sum(kernel**2))

    def test_the_tflite_placement_quantizes_folded_kernels_per_channel(self):
        inputs = keras.Input((4,))
        x = layers.Dense(3, use_bias=False, name="d")(inputs)
        x = layers.BatchNormalization(name="norm")(x)
        model = _randomized(keras.Model(inputs, x))
        kernel = np.array(model.get_layer("d").kernel, np.float64)
        gamma, beta, mean, variance = model.get_layer("norm").get_weights()
        gain = gamma / np.sqrt(variance + model.get_layer("norm").epsilon)
        kernel *= gain
        step = np.abs(kernel).max(0) / 127
        images = _images(model)

        copy = fake_quantize_model(model, "tflite")
        set_operating_point(copy, "4/FP")  # The ends are pinned to 8 bits.

        expected = images @ (np.round(kernel / step) * step)
        expected += beta - mean * gain
        self.assertAllClose(copy(images), expected, atol=1e-5)

    def test_a_folded_model_survives_saving(self):
        inputs = keras.Input((4,))
        x = layers.BatchNormalization()(layers.Dense(3)(inputs))
        folded = fold_batch_norm(_randomized(keras.Model(inputs, x)))
        path = self.get_temp_dir() + "/folded.keras"
        folded.save(path)
        loaded = keras.models.load_model(path)
        self.assertAllEqual(loaded(_images(folded)), folded(_images(folded)))

    @parameterized.parameters("kernel", "norm")
    def test_a_class_of_ones_own_stays_as_it_is(self, which):
        class Squared(layers.Dense):
            def call(self, inputs):
                return inputs @ tf.square(tf.convert_to_tensor(self.kernel))

        class Halved(layers.BatchNormalization):
            def call(self, inputs, training=None, mask=None):
                return 0.5 * super().call(inputs, training=training)

        kernel = Squared if which == "kernel" else layers.Dense
        norm = Halved if which == "norm" else layers.BatchNormalization
        model = _randomized(
            keras.Sequential([keras.Input((3,)), kernel(4), norm()])
        )
        x = np.random.default_rng(1).normal(size=(5, 3)).astype(np.float32)

        self.assertAllEqual(fold_batch_norm(model)(x), model(x))

    def test_the_statistics_of_a_batch_keep_batch_norm(self):
        """training=True in the graph: pix2pix generators do that."""
        inputs = keras.Input((3,))
        norm = layers.BatchNormalization()
        outputs = norm(layers.Dense(4)(inputs), training=True)
        model = _randomized(keras.Model(inputs, outputs))
        x = np.random.default_rng(1).normal(3, 5, (5, 3)).astype(np.float32)

        y = fold_batch_norm(model)(x)

        gamma, beta = norm.get_weights()[:2]
        self.assertAllClose(y, model(x))
        self.assertAllClose(np.mean(y, 0), beta, atol=1e-4)
        self.assertAllClose(np.std(y, 0), np.abs(gamma), rtol=1e-2)

        plain = keras.Model(inputs, norm(layers.Dense(4)(inputs)))
        nested = keras.Model(inputs, plain(inputs, training=True))
        self.assertAllClose(fold_batch_norm(nested)(x), nested(x))

    def test_a_model_that_would_compute_something_else_is_refused(self):
        """As where a layer's call was replaced: the copy has the stock one."""
        layers = keras.layers
        dense = layers.Dense(3)
        model = keras.Sequential(
            [keras.Input((3,)), dense, layers.BatchNormalization()]
        )
        dense.call = lambda inputs, training=None: 2.0 * inputs
        with self.assertRaisesRegex(ValueError, "fold_batch_norm=False"):
            fold_batch_norm(model)

    def test_a_model_that_amplifies_last_bits_is_folded(self):
        """As deep nets with random weights do: 1e-7 becomes 2e-3 here."""
        model = _chaotic()
        x = np.random.default_rng(1).normal(size=(2, 8)).astype(np.float32)
        folded = fold_batch_norm(model)

        self.assertTrue(_norms_left(model))
        self.assertEmpty(_norms_left(folded))
        differences = np.abs(folded(x) - model(x))
        self.assertBetween(differences.max(), 1e-3, 0.1)

    def test_a_wrong_copy_of_such_a_model_is_refused_nevertheless(self):
        model, other = _chaotic(), _chaotic()
        bias = other.layers[1].bias
        bias.assign_add(1e-3 * np.ones(8))
        with self.assertRaisesRegex(ValueError, "computes the same"):
            check_same_outputs(model, other, tolerance=1e-3, way_out="")


def _chaotic():
    inputs = x = keras.Input((8,))
    for _ in range(6):
        x = layers.BatchNormalization()(layers.Dense(8)(x))
        x = layers.Activation(keras.ops.sin if IS_KERAS_3 else tf.sin)(x)
    rng = np.random.default_rng(0)
    model = keras.Model(inputs, x)
    for layer in model.layers:
        if isinstance(layer, layers.Dense):
            kernel, bias = layer.get_weights()
            layer.set_weights([rng.normal(0, 3, kernel.shape), bias])
    return model


if __name__ == "__main__":
    tf.test.main()
