"""Layers and models inside TimeDistributed as integers."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized
from litert_files import run

from kure_tf import fake_quantize_model, set_operating_point, set_step_sizes
from kure_tf.compat import keras
from kure_tf.export import simulate, to_integer_graph, write
from kure_tf.fake_quantized import tflite_placement
from kure_tf.ptq import calibrate, minmax

layers = keras.layers
_STEPS = 3
_SHAPE = (5, 5, 2)
_CLIPS = np.random.default_rng(0).normal(size=(8, _STEPS, *_SHAPE))
_CLIPS = _CLIPS.astype(np.float32)
_FRAMES = _CLIPS.reshape(-1, *_SHAPE)


def _frame_layers():
    return [
        layers.Conv2D(3, 2, activation="relu", name="conv"),
        layers.BatchNormalization(name="norm"),
        layers.DepthwiseConv2D(2, name="depthwise"),
        layers.ReLU(name="relu"),
        layers.Flatten(name="flat"),
        layers.Dense(4, name="dense"),
    ]


def _chain(wrap, shape):
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input(shape, name="x")
    for layer in _frame_layers():
        x = wrap(layer)(x)
    return keras.Model(inputs, x)


def _each_layer(layer):
    return layers.TimeDistributed(layer, name=layer.name)


def _whole():
    inputs = keras.Input((_STEPS, *_SHAPE), name="x")
    frame = _chain(lambda layer: layer, _SHAPE)
    return keras.Model(inputs, layers.TimeDistributed(frame)(inputs))


def _graph(model, images, **options):
    placement = tflite_placement(dense_per_tensor=True, **options)
    quantized = fake_quantize_model(model, placement)
    found = calibrate(quantized, images, progress=False)
    set_step_sizes(quantized, minmax(found, "4/8"))
    set_operating_point(quantized, "4/8")
    return to_integer_graph(quantized, images, allow_float="pinned" in options)


@functools.cache
def _frame_graph():
    return _graph(_chain(lambda layer: layer, _SHAPE), _FRAMES)


class TimeStepsTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.named_parameters(
        (
            "layer_by_layer",
            lambda: _chain(_each_layer, (_STEPS, *_SHAPE)),
        ),
        ("a_whole_model", _whole),
    )
    def test_each_step_has_the_codes_of_a_net_of_one_frame(self, make):
        """Simulated, and in files of any batch and of eight clips."""
        graph = _graph(make(), _CLIPS)
        kinds = [operator.kind for operator in graph.operators]
        alone = [operator.kind for operator in _frame_graph().operators]
        self.assertEqual(kinds, ["RESHAPE", *alone, "RESHAPE"])

        codes = graph.quantization("x").codes_of(_CLIPS)
        frames = codes.reshape(-1, *_SHAPE)
        answers = simulate(_frame_graph(), frames).reshape(8, _STEPS, -1)
        self.assertAllEqual(simulate(graph, codes), answers)
        for batch_size in (None, 8):
            content = write(graph, batch_size=batch_size)
            self.assertAllEqual(run(content, [codes]), answers)

    @pytest.mark.one_keras
    def test_a_layer_of_each_step_is_left_in_float(self):
        model = _chain(_each_layer, (_STEPS, *_SHAPE))
        graph = _graph(model, _CLIPS, pinned={"depthwise": "float"})
        self.assertEqual(graph.float_layers, ("depthwise",))
        codes = graph.quantization("x").codes_of(_CLIPS)
        self.assertAllEqual(run(write(graph), [codes]), simulate(graph, codes))

    @pytest.mark.one_keras
    def test_nothing_in_a_model_of_each_step_is_left_in_float(self):
        with self.assertRaisesRegex(ValueError, "'depthwise'.*TimeDistributed"):
            _graph(_whole(), _CLIPS, pinned={"depthwise": "float"})

    @pytest.mark.one_keras
    @parameterized.product(allow_float=(False, True))
    def test_a_model_of_an_open_number_of_steps_is_refused(self, allow_float):
        inputs = keras.Input((None, 4), name="x")
        dense = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
        outputs = layers.TimeDistributed(dense, name="steps")(inputs)
        options = {"pinned": {}} if allow_float else {}
        with self.assertRaisesRegex(ValueError, "'steps'.*keras.Input the num"):
            x = np.ones((4, _STEPS, 4), np.float32)
            _graph(keras.Model(inputs, outputs), x, **options)

    @pytest.mark.one_keras
    def test_steps_with_a_mask_are_refused(self):
        """Given, or (left in float) made by a layer."""
        x = keras.Input((_STEPS, 4), name="x")
        mask = keras.Input((_STEPS,), dtype="bool", name="mask")
        steps = layers.TimeDistributed(layers.Dense(3), name="steps")
        images = np.ones((4, _STEPS, 4), np.float32)
        given = {"x": images, "mask": images[..., 0] > 0}
        model = keras.Model([x, mask], steps(x, mask=mask))
        with self.assertRaisesRegex(ValueError, "'steps'.*it has a mask"):
            _graph(model, [given])
        model = keras.Model(x, steps(layers.Masking()(x)))
        with self.assertRaisesRegex(ValueError, "'masking.*makes a mask"):
            _graph(model, images, pinned={})

    @pytest.mark.one_keras
    def test_an_open_number_of_steps_is_refused(self):
        model = _chain(_each_layer, (None, *_SHAPE))
        with self.assertRaisesRegex(ValueError, "'conv'.*time steps is open"):
            _graph(model, _CLIPS)
        inputs = keras.Input((None, 4), name="x")
        outputs = layers.TimeDistributed(layers.Dense(3), name="dense")(inputs)
        model, x = keras.Model(inputs, outputs), np.ones((4, _STEPS, 4))
        graph = _graph(model, np.float32(x), pinned={})
        self.assertEqual(graph.float_layers, ("dense",))


if __name__ == "__main__":
    tf.test.main()
