"""Layers inside SpectralNormalization: quantized, trained, exported."""

import functools

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from absl.testing import parameterized
from litert_files import run

from kure_tf import (
    compat,
    fake_quantize_model,
    regularize_kurtosis,
    set_operating_point,
)
from kure_tf.compat import keras
from kure_tf.export import simulate, to_integer_graph, write
from kure_tf.fake_quantized import (
    Placement,
    fold_batch_norm,
    integer_weights,
    quantizers_of,
    set_step_sizes,
    tflite_placement,
    unwrap_spectral_normalization,
)
from kure_tf.ptq import calibrate, minmax
from kure_tf.regularizers.attach import choose_kernels
from kure_tf.settings import OperatingPoint

layers = keras.layers
_WEIGHTS = Placement(activations=None)


def _normalized(layer, name):
    return layers.SpectralNormalization(layer, name=name)


@functools.cache
def _net():
    keras.utils.set_random_seed(0)
    conv = layers.Conv2D(3, 3, activation="relu", bias_initializer="normal")
    net = [
        keras.Input((6, 6, 2), name="image"),
        _normalized(conv, "conv"),
        layers.Flatten(),
        _normalized(layers.Dense(4), "logits"),
    ]
    return keras.Sequential(net, name="net")


def _images(count=32):
    random = np.random.default_rng(0)
    return random.normal(size=(count, 6, 6, 2)).astype(np.float32)


def _dense(kernel, steps=()):
    """A model of one dense layer without bias, spectrally normalized."""
    inputs = keras.Input((*steps, len(kernel)))
    dense = layers.Dense(kernel.shape[1], use_bias=False)
    layer = _normalized(dense, "dense")
    if steps:
        layer = layers.TimeDistributed(layer, name="dense")
    model = keras.Model(inputs, layer(inputs))
    dense.kernel.assign(kernel)
    return model


def _largest_singular_value(kernel, u):
    """As one iteration estimates it (Miyato et al. 2018, Algorithm 1)."""
    v = u @ kernel.T
    v /= np.linalg.norm(v)
    u = v @ kernel
    return (v @ kernel @ (u / np.linalg.norm(u)).T).item()


class SpectralNormalizationTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.named_parameters(("alone", ()), ("at_each_step", (3,)))
    def test_a_training_step_quantizes_the_normalized_kernel(self, steps):
        """In NumPy: kernel / sigma is written, then moved by its gradient."""
        random = np.random.default_rng(0)
        kernel, x = 3 * random.normal(size=(5, 4)), random.normal(size=(8, 5))
        model, target = _dense(kernel, steps), random.normal(size=(8, 4))
        layer = model.get_layer("dense")
        u = compat.to_numpy((layer.layer if steps else layer).vector_u)
        quantized = fake_quantize_model(model, _WEIGHTS)
        set_operating_point(quantized, "4/FP")
        quantized.compile(keras.optimizers.SGD(0.5), "mse")
        given = x, target
        if steps:  # All of them at each, so that the gradient is the same.
            given = [np.stack([one] * 3, axis=1) for one in given]
        quantized.fit(*given, batch_size=8, verbose=0)

        normalized = kernel / _largest_singular_value(kernel, u)
        step = np.abs(kernel).max() / 7  # Found before the training.
        error = x @ (np.rint(normalized / step) * step) - target
        (tensor,) = quantizers_of(quantized).values()
        self.assertAllClose(
            compat.to_numpy(tensor.variable),
            normalized - 0.5 * 2 / error.size * x.T @ error,
            rtol=1e-4,
            atol=1e-5,
        )

    @pytest.mark.one_keras
    def test_a_kernel_of_zeros_stays(self):
        """Keras leaves it: its largest singular value is 0."""
        quantized = fake_quantize_model(_dense(np.zeros((2, 2))), _WEIGHTS)
        set_operating_point(quantized, "4/FP")
        answer = quantized(np.ones((1, 2), np.float32), training=True)
        self.assertAllEqual(answer, [[0, 0]])

    def test_it_is_saved_and_loaded(self):
        """Inside another wrapper, too: tf_keras alone loads neither."""
        dense = _normalized(layers.Dense(2), "dense")
        inputs = keras.Input((3, 4))
        outputs = layers.TimeDistributed(_normalized(layers.Dense(4), "in"))(
            dense(inputs)
        )
        quantized = fake_quantize_model(keras.Model(inputs, outputs), _WEIGHTS)
        set_operating_point(quantized, "4/FP")
        file = f"{self.get_temp_dir()}/model.keras"
        quantized.save(file)
        x = np.random.default_rng(0).normal(size=(2, 3, 4))
        self.assertAllEqual(compat.load_model(file)(x), quantized(x))

    @pytest.mark.one_keras
    def test_kure_sees_the_kernel_inside(self):
        model = regularize_kurtosis(_net(), layers=["logits"], coefficient=2.0)
        kernel = _net().get_layer("logits").layer.kernel
        kurtosis = scipy.stats.kurtosis(
            np.ravel(compat.to_numpy(kernel)), fisher=False
        )
        self.assertAllClose(sum(model.losses), 2 * (kurtosis - 1.8) ** 2)

    @pytest.mark.one_keras
    def test_kure_takes_a_normalized_convolution_for_one(self):
        inputs = keras.Input((6, 6, 2))
        first = layers.Conv2D(2, 1, name="first")(inputs)
        outputs = _normalized(layers.Conv2D(3, 3), "conv")(first)
        model = keras.Model(inputs, layers.Dense(2)(outputs))
        taken, _ = choose_kernels(model, "convs_but_first")
        self.assertEqual(list(taken), ["conv"])

    def test_a_file_answers_what_is_foretold(self):
        placement = tflite_placement(dense_per_tensor=True)
        quantized = fake_quantize_model(_net(), placement)
        steps = minmax(calibrate(quantized, _images()), OperatingPoint(4, 8))
        set_step_sizes(quantized, steps)
        set_operating_point(quantized, "4/8")
        graph = to_integer_graph(quantized, _images())

        stored = {one.path: one.codes for one in graph.weights.values()}
        for path, weights in integer_weights(quantized).items():
            self.assertAllEqual(stored[path].ravel(), weights.codes.ravel())
        images = _images(8)
        codes = simulate(graph, images)
        (port,) = graph.inputs
        given = graph.quantization(port).codes_of(images)
        self.assertAllEqual(run(write(graph), [given]), codes)
        (output,) = graph.outputs
        answers = graph.quantization(output)
        self.assertAllClose(
            answers.values_of(codes), quantized(images), atol=answers.scale
        )

    def test_unwrapped_layers_are_plain_ones(self):
        unwrapped = unwrap_spectral_normalization(_net())
        self.assertEqual(
            [type(layer).__name__ for layer in unwrapped.layers],
            ["Conv2D", "Flatten", "Dense"],
        )
        self.assertEqual(
            [layer.name for layer in unwrapped.layers],
            [layer.name for layer in _net().layers],
        )
        kernel = np.linspace(-1, 1, 6).reshape(3, 2)
        x = np.eye(3, dtype=np.float32)
        self.assertAllClose(
            unwrap_spectral_normalization(_dense(kernel))(x), kernel
        )

    @pytest.mark.one_keras
    def test_batch_norm_behind_an_unwrapped_layer_is_folded(self):
        inputs = keras.Input((4,))
        x = _normalized(layers.Dense(3), "dense")(inputs)
        model = keras.Model(inputs, layers.BatchNormalization()(x))
        folded = fold_batch_norm(unwrap_spectral_normalization(model))
        self.assertEqual(type(folded.layers[-1]).__name__, "FoldedAway")

    @pytest.mark.one_keras
    def test_a_model_with_quantizers_is_stripped_first(self):
        quantized = fake_quantize_model(_net(), "tflite")
        with self.assertRaisesRegex(ValueError, "strip_quantizers"):
            unwrap_spectral_normalization(quantized)


if __name__ == "__main__":
    tf.test.main()
