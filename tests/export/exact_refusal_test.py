"""What no device holds is refused at the door, and leaves no file."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized
from litert_files import EIGHT_BIT_ENDS, at_point

from kure_tf import fake_quantize_model, set_operating_point
from kure_tf.compat import keras
from kure_tf.export import check_file, export_exact, to_integer_graph
from kure_tf.fake_quantized import paper_placement
from kure_tf.qat import quantize_aware
from kure_tf.quantizers import UniformQuantizer

pytestmark = pytest.mark.one_keras

_SHAPE = (6, 6, 2)
_REFERENCE = paper_placement(
    weights=UniformQuantizer("reference"), first_layer=8, last_layer=8
)


def _net(*layers):
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input(_SHAPE, name="image"),
            keras.layers.Conv2D(3, 3, activation="relu", name="conv"),
            *layers,
            keras.layers.Flatten(),
            keras.layers.Dense(3, name="logits"),
        ],
        name="net",
    )


def _images():
    random = np.random.default_rng(0)
    return random.normal(size=(8, *_SHAPE)).astype(np.float32)


def _mid_rise():
    return at_point(_net(), _images(), "8/8", _REFERENCE)


def _dorefa():
    return quantize_aware(
        _net(),
        "dorefa",
        8,
        8,
        placement=_REFERENCE,
        calibration=[_images()],
        engine="native",
        verbose=False,
    )


def _in_float():
    return at_point(_net(), _images(), "8/FP")


def _uncalibrated():
    return fake_quantize_model(_net(), EIGHT_BIT_ENDS)


def _unknown_operator():
    layer = keras.layers.UnitNormalization(name="normalized")
    return at_point(_net(layer), _images(), "8/8")


def _two_outputs():
    net = _net()
    (logits,) = net.outputs
    outputs = [logits, keras.layers.ReLU(name="more")(logits)]
    model = keras.Model(net.inputs, outputs, name="two")
    return at_point(model, _images(), "8/8")


class ExactRefusalTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.named_parameters(
        ("a_mid_rise_grid", _mid_rise, "from -127 to 127.*'reference'"),
        ("dorefas_own_grid", _dorefa, "from -127 to 127.*'reference'"),
        ("a_point_in_float", _in_float, "in float: conv/input"),
        ("uncalibrated_activations", _uncalibrated, "in float: conv/"),
        ("an_unknown_operator", _unknown_operator, "UnitNorm.* 'normalized'"),
        ("two_outputs", _two_outputs, "one output.*'two' with the outputs"),
    )
    def test_it_is_refused_and_nothing_is_written(self, make, message):
        path = pathlib.Path(self.get_temp_dir()) / "refused.tflite"
        images = _images()
        with self.assertRaisesRegex(ValueError, message):
            export_exact(make(), path, [images], [(images, np.zeros(8, int))])
        self.assertEmpty(list(path.parent.iterdir()))

    def test_uncalibrated_activations_reach_no_point(self):
        with self.assertRaisesRegex(ValueError, "to be calibrated before"):
            set_operating_point(_uncalibrated(), "8/8")

    def test_a_file_that_is_changed_later_is_found_out(self):
        model, images = at_point(_net(), _images(), "4/8"), _images()
        path = pathlib.Path(self.get_temp_dir()) / "changed.tflite"
        export_exact(
            model,
            path,
            [images],
            [(images, np.zeros(8, int))],
            progress=False,
        )
        graph = to_integer_graph(model, [images])
        content = bytearray(path.read_bytes())
        self.assertEmpty(check_file(bytes(content), graph).differences)
        codes = graph.weights["logits"].codes
        content[content.index(np.ascontiguousarray(codes.T).tobytes())] ^= 1

        found = check_file(bytes(content), graph)

        self.assertRegex(found.differences[0], "'logits/kernel'.*its values")
        self.assertEqual((found.kernels, found.equal_kernels), (2, 1))


if __name__ == "__main__":
    tf.test.main()
