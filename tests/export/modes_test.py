"""Files of a fake-quantized model in every mode keep the model's codes."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized
from export_nets import SHAPE, images
from litert_files import (
    EIGHT_BIT_ENDS,
    KERNELS,
    at_point,
    interpreter_of,
    randomized,
    run,
)

from kure_tf import set_operating_point
from kure_tf.compat import IS_KERAS_3, keras
from kure_tf.export import (
    to_integer_graph,
    to_tflite,
    verify,
    with_container,
    write,
)
from kure_tf.fake_quantized import integer_weights, paper_placement
from kure_tf.qat import quantize_aware
from kure_tf.quantizers import UniformQuantizer

layers = keras.layers
_PLACEMENTS = {
    "narrow": EIGHT_BIT_ENDS,
    "per_channel": "tflite",
    "mid_rise": paper_placement(
        weights=UniformQuantizer("reference"), first_layer=7, last_layer=7
    ),
}


@functools.cache
def _model(placement="narrow"):
    """Returns a net at 4/FP; some gains of its batch norms are negative."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input(SHAPE, name="image")
    x = layers.Conv2D(8, 3, use_bias=False, name="first")(inputs)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, name="depthwise")(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.ReLU()(layers.Conv2D(6, 1, name="point")(x))
    x = layers.Dense(7, activation="relu", name="dense")(layers.Flatten()(x))
    outputs = layers.Dense(3, name="logits")(x)
    model = randomized(keras.Model(inputs, outputs, name="net"))
    return at_point(model, images(), "4/FP", _PLACEMENTS[placement])


@functools.cache
def _file(placement, mode, container=8):
    """Returns the file of the net at 4/FP."""
    return to_tflite(_model(placement), mode=mode, container=container)


def _codes_in(content):
    """Returns `{kernel path: (dtype, codes)}` of the kernels in a file."""
    interpreter = interpreter_of(content, "reference")
    interpreter.allocate_tensors()
    return {
        detail["name"]: (
            detail["dtype"],
            interpreter.get_tensor(detail["index"]),
        )
        for detail in interpreter.get_tensor_details()
        if detail["name"].endswith("kernel")
    }


class ModesTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.product(placement=tuple(_PLACEMENTS), container=(8, 4))
    def test_weights_alone_answer_as_the_model(self, placement, container):
        model = _model(placement)
        file = _file(placement, "weight_only", container)

        wanted = np.asarray(model(images()))
        self.assertEqual(file.details["step_size_source"], "kure_tf")
        self.assertLen(file.details["float_weights"], 5)  # The biases.
        for kernels in KERNELS:
            found = run(file.content, [images()], kernels)
            self.assertAllClose(found, wanted, rtol=1e-5, atol=1e-5)

    @parameterized.parameters(*_PLACEMENTS)
    @pytest.mark.one_keras
    def test_dynamic_range_quantizes_inputs_on_the_fly(self, placement):
        model = _model(placement)
        wanted = np.asarray(model(images()))
        for container in (8, 4):
            file = _file(placement, "dynamic_range", container)
            self.assertEqual(file.details["ops"].get("DEQUANTIZE", 0), 0)
            for kernels in KERNELS:
                found = run(file.content, [images()], kernels)
                error = np.abs(found - wanted).max() / np.ptp(wanted)
                self.assertBetween(error, 1e-7, 0.05)

    @parameterized.product(
        mode=("weight_only", "dynamic_range"), placement=tuple(_PLACEMENTS)
    )
    @pytest.mark.one_keras
    def test_the_codes_are_those_of_the_quantizers(self, mode, placement):
        """But for the sign, which a negative gain of batch norm turns."""
        model = _model(placement)
        stored = _codes_in(_file(placement, mode).content)

        own = integer_weights(model)
        self.assertEqual(set(stored), set(own))
        for path, kernel in own.items():
            dtype, codes = stored[path]
            levels = kernel.codes - kernel.zero_point
            levels = levels if kernel.deployable else 2 * levels
            self.assertEqual(dtype, np.int8)
            self.assertAllEqual(
                np.sort(np.abs(codes), axis=None),
                np.sort(np.abs(levels), axis=None),
                path,
            )

    @pytest.mark.one_keras
    def test_4_bits_take_half_the_bytes_where_codes_fit(self):
        """A depthwise kernel beside float inputs has to stay at 8."""
        sizes = {
            (mode, bits): _file("narrow", mode, bits).details["tensors"]
            for mode in ("weight_only", "dynamic_range")
            for bits in (8, 4)
        }
        self.assertEqual(sizes["weight_only", 8]["int8"], 5)
        self.assertEqual(sizes["weight_only", 4]["int4"], 3)
        self.assertEqual(sizes["dynamic_range", 4]["int4"], 2)
        self.assertEqual(sizes["dynamic_range", 4]["int8"], 3)

    @pytest.mark.one_keras
    def test_floats_are_those_of_the_codes(self):
        file = to_tflite(_model(), mode="float")
        self.assertAllClose(
            run(file.content, [images()]), _model()(images()), rtol=1e-5
        )

    @pytest.mark.one_keras
    def test_exact_is_the_default_and_needs_a_point_of_integers(self):
        model = at_point(keras.models.clone_model(_plain()), images(), "4/8")
        file = to_tflite(model, [images()], container=4)

        self.assertEqual(file.mode, "exact")
        graph = to_integer_graph(model, [images()])
        self.assertEqual(file.content, write(with_container(graph, 4)))
        labels = np.asarray(model(images())).argmax(-1)
        found = verify(
            file,
            model,
            (images(), labels),
            min_agreement=0.8,
            max_accuracy_drop=0.2,
            progress=False,
        )
        self.assertEqual((found.mode, found.float_ops), ("exact", 0))

        with self.assertRaisesRegex(ValueError, "in float, such as '4/FP'"):
            to_tflite(model, mode="weight_only")
        with self.assertRaisesRegex(
            ValueError, "Expected calibration examples"
        ):
            to_tflite(model)

    @parameterized.parameters("float16", "converter_int8", "converter_16x8")
    def test_modes_that_hold_no_codes_are_refused(self, mode):
        with self.assertRaisesRegex(ValueError, "weight_only.*strip_quant"):
            to_tflite(_model(), [images()], mode=mode)

    def test_a_float_model_has_no_codes(self):
        with self.assertRaisesRegex(ValueError, "'exact' for 'plain'.*codes"):
            to_tflite(_plain(), [images()], mode="exact")

    def test_containers_that_no_kernel_reads_are_refused(self):
        with self.assertRaisesRegex(ValueError, "8 or 4 bits.*Received: 2"):
            to_tflite(_model(), mode="weight_only", container=2)


@functools.cache
def _plain():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input(SHAPE, name="image"),
            layers.Conv2D(4, 3, activation="relu", name="first"),
            layers.Conv2D(4, 3, activation="relu", name="middle"),
            layers.Flatten(),
            layers.Dense(3, name="logits"),
        ],
        name="plain",
    )


class TrainedTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters("paper", "tflite")
    def test_trained_codes_are_in_the_file(self, placement):
        """By the native engine in Keras 3, and by tfmot's in tf_keras."""
        model = quantize_aware(
            _plain(),
            "lsq",
            4,
            None,
            placement=placement,
            engine="native" if IS_KERAS_3 else "tfmot",
            verbose=False,
        )
        content = to_tflite(model, mode="weight_only", container=4).content

        self.assertEqual(set(_codes_in(content)), set(integer_weights(model)))
        self.assertAllClose(
            run(content, [images()]), model(images()), rtol=1e-5, atol=1e-6
        )


class PointTest(tf.test.TestCase):
    @pytest.mark.one_keras
    def test_the_codes_are_those_of_the_point(self):
        model = _model()
        try:
            set_operating_point(model, "2/FP")
            codes = _codes_in(to_tflite(model, mode="weight_only").content)
        finally:
            set_operating_point(model, "4/FP")
        self.assertLessEqual(np.abs(codes["point/kernel"][1]).max(), 1)


if __name__ == "__main__":
    tf.test.main()
