"""Recurrent layers as integers."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized
from foretold_files import check_foretold
from litert_files import at_point

from kure_tf import (
    quantize_aware,
)
from kure_tf.compat import keras
from kure_tf.export import to_integer_graph

layers = keras.layers
_STEPS, _UNITS = 4, 5
_SEQUENCES = np.random.default_rng(0).normal(size=(48, _STEPS, 3))
_SEQUENCES = _SEQUENCES.astype(np.float32)


def _made(layer, shape=(_STEPS, 3), **options):
    keras.utils.set_random_seed(0)
    inputs = keras.Input(shape, name="x", **options)
    return keras.Model(inputs, layer(inputs))


def _cell(kind, **options):
    options = {"bias_initializer": keras.initializers.RandomNormal(seed=0)} | (
        options
    )
    return kind(_UNITS, **options)


_LSTM = functools.partial(_cell, layers.LSTM)
_GRU = functools.partial(_cell, layers.GRU)
_SIMPLE = functools.partial(_cell, layers.SimpleRNN)
_BOTH = layers.Bidirectional


@keras.utils.register_keras_serializable("kure_tf_tests")
class _Kept(layers.SimpleRNNCell):
    """Might compute anything."""


def _two_deep(inputs):
    x = _LSTM(return_sequences=True)(inputs)
    return layers.Dense(3)(_GRU(name="second")(x))


_CASES = {
    "simple": _SIMPLE,
    "gru": _GRU,
    "gru_without_bias": lambda: _GRU(use_bias=False),
    "lstm_of_other_functions": lambda: _LSTM(
        recurrent_activation="hard_sigmoid", activation="relu"
    ),
    "all_steps_backwards": lambda: _LSTM(
        return_sequences=True, go_backwards=True
    ),
    "a_cell": lambda: layers.RNN(_cell(layers.LSTMCell)),
    "cells": lambda: layers.RNN(
        [_cell(layers.LSTMCell), layers.GRUCell(3)], return_sequences=True
    ),
    "both_ways": lambda: _BOTH(_GRU(return_sequences=True)),
    "their_mean": lambda: _BOTH(_SIMPLE(), merge_mode="ave"),
    "their_sum": lambda: _BOTH(_SIMPLE(), merge_mode="sum"),
    "their_product": lambda: _BOTH(_LSTM(), merge_mode="mul"),
}


def _quantized(model, point, examples=_SEQUENCES, placement="tflite"):
    return at_point(model, examples, point, placement)


class RecurrentTest(tf.test.TestCase, parameterized.TestCase):
    def _check(self, quantized, decibels, examples=_SEQUENCES):
        return check_foretold(self, quantized, examples, decibels)

    @parameterized.parameters(*_CASES)
    def test_answers_are_foretold_and_those_of_the_model(self, case):
        self._check(_quantized(_made(_CASES[case]()), "8/8"), 25.0)

    @parameterized.parameters(
        {},
        {"return_sequences": True, "strides": 2, "padding": "same"},
        {"go_backwards": True, "dilation_rate": 2},
    )
    def test_states_that_are_pictures(self, **options):
        random = np.random.default_rng(0)
        for kind, size in (("ConvLSTM1D", (6,)), ("ConvLSTM2D", (5, 6))):
            clips = random.normal(size=(24, 3, *size, 2)).astype(np.float32)
            layer = getattr(layers, kind)(
                4, 3, bias_initializer="normal", **options
            )
            model = _made(layer, clips.shape[1:])
            graph = self._check(_quantized(model, "8/8", clips), 25.0, clips)
            self.assertEqual(graph.float_layers, ())

    def test_states_of_four_bits_are_on_the_grid_of_the_model(self):
        quantized = _quantized(_made(_two_deep), "4/4")
        graph = self._check(quantized, 15.0)
        lowest = {
            graph.quantization(operator.inputs[0]).lowest
            for operator in graph.operators
            if operator.kind == "FULLY_CONNECTED"
            and operator.weights.path == "second/recurrent_kernel"
        }
        self.assertEqual(lowest, {128 - 16})

    def test_a_trained_model_keeps_its_codes(self):
        quantized = quantize_aware(
            _made(_two_deep),
            "lsq",
            8,
            8,
            calibration=[_SEQUENCES],
            placement="tflite",
            engine="native",
            verbose=False,
        )
        quantized.compile("sgd", "mse")
        quantized.fit(_SEQUENCES, np.ones((48, 3)), verbose=0)
        self._check(quantized, 22.0)

    def test_sequences_of_sequences(self):
        clips = _SEQUENCES.reshape(16, 3, _STEPS, 3)
        model = _made(layers.TimeDistributed(_LSTM()), clips.shape[1:])
        self._check(_quantized(model, "8/8", clips), 25.0, clips)

    @pytest.mark.one_keras
    def test_all_steps_share_kernels_and_tables(self):
        """Of the first step, which has no state, the sums are others."""
        graph = to_integer_graph(_quantized(_made(_LSTM()), "8/8"), _SEQUENCES)
        kernels = {
            weights.path: weights.codes.tobytes()
            for weights in graph.weights.values()
        }
        self.assertLen(graph.weights, _STEPS)
        self.assertLen(kernels, 2)
        for weights in graph.weights.values():
            codes = weights.codes.tobytes()
            self.assertEqual(codes, kernels[weights.path])
        tables = [
            (operator.kind, graph.quantization(operator.inputs[0]))
            for operator in graph.operators
            if operator.kind in ("LOGISTIC", "TANH")
        ]
        self.assertLen(tables, 5 * _STEPS - 1)
        self.assertLen(set(tables), 5)

    @parameterized.named_parameters(
        (
            "a_gate_before_the_kernel",
            lambda: _GRU(reset_after=False),
            "reset_after=True",
        ),
        (
            "an_own_cell",
            lambda: layers.RNN(_Kept(3)),
            "_Kept.*LSTMCell",
        ),
    )
    @pytest.mark.one_keras
    def test_others_are_refused_or_left_in_float(self, make, message):
        model = _made(make())
        quantized = _quantized(model, "8/8")
        with self.assertRaisesRegex(ValueError, message):
            to_integer_graph(quantized, _SEQUENCES)
        graph = to_integer_graph(quantized, _SEQUENCES, allow_float=True)
        self.assertEqual(graph.float_layers, (model.layers[-1].name,))

    def test_what_no_file_has_is_refused(self):
        stateful = _made(_LSTM(stateful=True), batch_size=48)
        open_times = _made(_LSTM(), (None, 3))
        for model, message in (
            (stateful, "stateful=False"),
            (open_times, "number of its time steps is open"),
        ):
            quantized = _quantized(model, "8/8")
            for allow_float in (False, model is stateful):
                with self.assertRaisesRegex(ValueError, message):
                    to_integer_graph(
                        quantized, _SEQUENCES, allow_float=allow_float
                    )

    def test_a_state_to_begin_with_is_refused(self):
        inputs = keras.Input((_STEPS, 3), name="x")
        state = layers.Dense(_UNITS)(layers.Flatten()(inputs))
        outputs = _GRU(name="gru")(inputs, initial_state=state)
        quantized = _quantized(keras.Model(inputs, outputs), "8/8")
        with self.assertRaisesRegex(ValueError, "'gru'.* a state"):
            to_integer_graph(quantized, _SEQUENCES)


if __name__ == "__main__":
    tf.test.main()
