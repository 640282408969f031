import numpy as np
import pytest
import tensorflow as tf
from converted import ConvertedRun, convert
from export_nets import images, model_of
from litert_files import EIGHT_BIT_ENDS, at_point

from kure_tf.compat import keras
from kure_tf.export import (
    check_converted_file,
    fake_quant_model,
    to_integer_graph,
    with_container,
)
from kure_tf.fake_quantized import (
    paper_placement,
    set_operating_point,
    tflite_placement,
)

pytestmark = pytest.mark.one_keras

layers = keras.layers
_SHAPE = (6, 6, 3)


def _images():
    rng = np.random.default_rng(0)
    return rng.uniform(-1, 1, (8, *_SHAPE)).astype(np.float32)


def _graph(make, placement=EIGHT_BIT_ENDS, point="4/8"):
    inputs = keras.Input(_SHAPE)
    x = layers.Conv2D(3, 3, padding="same", name="first")(inputs)
    x = layers.Dense(2, name="last")(layers.Flatten()(make(x)))
    model = keras.Model(inputs, x, name="net")
    model = at_point(model, _images(), point, placement)
    return to_integer_graph(model, [_images()])


def _twice(x):
    conv = layers.Conv2D(3, 1, name="both")
    return conv(conv(x))


class RefusalTest(tf.test.TestCase):
    def test_a_kernel_that_is_used_twice(self):
        with self.assertRaisesRegex(ValueError, "'both/kernel'.*more than on"):
            fake_quant_model(_graph(_twice))

    def test_a_transposed_convolution_with_a_step_per_channel(self):
        graph = _graph(
            layers.Conv2DTranspose(2, 3, name="up"), tflite_placement()
        )

        with self.assertRaisesRegex(ValueError, "'up/kernel'.*one scale"):
            fake_quant_model(graph)

    def test_two_bits(self):
        x = keras.Input((4,))
        y = layers.Dense(3, name="last")(layers.Dense(3, name="first")(x))
        model = keras.Model(x, y)
        values = np.eye(4, dtype=np.float32)
        placement = paper_placement(first_layer=2, last_layer=8)
        model = at_point(model, values, "2/8", placement)
        graph = with_container(to_integer_graph(model, [values]), 2)

        with self.assertRaisesRegex(ValueError, "'first/kernel'.*in 2 bits"):
            fake_quant_model(graph)

    def test_a_model_in_place_of_a_graph(self):
        with self.assertRaisesRegex(TypeError, "IntegerGraph.*Functional"):
            fake_quant_model(model_of("plain"))


class CheckConvertedFileTest(tf.test.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.quantized = at_point(model_of("plain"), images(), "4/8")
        cls.graph = to_integer_graph(cls.quantized, [images()])
        cls.content = convert(fake_quant_model(cls.graph))

    def _check_at(self, point):
        set_operating_point(self.quantized, point)
        graph = to_integer_graph(self.quantized, [images()])
        check_converted_file(self.content, graph)

    def test_a_kernel_that_was_tampered_with_is_named(self):
        content = bytearray(self.content)
        file = ConvertedRun(bytes(content), images())
        (codes,) = (one for one in file.int8 if len(one) == 8 * 3 * 3 * 6)
        content[content.index(codes)] ^= 1

        with self.assertRaisesRegex(ValueError, "the codes of 'c2/kernel'"):
            check_converted_file(bytes(content), self.graph)

    def test_another_point_has_other_codes(self):
        with self.assertRaisesRegex(ValueError, "the codes of 'c2/kernel'"):
            self._check_at("3/8")

    def test_another_step_size_has_other_scales(self):
        with self.assertRaisesRegex(ValueError, "'c2/kernel'.*input scale is"):
            self._check_at("4/8 x1/1.1")

    def test_a_file_in_float(self):
        content = convert(fake_quant_model(self.graph), optimizations=[])

        with self.assertRaisesRegex(ValueError, "in float: .'CONV_2D': 2"):
            check_converted_file(content, self.graph)


if __name__ == "__main__":
    tf.test.main()
