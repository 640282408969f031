import os

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized
from converted import (
    ConvertedRun,
    convert,
    convert_as_users_do,
    file_layout,
)
from export_nets import images, model_of
from litert_files import EIGHT_BIT_ENDS, at_point

from kure_tf import compat
from kure_tf.compat import keras
from kure_tf.export import (
    check_converted_file,
    fake_quant_model,
    simulate,
    to_integer_graph,
    with_container,
)
from kure_tf.fake_quantized import (
    integer_weights,
    paper_placement,
    quantizers_of,
    tflite_placement,
)
from kure_tf.qat import quantize_aware
from kure_tf.quantizers import UniformQuantizer

# Keras 3 runs what the native engine trains, whose file is the same there.
_ENGINE = "native" if compat.IS_KERAS_3 else "tfmot"
_TRAINED = {
    "native": (
        ("lsq", "lsq", "narrow"),
        ("dorefa", "dorefa", "narrow"),
        ("dorefa_of_odd_codes", "dorefa", "reference"),
    ),
    "tfmot": (("lsq", "lsq", "narrow"),),
}


def _gain(model, layer):
    """Returns float64 `[channels]` of the batch norm n1 behind c1; 1 else."""
    norms = dict(compat.batch_norms_of(model))
    norm = norms.get(layer.name.replace("c", "n"))
    if norm is None:
        return np.ones(1)
    variance = np.array(norm.moving_variance, np.float64)
    return np.array(norm.gamma) / np.sqrt(variance + norm.epsilon)


