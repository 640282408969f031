"""Recurrent layers, attention, embeddings and wrappers, fake-quantized."""

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

from kure_tf import compat, fake_quantize_model, set_operating_point
from kure_tf.compat import IS_KERAS_3, keras
from kure_tf.fake_quantized import Placement, quantizers_of, strip_quantizers
from kure_tf.quantizers import UniformQuantizer

layers = keras.layers
WEIGHTS = Placement(activations=None)


def _on_sequence(layer):
    inputs = keras.Input((4, 3))
    return keras.Model(inputs, layer(inputs))


def _with_attention(layer):
    """Self-attention, then attention to the inputs by the same layer."""
    inputs = keras.Input((4, 3))
    x = layer(inputs, inputs)
    return keras.Model(inputs, layer(x, inputs, use_causal_mask=True))


def _with_state():
    inputs = keras.Input((4, 3))
    start = layers.Dense(2, name="start")(layers.Flatten()(inputs))
    return keras.Model(inputs, layers.GRU(2)(inputs, initial_state=[start]))


MODELS = {
    "lstm": lambda: _on_sequence(layers.LSTM(2)),
    "gru": lambda: _on_sequence(layers.GRU(2, return_sequences=True)),
    "rnn_with_states": lambda: _on_sequence(
        layers.RNN(
            [layers.SimpleRNNCell(2), layers.LSTMCell(3)], return_state=True
        )
    ),
    "initial_state": _with_state,
    "bidirectional": lambda: _on_sequence(
        layers.Bidirectional(layers.SimpleRNN(2, return_sequences=True))
    ),
    "bidirectional_cells": lambda: _on_sequence(
        layers.Bidirectional(
            layers.RNN([layers.SimpleRNNCell(2), layers.LSTMCell(3)])
        )
    ),
    "time_distributed": lambda: _on_sequence(
        layers.TimeDistributed(layers.Dense(2))
    ),
    "spectral_normalization": lambda: _on_sequence(
        layers.SpectralNormalization(layers.Dense(2))
    ),
    "conv_lstm": lambda: _on_sequence(
        lambda x: layers.ConvLSTM1D(2, 2)(layers.Reshape((2, 2, 3))(x))
    ),
    "attention": lambda: _with_attention(
        layers.MultiHeadAttention(2, 3, value_dim=2)
    ),
}
if not IS_KERAS_3:
    MODELS["locally_connected"] = lambda: _on_sequence(
        layers.LocallyConnected1D(2, 2)
    )
else:
    MODELS["grouped_attention"] = lambda: _with_attention(
        layers.GroupQueryAttention(3, 4, 2)
    )


def _sequences():
    return np.random.default_rng(0).normal(size=(2, 4, 3)).astype(np.float32)


def _rounded(kernel, bits=4):
    """On the narrow grid whose step clips nothing, in NumPy."""
    step = np.abs(kernel).max() / (2 ** (bits - 1) - 1)
    return np.rint(kernel / step) * step


class LayersInsideTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(*MODELS)
    def test_it_computes_with_kernels_on_the_grid(self, name):
        """As the plain model does whose kernels NumPy has rounded."""
        model, x = MODELS[name](), _sequences()
        quantized = fake_quantize_model(model, WEIGHTS)
        self.assertAllClose(quantized(x), model(x), atol=1e-6)

        set_operating_point(quantized, "4/FP")
        for _, layer in compat.layers_of(model):
            for kernel in compat.kernels_of(layer):
                variable = kernel.variable_in(layer)
                variable.assign(_rounded(compat.to_numpy(variable)))
        self.assertAllClose(quantized(x), model(x), atol=1e-5)

    @parameterized.parameters("gru", "attention")
    @pytest.mark.one_keras
    def test_it_is_compiled(self, name):
        quantized = fake_quantize_model(MODELS[name](), Placement())
        x = _sequences()
        set_operating_point(quantized, "4/FP")
        compiled = tf.function(quantized, jit_compile=True)
        self.assertAllClose(compiled(x), quantized(x), atol=1e-5)

    @pytest.mark.one_keras
    def test_rows_of_an_embedding_have_steps_of_their_own(self):
        tokens = keras.Input((4,), dtype="int32")
        model = keras.Model(tokens, layers.Embedding(5, 3, name="e")(tokens))
        per_row = Placement(weights=UniformQuantizer("narrow", "per_channel"))
        quantized = fake_quantize_model(model, per_row)
        self.assertEqual(list(quantizers_of(quantized)), ["e/embeddings"])
        set_operating_point(quantized, "3/8")

        (table,) = model.get_weights()
        rows = [_rounded(row, 3) for row in table]
        ids = np.array([[4, 0, 2, 2]], np.int32)
        self.assertAllClose(quantized(ids)[0], [rows[i] for i in ids[0]])

    @pytest.mark.one_keras
    def test_indices_are_no_activations(self):
        """Where a wrapper hands them to its embedding, either."""
        tokens = keras.Input((4, 2), dtype="int32")
        embedding = layers.TimeDistributed(layers.Embedding(5, 3), name="e")
        model = keras.Model(tokens, embedding(tokens))
        quantized = fake_quantize_model(model, "tflite")
        self.assertEqual(list(quantizers_of(quantized)), ["e/embeddings"])

    def test_masks_reach_recurrent_layers(self):
        tokens = keras.Input((4,), dtype="int32")
        x = layers.Embedding(5, 3, mask_zero=True)(tokens)
        x = layers.TimeDistributed(layers.Dense(3))(x)
        x = layers.MultiHeadAttention(1, 2)(x, x)
        x = layers.GRU(2, return_sequences=True)(x)
        model = keras.Model(tokens, layers.LSTM(2)(x))
        ids = np.array([[1, 2, 0, 0], [3, 0, 0, 0]], np.int32)
        quantized = fake_quantize_model(model, Placement())
        self.assertAllClose(quantized(ids), model(ids), atol=1e-6)

    def test_dropout_and_states_move_on(self):
        inputs = keras.Input(batch_shape=(2, 4, 3))
        x = layers.LSTM(2, stateful=True, name="states")(inputs)
        model = keras.Model(inputs, x)
        quantized, x = fake_quantize_model(model, WEIGHTS), _sequences()
        self.assertAllEqual([quantized(x), quantized(x)], [model(x), model(x)])
        dropping = _on_sequence(layers.GRU(8, recurrent_dropout=0.5))
        quantized = fake_quantize_model(dropping, WEIGHTS)
        first, second = (quantized(x, training=True) for _ in range(2))
        self.assertNotAllClose(first, second)

    def test_it_is_trained_saved_loaded_and_stripped(self):
        model, x = MODELS["attention"](), _sequences()
        quantized = fake_quantize_model(model, WEIGHTS)
        untrained = fake_quantize_model(model, WEIGHTS)
        set_operating_point(quantized, "3/FP")
        quantized.compile(keras.optimizers.SGD(1.0), "mse")
        quantized.fit(x, x, verbose=0)
        for path, tensor in quantizers_of(quantized).items():
            original = quantizers_of(untrained)[path].variable
            moved = compat.to_numpy(tensor.variable) != original
            self.assertTrue(np.any(moved), path)

        file = f"{self.get_temp_dir()}/model.keras"
        quantized.save(file)
        loaded = compat.load_model(file)
        self.assertAllEqual(loaded(x), quantized(x))
        self.assertEqual([*quantizers_of(loaded)], [*quantizers_of(quantized)])
        set_operating_point(quantized, "FP/FP")
        self.assertAllClose(strip_quantizers(quantized)(x), quantized(x))


if __name__ == "__main__":
    tf.test.main()
