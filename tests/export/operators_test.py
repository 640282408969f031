"""Every operator in a small network, against the interpreter."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized
from litert_files import KERNELS, calibrated, randomized, run, set_point

from kure_tf.compat import IS_KERAS_3, keras
from kure_tf.export import check_file, simulate, to_integer_graph, write

layers = keras.layers


def _activations(x):
    """Each function of one value behind a convolution, all put together."""
    names = ["sigmoid", "tanh", "gelu", "swish", "hard_sigmoid"]
    if IS_KERAS_3:
        names.append("hard_silu")
    functions = [*names, layers.LeakyReLU(), layers.ReLU(6.0)]
    return layers.Concatenate()(
        [layers.Conv2D(3, 1, activation=one)(x) for one in functions]
    )


def _squeeze_and_excite(x):
    x = layers.Conv2D(8, 3, activation="relu")(x)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Dense(4, activation="relu")(gate)
    gate = layers.Dense(8, activation="sigmoid")(gate)
    return layers.Multiply()([x, gate])


def _differences(x):
    a = layers.Conv2D(4, 1)(x)
    b = layers.Conv2D(4, 1)(x)
    c = layers.Conv2D(4, 1)(x)
    x = layers.Subtract()([a, b])
    return layers.ReLU()(layers.Add()([x, b, c]))


def _larger_pictures(x):
    x = layers.Conv2DTranspose(
        9, 3, strides=2, padding="same", activation="relu", name="transposed"
    )(x)
    a = layers.UpSampling2D(2, interpolation="bilinear")(x)
    b = layers.UpSampling2D(2)(x)
    x = layers.Concatenate()([a, b])
    return layers.Cropping2D(((1, 2), (0, 3)))(x)


def _affine_layers(x):
    """Batch norm that no convolution is in front of, and other such layers."""
    x = layers.Rescaling(1 / 3, offset=-0.7)(layers.Rescaling(2.0)(x))
    x = layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0])(x)
    x = layers.Conv2D(6, 3, activation="relu")(x)
    x = layers.BatchNormalization()(x)
    x = layers.Permute((2, 1, 3))(x)
    x = layers.Flatten()(layers.ReLU()(x))
    return layers.BatchNormalization()(x)


def _one_axis(x):
    x = layers.Reshape((16, 12))(x)
    x = layers.Conv1D(8, 3, padding="causal", dilation_rate=2)(x)
    x = layers.BatchNormalization()(x)
    x = layers.ReLU()(layers.ZeroPadding1D(1)(x))
    x = layers.DepthwiseConv1D(3, strides=2, padding="same")(x)
    x = layers.AveragePooling1D(2)(layers.MaxPooling1D(2, strides=1)(x))
    x = layers.SpatialDropout1D(0.5)(x)
    x = layers.EinsumDense("abc,cd->abd", (None, 6), bias_axes="d")(x)
    a = layers.GlobalAveragePooling1D()(x)
    b = layers.GlobalMaxPooling1D()(x)
    return layers.Concatenate()([a, b])


def _other_relus(x):
    x = layers.PReLU(_slopes(), shared_axes=[1, 2])(layers.Conv2D(6, 3)(x))
    x = layers.ReLU(max_value=0.7)(layers.Conv2D(6, 1)(x))
    a = layers.ReLU(negative_slope=0.1)(layers.Conv2D(4, 1)(x))
    return layers.PReLU(_slopes())(layers.Add()([a, layers.Conv2D(4, 1)(x)]))


def _slopes():
    return keras.initializers.RandomUniform(-0.4, 0.8, seed=1)


def _elu(x):
    return layers.ELU()(layers.Conv2D(4, 3, activation="elu")(x))


def _separable(x):
    x = layers.SeparableConv2D(
        6, 3, depth_multiplier=2, padding="same", activation="relu"
    )(x)
    x = layers.BatchNormalization()(layers.SeparableConv2D(4, 3)(x))
    x = layers.Reshape((12, 12))(x)
    return layers.SeparableConv1D(4, 3, strides=2, use_bias=False)(x)


def _grouped(x):
    x = layers.Conv2D(12, 3, activation="relu")(x)
    x = layers.BatchNormalization()(layers.Conv2D(20, 3, groups=4)(x))
    return layers.Reshape((4, 20))(layers.MaxPooling2D(2)(x))


def _enlarged_on_one_axis(x):
    x = layers.Conv1DTranspose(4, 3, strides=2)(layers.Reshape((32, 6))(x))
    return layers.UpSampling1D(2)(x)


def _operations(x):
    """What is written between layers, each in the spelling of its Keras."""
    if IS_KERAS_3:
        from keras import ops

        relu6, mean, concat = ops.relu6, ops.mean, ops.concatenate
    else:
        relu6, mean, concat = tf.nn.relu6, tf.reduce_mean, tf.concat
    x = layers.Conv2D(4, 3)(x / 2.0)  # Goes into the input's scale.
    y = layers.Conv2D(4, 1)(x) * np.float32([1.0, -2.0, 0.5, 3.0])
    gate = relu6(3.0 - layers.Conv2D(4, 1)(x)) * (1 / 6)
    x = concat([x + y, x - y, -(x * gate)], -1)
    pixels = x[:, 1:-1, 2, 3:]
    means = mean(x, axis=(1, 2), keepdims=True) - 0.1
    return concat([layers.Flatten()(pixels), layers.Flatten()(means)], -1)


_NETS = {
    "activations": _activations,
    "affine_layers": _affine_layers,
    "differences": _differences,
    "elu": _elu,
    "enlarged_on_one_axis": _enlarged_on_one_axis,
    "grouped": _grouped,
    "larger_pictures": _larger_pictures,
    "one_axis": _one_axis,
    "operations": _operations,
    "other_relus": _other_relus,
    "separable": _separable,
    "squeeze_and_excite": _squeeze_and_excite,
}


def _images(count=64):
    rng = np.random.default_rng(0)
    return rng.normal(size=(count, 8, 8, 3)).astype(np.float32)


@functools.cache
def _net(name):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3), name="image")
    x = layers.Flatten()(_NETS[name](inputs))
    outputs = layers.Dense(5, name="logits")(x)
    return randomized(keras.Model(inputs, outputs, name=name))


@functools.cache
def _calibrated(name):
    return calibrated(_net(name), _images())


@functools.cache
def _graph(name, point="8/8"):
    model, calibration = _calibrated(name)
    set_point(model, calibration, point)
    return to_integer_graph(model, [_images()])


class OperatorsTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.product(name=[*_NETS], point=["8/8", "4/5"])
    @pytest.mark.one_keras
    def test_no_code_differs(self, name, point):
        images, graph = _images(), _graph(name, point)
        content = write(graph, batch_size=len(images))

        found = check_file(content, graph)
        self.assertEqual((found.differences, found.float_operators), ((), 0))
        codes = graph.quantization("image").codes_of(images)
        for kernels in KERNELS[:2] if name == "elu" else KERNELS:
            self.assertAllEqual(
                simulate(graph, codes, kernels),
                run(content, [codes], kernels),
                kernels,
            )

    @parameterized.parameters(*_NETS)
    def test_answers_are_near_those_of_the_float_model(self, name):
        images, graph = _images(), _graph(name)

        answers = graph.quantization("logits").values_of(
            simulate(graph, images)
        )
        expected = np.asarray(_net(name)(images))
        error = np.sqrt(np.mean(np.square(answers - expected)))
        self.assertLess(error, 0.05 * np.std(expected))

    @pytest.mark.one_keras
    def test_the_reference_kernels_have_no_elu(self):
        with self.assertRaisesRegex(ValueError, "no ELU: .*'xnnpack'"):
            simulate(_graph("elu"), _images(2), "reference")

    @pytest.mark.one_keras
    def test_a_transposed_convolution_needs_a_batch_size(self):
        with self.assertRaisesRegex(ValueError, "batch_size.*transposed"):
            write(_graph("larger_pictures"))


if __name__ == "__main__":
    tf.test.main()
