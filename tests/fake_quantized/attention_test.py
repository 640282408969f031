"""What attention multiplies, quantized, against NumPy."""

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from kure_tf import (
    compat,
    fake_quantize_model,
    ptq,
    set_operating_point,
    set_step_sizes,
)
from kure_tf.compat import keras
from kure_tf.fake_quantized import Placement, quantizers_of
from kure_tf.quantizers import UniformQuantizer

layers = keras.layers
ON_GRID = Placement(
    weights=None, activations=UniformQuantizer("signed_or_unsigned")
)
PRODUCTS = ["query", "key", "value", "probabilities", "context"]


def _attention(x, y):
    return layers.MultiHeadAttention(2, 3)(x, y)


def _two_sums(x):
    for _ in range(2):
        x = layers.Add()([x, _attention(x, x)])
    return x


def _sum_with_memory(x):
    memory = layers.Dense(4)(x)
    return layers.Add()([memory, x, _attention(x, memory)])


READERS = {
    "two_sums": _two_sums,
    "sum_with_memory": _sum_with_memory,
    # It returns what it is given, in inference.
    "dropout": lambda x: layers.Add()(
        [x, _attention(*2 * [layers.Dropout(0.0)(x)])]
    ),
    "recurrent": lambda x: layers.Add()(
        [_attention(x, x), layers.GRU(4, return_sequences=True)(x)]
    ),
}


def _cross_attention(**options):
    queries, values = keras.Input((3, 4)), keras.Input((5, 6))
    layer = layers.MultiHeadAttention(2, 3, name="a", **options)
    return keras.Model([queries, values], layer(queries, values))


def _calibrated(model, inputs, bits):
    quantized = fake_quantize_model(model, ON_GRID)
    calibration = ptq.calibrate(quantized, [(inputs,)], progress=False)
    set_step_sizes(quantized, ptq.minmax(calibration, f"FP/{bits}"))
    set_operating_point(quantized, f"FP/{bits}")
    return quantized


class _Numpy:
    """Cross-attention in NumPy, with each tensor on the grid of its step."""

    def __init__(self, model, quantized, bits):
        self._weights = [np.float64(w) for w in model.get_weights()]
        self._tensors = quantizers_of(quantized)
        self._bits = bits

    def on_grid(self, name, values):
        state = self._tensors[f"a/{name}"].state
        step = float(compat.to_numpy(state.step_size))
        signed = float(compat.to_numpy(state.origin)) < 0
        high = 2 ** (self._bits - signed) - 1
        return step * np.clip(np.rint(values / step), -signed * high, high)

    def __call__(self, queries, values):
        qk, qb, kk, kb, vk, vb, ok, ob = self._weights
        x = self.on_grid("input", queries)
        y = self.on_grid("value_input", values)
        query = np.einsum("btd,dnh->btnh", x, qk) + qb
        key = np.einsum("bsd,dnh->bsnh", y, kk) + kb
        value = np.einsum("bsd,dnh->bsnh", y, vk) + vb
        scores = np.einsum(
            "btnh,bsnh->bnts",
            self.on_grid("query", query),
            self.on_grid("key", key),
        ) / np.sqrt(3)
        raised = np.exp(scores - scores.max(-1, keepdims=True))
        shares = raised / raised.sum(-1, keepdims=True)
        context = np.einsum(
            "bnts,bsnh->btnh",
            self.on_grid("probabilities", shares),
            self.on_grid("value", value),
        )
        context = self.on_grid("context", context)
        return np.einsum("btnh,nhd->btd", context, ok) + ob


def _inputs():
    random = np.random.default_rng(3)
    return tuple(
        random.normal(size=(2, *sizes)).astype(np.float32)
        for sizes in ((3, 4), (5, 6))
    )


class AttentionTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(3, 6)
    def test_inputs_and_products_are_on_their_grids(self, bits):
        model, inputs = _cross_attention(), _inputs()
        quantized = _calibrated(model, inputs, bits)
        self.assertEqual(
            [*quantizers_of(quantized)],
            [f"a/{name}" for name in ["input", "value_input", *PRODUCTS]],
        )
        expected = _Numpy(model, quantized, bits)(*inputs)
        self.assertAllClose(quantized(inputs), expected, atol=1e-5)
        self.assertNotAllClose(quantized(inputs), model(inputs), atol=1e-3)

    def test_self_attention_has_one_input(self):
        inputs = keras.Input((3, 4))
        layer = layers.MultiHeadAttention(2, 3, name="a")
        model = keras.Model(inputs, layer(inputs, inputs, inputs))
        self.assertEqual(
            [*quantizers_of(fake_quantize_model(model, ON_GRID))],
            [f"a/{name}" for name in ["input", *PRODUCTS]],
        )

    @parameterized.parameters(0.0, 0.1)
    def test_padded_queries_get_what_the_model_gives_them(self, dropout):
        """Keras 3 gives 0 or the mean, as its fused operation runs or not."""
        ids = keras.Input((5,), dtype="int32")
        x = layers.Embedding(9, 4, mask_zero=True)(ids)
        y = layers.MultiHeadAttention(2, 3, dropout=dropout)(x, x)
        model = keras.Model(ids, layers.Flatten()(y))
        quantized = fake_quantize_model(model, Placement())
        padded = np.array([[3, 1, 0, 0, 0], [0, 0, 2, 5, 7], [1, 2, 3, 4, 5]])
        self.assertAllClose(quantized(padded), model(padded), atol=1e-6)

    @parameterized.parameters(*READERS)
    def test_what_is_read_after_attention_has_the_mask_of_the_model(self, name):
        """Keras 3's attention takes the masks off its inputs."""
        keras.utils.set_random_seed(0)
        ids = keras.Input((5,), dtype="int32")
        x = READERS[name](layers.Embedding(9, 4, mask_zero=True)(ids))
        x = layers.GlobalAveragePooling1D()(x)
        model = keras.Model(ids, layers.Dense(3)(x))
        quantized = fake_quantize_model(model, "tflite")
        padded = np.array([[3, 1, 0, 0, 0], [0, 0, 2, 5, 7], [1, 2, 3, 4, 5]])
        for training in (False, True):
            self.assertAllClose(
                quantized(padded, training=training),
                model(padded, training=training),
                atol=1e-6,
            )
        self.assertAllClose(
            quantized.predict(padded, verbose=0), model(padded), atol=1e-6
        )

    def test_scores_that_are_asked_for_still_come(self):
        inputs = keras.Input((3, 4))
        layer = layers.MultiHeadAttention(2, 3, dropout=0.5)
        outputs = layer(inputs, inputs, return_attention_scores=True)
        model = keras.Model(inputs, outputs)
        quantized = fake_quantize_model(model, ON_GRID)
        x = _inputs()[0]
        for ours, theirs in zip(quantized(x), model(x), strict=True):
            self.assertAllClose(ours, theirs, atol=1e-6)


if __name__ == "__main__":
    tf.test.main()
