import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from converted import ConvertedRun, convert
from export_nets import images, model_of
from litert_files import EIGHT_BIT_ENDS, at_point

from kure_tf import compat
from kure_tf.compat import keras
from kure_tf.export import check_converted_file, fake_quant_model
from kure_tf.fake_quantized import (
    fake_quantize_model,
    paper_placement,
    set_operating_point,
    tflite_placement,
)
from kure_tf.quantizers import UniformQuantizer

layers = keras.layers
_SHAPE = (6, 6, 3)


def _images():
    rng = np.random.default_rng(0)
    return rng.uniform(-1, 1, (8, *_SHAPE)).astype(np.float32)


def _quantized(make, placement=EIGHT_BIT_ENDS, point="4/8"):
    inputs = keras.Input(_SHAPE)
    x = layers.Conv2D(3, 3, padding="same", name="first")(inputs)
    x = layers.Dense(2, name="last")(layers.Flatten()(make(x)))
    model = keras.Model(inputs, x, name="net")
    return at_point(model, _images(), point, placement)


def _twice(x):
    conv = layers.Conv2D(3, 1, name="both")
    return conv(conv(x))


def _lstm(x):
    return layers.LSTM(2, name="lstm")(layers.Reshape((6, 18))(x))


def _transposed(x):
    return layers.Conv2DTranspose(2, 3, name="up")(x)


def _three(x):
    return layers.Add(name="sum")([x, x, layers.ReLU()(x)])


def _elu(x):
    return layers.Conv2D(2, 1, activation="elu", name="conv")(x)


def _ceiling(x):
    return layers.ReLU(2.0, name="ceiling")(x)


def _separable(x):
    return layers.SeparableConv2D(2, 3, name="apart")(x)


def _same(x):
    return x


class RefusalTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.named_parameters(
        ("shared", _twice, "Conv2D 'both': it is used more than once"),
        ("lstm", _lstm, "LSTM 'lstm': the converter computes it in float"),
        ("three", _three, "Add 'sum': it takes 3 tensors at once"),
        ("elu", _elu, "Activation 'conv_activation': .* in float"),
        ("ceiling", _ceiling, "ReLU 'ceiling': .* in float"),
        ("separable", _separable, "SeparableConv2D 'apart'.*no integer"),
    )
    def test_layers_that_the_converter_leaves_in_float(self, make, message):
        with self.assertRaisesRegex(ValueError, message):
            fake_quant_model(_quantized(make), [_images()])

    def test_a_transposed_convolution_with_a_step_per_channel(self):
        quantized = _quantized(_transposed, tflite_placement())

        with self.assertRaisesRegex(ValueError, "Conv2DTranspose 'up'.*one sc"):
            fake_quant_model(quantized, [_images()])

    def test_a_layer_pinned_to_float(self):
        quantized = _quantized(_elu, paper_placement(last_layer=8))

        with self.assertRaisesRegex(ValueError, "'first' is in float"):
            fake_quant_model(quantized, [_images()])

    @parameterized.named_parameters(
        ("weights", "FP/8", "'first/kernel' is in float"),
        ("activations", "8/FP", "the input of 'first' is in float"),
    )
    def test_a_point_in_float(self, point, message):
        placement = paper_placement(first_layer=None, last_layer=None)
        quantized = _quantized(_same, placement, "8/8")
        set_operating_point(quantized, point)

        with self.assertRaisesRegex(ValueError, message):
            fake_quant_model(quantized, [_images()])

    def test_codes_beyond_int8(self):
        """Odd multiples of half a step: -255, -253, ..., 255 at 8 bits."""
        placement = paper_placement(
            weights=UniformQuantizer("reference"), first_layer=4, last_layer=8
        )

        with self.assertRaisesRegex(ValueError, "'last/kernel', 8 bits of"):
            fake_quant_model(_quantized(_same, placement), [_images()])

    def test_a_bias_that_int32_does_not_hold(self):
        quantized = _quantized(_same)
        quantized.get_layer("first").layer.bias.assign([1e9, 0.0, 0.0])

        with self.assertRaisesRegex(ValueError, "'first/kernel' needs the sca"):
            fake_quant_model(quantized, [_images()])

    def test_models_and_arguments_that_are_no_use(self):
        quantized = _quantized(_same)
        plain = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
        counts = keras.Input((4,), dtype="int32", name="counts")
        as_float = layers.Rescaling(0.5)(counts)
        whole = keras.Model(counts, layers.Dense(2)(as_float))
        whole = fake_quantize_model(whole, EIGHT_BIT_ENDS)

        with self.assertRaisesRegex(ValueError, "'int8', 'int4'.*: 'int2'"):
            fake_quant_model(quantized, [_images()], container="int2")
        with self.assertRaisesRegex(ValueError, "is in float"):
            fake_quant_model(plain, [np.zeros((1, 3))])
        with self.assertRaisesRegex(ValueError, "'counts'.*dtype int32"):
            fake_quant_model(whole, [np.zeros((1, 4), np.int32)])
        with self.assertRaisesRegex(ValueError, "at least one batch"):
            fake_quant_model(quantized, [])

    def test_tfmot_with_a_scheme_of_its_own(self):
        if compat.IS_KERAS_3:
            self.skipTest("tfmot wraps layers of tf_keras.")
        from kure_tf.qat.tfmot import LSQQuantizeConfig, quantize_scope
        from kure_tf.qat.tfmot.imported import tfmot

        tools = tfmot.quantization.keras
        conv = layers.Conv2D(2, 3, name="conv")
        annotated = keras.Sequential(
            [
                keras.Input(_SHAPE),
                tools.quantize_annotate_layer(conv, LSQQuantizeConfig(4, 4)),
            ]
        )
        with quantize_scope():
            applied = tools.quantize_apply(annotated)

        with self.assertRaisesRegex(ValueError, "scheme=KureQuantizeScheme"):
            fake_quant_model(applied, [_images()])


class CheckConvertedFileTest(tf.test.TestCase):
    def setUp(self):
        super().setUp()
        self.quantized = at_point(model_of("plain"), images(), "4/8")
        self.model = fake_quant_model(self.quantized, [images()])

    def test_a_kernel_that_was_tampered_with_is_named(self):
        content = bytearray(convert(self.model))
        file = ConvertedRun(bytes(content), images())
        (codes,) = (one for one in file.int8 if len(one) == 8 * 3 * 3 * 6)
        content[content.index(codes)] ^= 1

        with self.assertRaisesRegex(ValueError, "the codes of 'c2/kernel'"):
            check_converted_file(bytes(content), self.quantized)

    def test_another_point_has_other_codes(self):
        content = convert(self.model)
        set_operating_point(self.quantized, "3/8")

        with self.assertRaisesRegex(ValueError, "the codes of 'c2/kernel'"):
            check_converted_file(content, self.quantized)

    def test_another_step_size_has_other_scales(self):
        content = convert(self.model)
        set_operating_point(self.quantized, "4/8 x1/1.1")

        with self.assertRaisesRegex(ValueError, "'c2/kernel'.*input scale is"):
            check_converted_file(content, self.quantized)

    def test_a_file_in_float(self):
        content = convert(self.model, optimizations=[])

        with self.assertRaisesRegex(ValueError, "in float: .'CONV_2D': 2"):
            check_converted_file(content, self.quantized)


if __name__ == "__main__":
    tf.test.main()
