import dataclasses
import functools

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized
from litert_files import (
    EIGHT_BIT_ENDS,
    KERNELS,
    calibrated,
    randomized,
    run,
    set_point,
)

from kure_tf.compat import keras
from kure_tf.evaluation import evaluate, top_1
from kure_tf.export import (
    integer_runner,
    simulate,
    to_integer_graph,
    with_container,
    write,
)
from kure_tf.export.simulate import Simulation

pytestmark = pytest.mark.one_keras

_SHAPE = (8, 8, 3)
_PLACEMENTS = {"ends": EIGHT_BIT_ENDS, "tflite": "tflite"}
_POINTS = ("8/8", "4/8", "4/4", "3/5", "2/8")


def _images(count=64, seed=0, shape=_SHAPE):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, *shape)).astype(np.float32)


def _conv(
    x, filters, strides=1, *, kind=keras.layers.Conv2D, relu=True, **more
):
    options = {"padding": "same", "strides": strides, "use_bias": False}
    if kind is keras.layers.Conv2D:
        options["filters"] = filters
    x = kind(kernel_size=3, **{**options, **more})(x)
    x = keras.layers.BatchNormalization()(x)
    return keras.layers.ReLU()(x) if relu else x


def _residual_net():
    """Convolutions, a shortcut read on two grids, padding, pools, dense."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input(_SHAPE, name="image")
    x = _conv(inputs, 8)
    y = _conv(_conv(x, 8), 8, relu=False)
    x = keras.layers.ReLU(name="sum")(keras.layers.Add()([x, y]))
    y = keras.layers.ZeroPadding2D(1)(x)
    y = _conv(y, 8, 2, padding="valid")
    x = keras.layers.AveragePooling2D(1, strides=2)(x)
    x = keras.layers.Add()([x, y])
    x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    outputs = keras.layers.Dense(5, name="logits")(x)
    return randomized(keras.Model(inputs, outputs, name="residual"))


def _many_layers_net():
    """Depthwise convolutions, ReLU6, branches, a mean, reshapes."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input(_SHAPE, name="image")
    x = keras.layers.Conv2D(
        12, 3, dilation_rate=2, activation="relu", name="dilated"
    )(inputs)
    x = keras.layers.DepthwiseConv2D(3, depth_multiplier=2)(x)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.ReLU(max_value=6.0)(x)
    a = keras.layers.Conv2D(8, 1)(x)
    b = keras.layers.AveragePooling2D(2, strides=1, padding="same")(x)
    x = keras.layers.Concatenate()([a, b])
    x = keras.layers.Dropout(0.5)(x)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(16, activation="relu")(x)
    outputs = keras.layers.Dense(5, name="logits")(x)
    return randomized(keras.Model(inputs, outputs, name="many"))


_NETS = {"residual": _residual_net, "many": _many_layers_net}


@functools.cache
def _calibrated(net, placement):
    return calibrated(_NETS[net](), _images(), _PLACEMENTS[placement])


def _graph(point, net="residual", placement="ends"):
    """Returns a model at a point, and its integer graph."""
    model, calibration = _calibrated(net, placement)
    set_point(model, calibration, point)
    return model, to_integer_graph(model, [_images()])


class SimulateTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.product(
        point=_POINTS, net=tuple(_NETS), placement=tuple(_PLACEMENTS)
    )
    def test_answers_are_those_of_the_interpreter(self, point, net, placement):
        _, graph = _graph(point, net, placement)

        codes = graph.quantization("image").codes_of(_images())
        for bits in (8, 4) if point[0] in "234" else (8,):
            stored = with_container(graph, bits)
            content = write(stored)
            for kernels in KERNELS:
                self.assertAllEqual(
                    simulate(stored, codes, kernels),
                    run(content, [codes], kernels),
                    f"{kernels}, {bits} bits",
                )

    @parameterized.parameters("8/8", "4/4")
    def test_answers_are_near_the_fake_quantized_model(self, point):
        """Biases and sums are rounded too: a few codes of difference."""
        images = _images()
        model, graph = _graph(point)

        quantization = graph.quantization("logits")
        answers = quantization.values_of(simulate(graph, images))
        difference = np.abs(answers - np.asarray(model(images)))
        self.assertLess(difference.mean(), 6 * quantization.scale)

    def test_batches_do_not_matter(self):
        images, (_, graph) = _images(10), _graph("4/4")

        self.assertAllEqual(
            simulate(graph, images), simulate(graph, images, batch_size=3)
        )

    def test_it_is_evaluated_as_models_and_files_are(self):
        """On more threads than one, in batches that do not come out even."""
        images, (_, graph) = _images(10), _graph("4/4")
        codes = simulate(graph, images)
        labels = codes.argmax(-1)
        labels[0] = (labels[0] + 1) % 5

        runner = integer_runner(graph, num_threads=2, batch_size=3)
        found = evaluate(runner, (images, labels), [top_1])

        self.assertEqual(found["accuracy"].value, 0.9)
        self.assertAllEqual(
            runner.outputs(images)[0],
            graph.quantization("logits").values_of(codes),
        )

    def test_tensors_in_the_middle_can_be_asked_for(self):
        images, (_, graph) = _images(4), _graph("8/8")

        (codes,) = Simulation(graph)([images], tensors=["sum"])

        self.assertEqual(codes.shape, (4, 8, 8, 8))
        self.assertEqual(codes.dtype, np.int8)
        self.assertGreaterEqual(codes.min(), -128)

    @parameterized.parameters(("neon",), (["xnnpack"],))
    def test_unknown_kernels_are_named(self, kernels):
        images, (_, graph) = _images(4), _graph("8/8")

        with self.assertRaisesRegex(ValueError, "one of .*xnnpack.*Received"):
            simulate(graph, images, kernels)

    @parameterized.named_parameters(
        ("no_batch", _SHAPE, r"'image'.*\[8, 8, 3\].*: examples .*\[8, 3\]"),
        ("other_size", (2, 4, 4, 3), r"\[8, 8, 3\].* shape \[4, 4, 3\]"),
        ("a_number", (), r"\[8, 8, 3\].* shape \[\]"),
        ("none", (0, *_SHAPE), "at least one example for the input 'image'"),
    )
    def test_other_shapes_are_refused(self, shape, message):
        images, (_, graph) = np.zeros(shape, np.float32), _graph("8/8")

        with self.assertRaisesRegex(ValueError, message):
            simulate(graph, images)
        with self.assertRaisesRegex(ValueError, message):
            Simulation(graph)([images])

    def test_a_runner_refuses_other_shapes(self):
        _, graph = _graph("8/8")

        with self.assertRaisesRegex(ValueError, r"examples of shape \[8, 3\]"):
            integer_runner(graph).outputs(_images(1)[0])

    def test_as_many_inputs_as_the_graph_has_are_expected(self):
        with self.assertRaisesRegex(ValueError, "one array for each.*: 2"):
            Simulation(_graph("8/8")[1])([_images(1), _images(1)])

    def test_several_outputs_are_left_to_the_runner(self):
        images, (_, graph) = _images(4), _graph("8/8")
        graph = dataclasses.replace(graph, outputs=("sum", "logits"))

        with self.assertRaisesRegex(ValueError, "one output.*integer_runner"):
            simulate(graph, images)
        found = integer_runner(graph).outputs(images)
        self.assertEqual([x.shape for x in found], [(4, 8, 8, 8), (4, 5)])


if __name__ == "__main__":
    tf.test.main()
