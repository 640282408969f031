"""The numbers in an integer graph against NumPy's, and what is refused."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized
from litert_files import EIGHT_BIT_ENDS, at_point, randomized

from kure_tf.compat import keras, to_numpy
from kure_tf.export import simulate, to_integer_graph
from kure_tf.fake_quantized import integer_weights, paper_placement
from kure_tf.quantizers import UniformQuantizer

_SHAPE = (6, 6, 2)


def _images(count=32, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, *_SHAPE)).astype(np.float32)


@functools.cache
def _net(*, activation="relu"):
    """Two convolutions with batch norm, the second read by two layers."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input(_SHAPE, name="image")
    x = keras.layers.Conv2D(4, 3, name="first")(inputs)
    x = keras.layers.BatchNormalization(name="norm1")(x)
    x = keras.layers.Activation(activation, name="act1")(x)
    y = keras.layers.Conv2D(4, 3, padding="same", name="second")(x)
    y = keras.layers.BatchNormalization(name="norm2")(y)
    x = keras.layers.Add(name="add")([x, y])
    x = keras.layers.GlobalAveragePooling2D(name="mean")(x)
    outputs = keras.layers.Dense(3, name="logits")(x)
    model = randomized(keras.Model(inputs, outputs, name="net"))
    model.get_layer("norm2").gamma.assign([1.1, -0.8, 0.6, -1.3])
    return model


def _gain_and_shift(norm):
    """Returns what batch normalization does, by its definition."""
    gamma, beta, mean, variance = map(np.float64, norm.get_weights())
    gain = gamma / np.sqrt(variance + norm.epsilon)
    return gain, beta - mean * gain


def _graph(point, placement=EIGHT_BIT_ENDS, model=None):
    model = at_point(model or _net(), _images(), point, placement)
    return model, to_integer_graph(model, [_images()])


class CodesTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters("8/8", "4/8", "2/4")
    def test_codes_are_those_of_the_quantizers_but_for_signs(self, point):
        model, graph = _graph(point)

        expected = integer_weights(model)["second/kernel"].codes
        gain, _ = _gain_and_shift(_net().get_layer("norm2"))
        self.assertLess(gain.min(), 0.0)
        codes = graph.weights["norm2"].codes
        self.assertAllEqual(codes, expected * np.sign(gain).astype(int))

    def test_gains_go_into_the_scales_and_shifts_into_the_biases(self):
        model, graph = _graph("4/8")

        weights = graph.weights["act1"]
        gain, shift = _gain_and_shift(_net().get_layer("norm1"))
        step = integer_weights(model)["first/kernel"].step_size
        self.assertAllClose(weights.scales, step * np.abs(gain), rtol=1e-6)
        bias = to_numpy(_net().get_layer("first").bias) * gain + shift
        unit = graph.quantization("image").scale * weights.scales
        self.assertAllEqual(weights.biases, np.rint(bias / np.float64(unit)))

    @parameterized.parameters(("4/8", 8), ("4/4", 4), ("4/2", 2))
    @pytest.mark.one_keras
    def test_the_top_level_of_a_grid_is_code_127(self, point, bits):
        """Then saturation clips, and no operator has to."""
        _, graph = _graph(point)

        second = graph.operators[1 if bits == 8 else 2]
        quantization = graph.quantization(second.inputs[0])
        self.assertEqual(second.kind, "CONV_2D")
        self.assertEqual(quantization.zero_point, 127 - (2**bits - 1))
        self.assertEqual(quantization.lowest, quantization.zero_point)

    @pytest.mark.one_keras
    def test_the_full_range_reaches_one_code_further(self):
        model, graph = _graph("4/8 x0.7 full")

        expected = integer_weights(model)["second/kernel"].codes
        self.assertEqual((expected.min(), expected.max()), (-8, 7))
        gain, _ = _gain_and_shift(_net().get_layer("norm2"))
        codes = graph.weights["norm2"].codes
        self.assertAllEqual(codes, expected * np.sign(gain).astype(int))

    def test_scaled_images_of_whole_numbers_are_codes(self):
        """No operator divides by 255; a padding in between does not matter."""
        keras.utils.set_random_seed(0)
        layers = [
            keras.Input(_SHAPE, name="image"),
            keras.layers.Rescaling(1 / 255),
            keras.layers.ZeroPadding2D(1),
            keras.layers.Conv2D(4, 3, name="conv"),
            keras.layers.Flatten(),
            keras.layers.Dense(3, name="logits"),
        ]
        net = keras.Sequential(layers)
        images = np.random.default_rng(0).integers(0, 256, (32, *_SHAPE))
        images[0, 0, 0] = 0, 255
        images = np.float32(images)
        model = at_point(net, images, "4/8", EIGHT_BIT_ENDS)

        graph = to_integer_graph(model, [images])

        kinds = [operator.kind for operator in graph.operators]
        expected = ["PAD", "CONV_2D", "RESHAPE", "FULLY_CONNECTED"]
        self.assertEqual(kinds, expected)
        self.assertAllEqual(
            graph.quantization("image").codes_of(images), images - 128
        )
        step = integer_weights(model)["conv/kernel"].step_size
        self.assertAllClose(
            graph.weights["conv"].scales, np.ravel(step) / 255, rtol=1e-6
        )
        quantization = graph.quantization("logits")
        answers = quantization.values_of(simulate(graph, images))
        self.assertAllClose(answers, model(images), atol=4 * quantization.scale)

    def test_a_relu6_that_saturation_does_is_a_relu(self):
        """LiteRT cannot prepare 6 / scale where the scale is tiny."""
        _, graph = _graph("8/8", model=_net(activation="relu6"))

        operator = graph.operators[0]
        highest = graph.quantization(operator.output).values_of(127)
        self.assertLess(highest, 6.0)
        self.assertEqual(operator.activation, "RELU")

    @pytest.mark.one_keras
    def test_a_shortcut_stays_at_8_bits_beside_a_4_bit_input(self):
        _, graph = _graph("4/4")

        add = next(one for one in graph.operators if one.kind == "ADD")
        again = next(one for one in graph.operators if one.kind == "MUL")
        self.assertEqual(add.inputs[0], "act1")
        self.assertEqual(again.inputs, ("act1",))
        self.assertEqual(graph.quantization("act1").lowest, -128)

    @pytest.mark.one_keras
    def test_tensors_without_a_quantizer_span_what_was_seen(self):
        model, graph = _graph("8/8")

        seen = np.asarray(model(_images()))
        quantization = graph.quantization("logits")
        ends = quantization.values_of([-128, 127])
        self.assertAllClose(ends, [seen.min(), seen.max()], atol=0.02)
        self.assertEqual(quantization.values_of(quantization.zero_point), 0.0)

    @pytest.mark.one_keras
    def test_a_mid_rise_grid_becomes_odd_codes_of_half_the_step(self):
        placement = paper_placement(
            weights=UniformQuantizer("reference"), first_layer=7, last_layer=7
        )
        model, graph = _graph("3/8", placement)

        expected = integer_weights(model)["second/kernel"]
        weights = graph.weights["norm2"]
        self.assertAllEqual(np.unique(np.abs(weights.codes)), [1, 3, 5, 7])
        gain, _ = _gain_and_shift(_net().get_layer("norm2"))
        values = weights.codes * weights.scales / gain
        self.assertAllClose(values, expected.to_float(), rtol=1e-5)

    @pytest.mark.one_keras
    def test_a_channel_that_is_all_zeros_keeps_its_bias(self):
        """Batch norm divides it by sqrt(epsilon): its own scale is useless."""
        model = keras.models.clone_model(_net())
        model.set_weights(_net().get_weights())
        layer, norm = model.get_layer("second"), model.get_layer("norm2")
        kernel = np.array(layer.kernel)
        kernel[..., 1] = 0.0
        layer.kernel.assign(kernel)
        variance = np.array(norm.moving_variance)
        variance[1] = 0.0
        norm.moving_variance.assign(variance)

        _, graph = _graph("4/8", model=model)

        weights = graph.weights["norm2"]
        gain, shift = _gain_and_shift(norm)
        bias = (to_numpy(layer.bias) * gain + shift)[1]
        unit = graph.quantization("act1").scale * weights.scales[1]
        self.assertAllEqual(weights.codes[..., 1], np.zeros((3, 3, 4)))
        self.assertAllClose(weights.biases[1] * unit, bias, rtol=1e-5)
        self.assertEqual(weights.dead, ())

    @pytest.mark.one_keras
    def test_a_channel_below_what_int32_can_count_loses_its_codes(self):
        model = keras.models.clone_model(_net())
        model.set_weights(_net().get_weights())
        layer = model.get_layer("second")
        kernel = np.array(layer.kernel)
        kernel[..., 2] *= 1e-9
        layer.kernel.assign(kernel)
        placement = paper_placement(
            weights=UniformQuantizer("narrow", "per_channel"),
            first_layer=8,
            last_layer=8,
        )

        _, graph = _graph("4/8", placement, model)

        weights = graph.weights["norm2"]
        self.assertEqual(weights.dead, (2,))
        self.assertAllEqual(weights.codes[..., 2], np.zeros((3, 3, 4)))
        self.assertNotEqual(weights.biases[2], 0)


class RefusalsTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters("4/FP", "FP/FP")
    @pytest.mark.one_keras
    def test_a_point_in_float(self, point):
        with self.assertRaisesRegex(ValueError, "in float: first/"):
            _graph(point)

    @pytest.mark.one_keras
    def test_a_layer_that_is_pinned_to_float(self):
        with self.assertRaisesRegex(ValueError, "in float: logits/kernel"):
            _graph("8/8", paper_placement(first_layer=8))

    @pytest.mark.one_keras
    def test_a_grid_without_zero_at_8_bits(self):
        placement = paper_placement(
            weights=UniformQuantizer("reference"), first_layer=8, last_layer=8
        )
        with self.assertRaisesRegex(
            ValueError, "codes from .* 8 bits of the grid .re"
        ):
            _graph("8/8", placement)

    @pytest.mark.one_keras
    def test_the_lowest_code_of_8_bits(self):
        with self.assertRaisesRegex(ValueError, "-127.*codes from -128 to 127"):
            _graph("8/8 x0.7 full")

    @pytest.mark.one_keras
    def test_a_grid_without_zero_for_activations(self):
        placement = paper_placement(
            activations=UniformQuantizer("reference"),
            first_layer=8,
            last_layer=8,
        )
        with self.assertRaisesRegex(ValueError, "'reference'.*'logits'"):
            _graph("4/4", placement)

    @pytest.mark.one_keras
    def test_rounding_that_no_device_does(self):
        with self.assertRaisesRegex(ValueError, "nearest level.*'logits'"):
            _graph("4/4 floor")

    def test_a_layer_without_an_integer_operator(self):
        layers = [
            keras.Input(_SHAPE, name="image"),
            keras.layers.Conv2D(4, 3, name="conv"),
            keras.layers.UnitNormalization(name="normalized"),
            keras.layers.Flatten(),
            keras.layers.Dense(3, name="logits"),
        ]
        with self.assertRaisesRegex(ValueError, "UnitNormalization 'normal"):
            _graph("8/8", model=keras.Sequential(layers))

    def test_batch_norm_of_another_axis(self):
        layers = [
            keras.Input(_SHAPE, name="image"),
            keras.layers.Conv2D(4, 3, name="conv"),
            keras.layers.BatchNormalization(axis=1, name="rows"),
            keras.layers.Flatten(),
            keras.layers.Dense(3, name="logits"),
        ]
        with self.assertRaisesRegex(ValueError, "'rows'.*axis=.*1.* of 4"):
            _graph("8/8", model=keras.Sequential(layers))

    def test_an_activation_without_an_integer_operator(self):
        with self.assertRaisesRegex(ValueError, "'act1'.*'selu'"):
            _graph("8/8", model=_net(activation="selu"))

    def test_a_sum_with_a_constant_of_more_entries(self):
        inputs = keras.Input(_SHAPE, name="image")
        x = keras.layers.Conv2D(1, 3)(inputs) + np.ones((4, 4, 4), "float32")
        outputs = keras.layers.Dense(3)(keras.layers.Flatten()(x))
        with self.assertRaisesRegex(ValueError, "more axes or entries"):
            _graph("8/8", model=keras.Model(inputs, outputs))

    def test_a_constant_of_more_axes(self):
        inputs = keras.Input(_SHAPE, name="image")
        x = keras.layers.Flatten()(keras.layers.Conv2D(1, 3)(inputs))
        x = keras.layers.Dense(4)(x) + np.full((1, 1, 1), 0.5, "float32")
        with self.assertRaisesRegex(ValueError, "examples|axes or entries"):
            _graph("8/8", model=keras.Model(inputs, x))

    def test_a_layer_of_ones_own_that_is_derived_from_a_known_one(self):
        class Conv2D(keras.layers.Conv2D):
            """It may compute anything."""

        layers = [
            keras.Input(_SHAPE, name="image"),
            Conv2D(4, 3, name="mine"),
            keras.layers.Flatten(),
            keras.layers.Dense(3, name="logits"),
        ]
        with self.assertRaisesRegex(ValueError, "Conv2D 'mine': no integer"):
            _graph("8/8", model=keras.Sequential(layers))

    @pytest.mark.one_keras
    def test_a_model_without_quantizers(self):
        with self.assertRaisesRegex(ValueError, "fake_quantize_model"):
            to_integer_graph(_net(), [_images()])

    @pytest.mark.one_keras
    def test_no_calibration_images(self):
        model = at_point(_net(), _images(), "8/8")
        with self.assertRaisesRegex(ValueError, "at least one batch"):
            to_integer_graph(model, [])


if __name__ == "__main__":
    tf.test.main()