class FakeQuantModelTest(parameterized.TestCase, tf.test.TestCase):
    def check_file(self, quantized, file):
        """Compares all kernels and scales in a file with integer_weights."""
        hosts = {layer.name: layer for layer in quantized.layers}
        for path, ours in integer_weights(quantized).items():
            layer = hosts[path.split("/")[0]].layer
            gain = _gain(quantized, layer)
            codes, scales = ours.codes, ours.step_size.reshape(-1)
            if ours.zero_point:  # Odd multiples of half a step.
                codes, scales = 2 * codes + 1, scales / 2
            signs = np.sign(gain).astype(np.int8)
            if type(layer).__name__ == "DepthwiseConv2D" and signs.size > 1:
                signs = signs.reshape(-1, codes.shape[-1])
            codes = codes * signs
            codes = file_layout(codes.astype(np.int8), layer)
            self.assertIn(codes.tobytes(), file.int8, path)
            scales = scales * np.abs(gain)
            there = file.int8[codes.tobytes()]
            self.assertAllClose(
                there, np.broadcast_to(scales, there.shape), rtol=3e-7
            )

    def check_answers(self, file, model, images, lsb):
        """Compares a file's outputs with a Keras model's, in its codes.

        Its kernels round halves in another way than FakeQuant does; with few
        levels, one that goes the other way is seen far behind.
        """
        expected = np.asarray(model(images, training=False))
        apart = np.abs(file.outputs - expected).mean() / file.output_scale
        self.assertLess(apart, lsb)

    @parameterized.named_parameters(
        ("depthwise_4_4", "depthwise", "4/4", tflite_placement(), 4.0),
        ("residual", "residual", "3/8", EIGHT_BIT_ENDS, 0.5),
        ("residual_4_4", "residual", "4/4", EIGHT_BIT_ENDS, 4.0),
        ("branches", "branches", "4/8", EIGHT_BIT_ENDS, 1.0),
        ("dense_per_channel", "dense", "6/8", tflite_placement(), 0.5),
    )
    def test_the_converted_file_has_our_codes_and_answers(
        self, name, point, placement, lsb
    ):
        quantized = at_point(model_of(name), images(), point, placement)
        graph = to_integer_graph(quantized, [images()])

        model = fake_quant_model(graph)
        content = convert(model)

        file = ConvertedRun(content, images(seed=1))
        self.check_file(quantized, file)
        self.assertContainsSubset(file.dtypes, {"int8", "int32"})
        self.check_answers(file, model, images(seed=1), lsb)
        checked = check_converted_file(content, graph)
        self.assertEqual(set(checked.kernels), set(integer_weights(quantized)))
        self.assertEqual(checked.exact, len(checked.kernels))

    @pytest.mark.one_keras
    def test_further_layers_are_in_integers(self):
        layers = keras.layers
        slopes = keras.initializers.RandomUniform(-0.4, 0.8, seed=1)
        net = keras.Sequential(
            [
                keras.Input((8, 8, 3), name="image"),
                layers.SeparableConv2D(6, 3, name="separable"),
                layers.PReLU(slopes, shared_axes=[1, 2]),
                layers.Conv2D(8, 3, groups=2, name="grouped"),
                layers.ReLU(max_value=0.5),
                layers.Flatten(),
                layers.Dense(3, name="logits"),
            ]
        )
        graph = to_integer_graph(at_point(net, images(), "4/8"), [images()])

        content = convert(fake_quant_model(graph))

        self.assertEqual(check_converted_file(content, graph).exact, 4)
        file = ConvertedRun(content, images(seed=1))
        foretold = graph.quantization("logits").values_of(
            simulate(graph, images(seed=1))
        )
        apart = np.abs(file.outputs - foretold).max()
        self.assertLess(apart / file.output_scale, 1.5)

    @parameterized.named_parameters(*_TRAINED[_ENGINE])
    def test_trained_steps_are_in_the_file(self, method, grid):
        placement = paper_placement(
            first_layer=4, last_layer=4, weights=UniformQuantizer(grid)
        )
        trained = quantize_aware(
            model_of("plain"),
            method,
            4,
            4,
            placement=placement,
            calibration=[images()],
            engine=_ENGINE,
            verbose=False,
        )
        rng = np.random.default_rng(3)  # In place of training.
        for tensor in quantizers_of(trained).values():
            step_size = tensor.state.step_size
            step_size.assign(step_size * rng.uniform(0.8, 1.2))

        graph = to_integer_graph(trained, [images()])
        model = fake_quant_model(graph)
        content = convert(model)

        file = ConvertedRun(content, images(seed=1))
        self.check_file(trained, file)
        self.check_answers(file, model, images(seed=1), 4.0)
        self.assertContainsSubset(file.dtypes, {"int8", "int32"})
        check_converted_file(content, graph)

    @pytest.mark.one_keras
    def test_four_bits_are_stored_in_half_a_byte(self):
        quantized = at_point(model_of("plain"), images(), "4/8")
        graph = with_container(to_integer_graph(quantized, [images()]), 4)

        model = fake_quant_model(graph)
        content = convert(model)

        layer = quantized.get_layer("c2").layer
        gain = _gain(quantized, layer)
        codes = integer_weights(quantized)["c2/kernel"].codes
        codes = file_layout(codes * np.sign(gain).astype(np.int8), layer)
        low, high = codes.reshape(-1, 2).astype(np.uint8).T & 15
        self.assertIn((high << 4 | low).tobytes(), content)
        checked = check_converted_file(content, graph)
        self.assertEqual(
            checked.kernels,
            {"c1/kernel": "int8", "c2/kernel": "int4", "logits/kernel": "int8"},
        )
        file = ConvertedRun(content, images(seed=1))
        self.check_answers(file, model, images(seed=1), 1.0)

    @pytest.mark.one_keras
    def test_a_channel_that_is_nearly_dead_keeps_its_codes(self):
        """Its scale is below what the converter stores."""
        model = model_of("plain")
        kernel = np.array(model.get_layer("c2").kernel)
        kernel[..., 3] *= 1e-9
        model.get_layer("c2").kernel.assign(kernel)
        norm = model.get_layer("n2")
        gamma, beta, mean, variance = norm.get_weights()
        beta[3] = mean[3] = 0.0  # No bias, that int32 might not hold.
        norm.set_weights([gamma, beta, mean, variance])
        quantized = at_point(model, images(), "8/8", tflite_placement())

        graph = to_integer_graph(quantized, [images()])
        content = convert(fake_quant_model(graph))

        codes = integer_weights(quantized)["c2/kernel"].codes
        self.assertEqual(np.abs(codes[..., 3]).max(), 127)
        codes = file_layout(codes, quantized.get_layer("c2").layer)
        int8 = ConvertedRun(content, images(seed=1)).int8
        self.assertIn(codes.tobytes(), int8)
        self.assertGreater(int8[codes.tobytes()][3], 3.9e-9)
        check_converted_file(content, graph)

    def test_a_saved_model_converts_to_the_same(self):
        quantized = at_point(model_of("plain"), images(), "4/8")
        path = os.path.join(self.get_temp_dir(), "model.keras")
        graph = to_integer_graph(quantized, [images()])

        model = fake_quant_model(graph)
        model.save(path)
        loaded = keras.models.load_model(path, safe_mode=True)

        self.assertAllEqual(loaded(images(seed=1)), model(images(seed=1)))
        content = convert_as_users_do(loaded)
        self.assertEqual(check_converted_file(content, graph).exact, 3)
        self.assertAllEqual(
            ConvertedRun(content, images(seed=1)).outputs,
            ConvertedRun(convert(model), images(seed=1)).outputs,
        )

    @pytest.mark.one_keras
    def test_the_fake_quantized_model_is_left_as_it_was(self):
        quantized = at_point(model_of("plain"), images(), "4/8")
        before = quantized.get_weights(), quantized.to_json()

        fake_quant_model(to_integer_graph(quantized, [images()]))

        self.assertAllEqual(quantized.to_json(), before[1])
        for old, new in zip(before[0], quantized.get_weights(), strict=True):
            self.assertAllEqual(old, new)


if __name__ == "__main__":
    tf.test.main()
