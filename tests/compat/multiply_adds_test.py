"""Multiply-adds against numbers counted by hand."""

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from kure_tf import compat
from kure_tf.compat import keras

layers = keras.layers
IMAGE, ROW, SEQUENCE = (8, 6, 3), (8, 3), (5, 4)

CASES = (
    # 3 x 3 x 3 x 4 elements at 6 x 4 places.
    ("convolution", layers.Conv2D(4, 3), IMAGE, 108 * 24),
    (
        "strides",
        layers.Conv2D(4, 3, strides=2, padding="same"),
        IMAGE,
        108 * 12,
    ),
    ("groups", layers.Conv2D(6, 3, groups=3), IMAGE, 54 * 24),
    ("one_dimension", layers.Conv1D(4, 3), ROW, 36 * 6),
    (
        "depthwise",
        layers.DepthwiseConv2D(3, depth_multiplier=2),
        IMAGE,
        54 * 24,
    ),
    ("separable", layers.SeparableConv2D(4, 3), IMAGE, (27 + 12) * 24),
    # Each of the 8 x 6 places of the input meets the whole kernel.
    ("transposed", layers.Conv2DTranspose(4, 3, strides=2), IMAGE, 108 * 48),
    ("dense", layers.Dense(7), (4,), 28),
    ("dense_in_a_sequence", layers.Dense(7), SEQUENCE, 5 * 28),
    ("einsum", layers.EinsumDense("abc,cd->abd", (5, 7)), SEQUENCE, 5 * 28),
    ("einsum_dots", layers.EinsumDense("...c,cd->...d", 7), SEQUENCE, 5 * 28),
    # The kernel has an entry for each place and channel, in and out.
    ("einsum_all", layers.EinsumDense("abc,bcd->ad", 7), SEQUENCE, 5 * 28),
    ("lstm", layers.LSTM(6), SEQUENCE, 5 * 24 * (4 + 6)),
    ("gru", layers.GRU(6, return_sequences=True), SEQUENCE, 5 * 18 * (4 + 6)),
    (
        "both_directions",
        layers.Bidirectional(layers.SimpleRNN(6)),
        SEQUENCE,
        2 * 5 * 6 * (4 + 6),
    ),
    (
        "stacked_cells",
        layers.RNN([layers.SimpleRNNCell(6), layers.SimpleRNNCell(2)]),
        SEQUENCE,
        5 * (6 * (4 + 6) + 2 * (6 + 2)),
    ),
    # 3 x 3 x (2 in, 3 back) x 4 gates of 3, at 4 x 4 places, twice.
    (
        "recurrent_convolution",
        layers.ConvLSTM2D(3, 3, padding="same"),
        (2, 4, 4, 2),
        2 * 16 * 9 * (2 + 3) * 12,
    ),
    ("steps", layers.TimeDistributed(layers.Dense(7)), SEQUENCE, 5 * 28),
    (
        "steps_of_a_model",
        layers.TimeDistributed(
            keras.Sequential([keras.Input((4,)), layers.Dense(7)])
        ),
        SEQUENCE,
        5 * 28,
    ),
    (
        "steps_of_steps_of_a_model",
        layers.TimeDistributed(
            layers.TimeDistributed(
                keras.Sequential([keras.Input((4,)), layers.Dense(7)])
            )
        ),
        (3, *SEQUENCE),
        3 * 5 * 28,
    ),
    # 4 x 4 places of 3 x 3 x 2 x 5 numbers.
    (
        "normalized",
        layers.SpectralNormalization(layers.Conv2D(5, 3)),
        (6, 6, 2),
        16 * 90,
    ),
    ("pooling", layers.GlobalAveragePooling1D(), SEQUENCE, 0),
    ("normalization", layers.LayerNormalization(), SEQUENCE, 0),
)


def _total(model):
    made = compat.multiply_adds_of(model)
    return sum(sum(counts.values()) for counts in made.values())


class MultiplyAddsTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.named_parameters(*CASES)
    def test_of_a_layer(self, layer, shape, count):
        inputs = keras.Input(shape)
        model = keras.Model(inputs, layer(inputs))
        self.assertEqual(_total(model), count)

    def test_of_attention_to_another_sequence(self):
        """3 queries of 4 numbers, 5 values of 6; 2 heads of 2, values of 3."""
        query, value = keras.Input((3, 4)), keras.Input((5, 6))
        attention = layers.MultiHeadAttention(2, key_dim=2, value_dim=3)
        model = keras.Model([query, value], attention(query, value))
        made = compat.multiply_adds_of(model)[attention]
        self.assertEqual(made["query_kernel"], 3 * 4 * 4)
        self.assertEqual(made["key_kernel"], 5 * 6 * 4)
        self.assertEqual(made["value_kernel"], 5 * 6 * 6)
        self.assertEqual(made["output_kernel"], 3 * 6 * 4)
        self.assertEqual(made[compat.WITHOUT_KERNEL], 3 * 5 * 2 * (2 + 3))

    def test_an_embedding_looks_up(self):
        ids = keras.Input((5,), dtype="int32")
        model = keras.Model(ids, layers.Embedding(9, 4)(ids))
        self.assertEqual(_total(model), 0)

    def test_products_of_activations(self):
        inputs = keras.Input((5, 4))
        dot = layers.Dot(axes=2)([inputs, inputs])
        self.assertEqual(_total(keras.Model(inputs, dot)), 5 * 5 * 4)
        plain = layers.Attention()([inputs, inputs])
        self.assertEqual(_total(keras.Model(inputs, plain)), 2 * 5 * 5 * 4)
        matmul = keras.ops.matmul if compat.IS_KERAS_3 else tf.linalg.matmul
        product = matmul(dot, inputs)
        self.assertEqual(_total(keras.Model(inputs, product)), 5 * 5 * (4 + 4))

    def test_masks_are_no_factors(self):
        inputs = keras.Input((5, 4))
        seen = keras.Input((5,), dtype="bool")
        for layer, given, mask in (
            (layers.GRU(3), inputs, seen),
            (layers.Attention(), [inputs, inputs], [seen, seen]),
        ):
            model = keras.Model([inputs, seen], layer(given, mask=mask))
            masked = _total(model)
            self.assertEqual(masked, _total(keras.Model(inputs, layer(given))))

    def test_additive_attention_scores_and_sums(self):
        inputs = keras.Input((5, 4))
        model = keras.Model(inputs, layers.AdditiveAttention()([inputs] * 2))
        self.assertEqual(_total(model), 2 * 5 * 5 * 4)

    def test_operations_of_keras_3_count_as_products(self):
        if not compat.IS_KERAS_3:
            self.skipTest("tf_keras has no operations of its own.")
        ops, inputs = keras.ops, keras.Input((5, 4))
        image = keras.Input((6, 6, 2))
        for source, outputs, expected in (
            (inputs, ops.dot(inputs, np.ones((4, 3))), 5 * 4 * 3),
            (inputs, ops.tensordot(inputs, np.ones((4, 3)), 1), 5 * 4 * 3),
            (
                inputs,
                ops.tensordot(inputs, np.ones((5, 4, 3)), [[1, 2], [0, 1]]),
                5 * 4 * 3,
            ),
            (inputs, ops.einsum("abc,adc->abd", inputs, inputs), 5 * 5 * 4),
            (inputs, ops.einsum("abc,cd", inputs, np.ones((4, 3))), 5 * 4 * 3),
            (
                image,
                ops.einsum("...ij,jk->...ik", image, np.ones((2, 3))),
                6 * 6 * 2 * 3,
            ),
            (image, ops.conv(image, np.ones((3, 3, 2, 7))), 4 * 4 * 9 * 2 * 7),
        ):
            model = keras.Model(source, outputs)
            self.assertEqual(_total(model), expected)

    def test_einsum_of_tf_keras_counts(self):
        if compat.IS_KERAS_3:
            self.skipTest("Keras 3 has an operation of its own.")
        inputs = keras.Input((5, 4))
        for outputs, expected in (
            (tf.einsum("abc,adc->abd", inputs, inputs), 5 * 5 * 4),
            (tf.einsum("abc,cd", inputs, np.ones((4, 3), "f")), 5 * 4 * 3),
            (tf.einsum("...ij,jk->...ik", inputs, np.ones((4, 3), "f")), 60),
        ):
            self.assertEqual(_total(keras.Model(inputs, outputs)), expected)

    def test_each_call_counts_in_nested_models_too(self):
        inner = keras.Sequential([keras.Input((4,)), layers.Dense(4)])
        inputs = keras.Input((4,))
        model = keras.Model(inputs, inner(inner(inputs)))
        self.assertEqual(_total(model), 2 * 16)

    def test_sizes_left_open_count_as_one(self):
        inputs = keras.Input((None, None, 3))
        model = keras.Model(inputs, layers.Conv2D(4, 3)(inputs))
        self.assertEqual(_total(model), 108)


if __name__ == "__main__":
    tf.test.main()
