"""Masks of padded sequences as integers."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized
from foretold_files import check_foretold
from litert_files import at_point

from kure_tf.compat import IS_KERAS_3, keras
from kure_tf.evaluation import litert_runner
from kure_tf.export import integer_runner, simulate, to_integer_graph, write

layers = keras.layers
_NORMAL = keras.initializers.RandomNormal(stddev=0.5, seed=0)
_ATTENTION = functools.partial(
    layers.MultiHeadAttention, 2, 4, kernel_initializer=_NORMAL
)


def _padded():
    """Returns ids of which a third is padded in front, a third behind."""
    random = np.random.default_rng(0)
    ids = random.integers(1, 50, (48, 6)).astype(np.int32)
    lengths = random.integers(1, 6, 48)
    for row, length in enumerate(lengths):
        if row % 3 == 0:
            ids[row, : 6 - length] = 0
        elif row % 3 == 1:
            ids[row, length:] = 0
    return ids


_IDS = _padded()


def _table(x):
    layer = layers.Embedding(
        50, 8, mask_zero=True, embeddings_initializer=_NORMAL
    )
    return layer(x)


def _made(make):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,), dtype="int32", name="x")
    outputs = layers.Dense(3)(make(_table(inputs)))
    return keras.Model(inputs, outputs)


def _quantized(make, point="8/8"):
    return at_point(_made(make), _IDS, point, "tflite")


def _mean(x):
    return layers.GlobalAveragePooling1D()(x)


def _with_itself(**options):
    def make(x, **call):
        return _ATTENTION(**options)(x, x, **call)

    return make


def _two_deep(x):
    x = layers.Bidirectional(layers.LSTM(4, return_sequences=True))(
        layers.Dense(5)(x)
    )
    return layers.GRU(3)(layers.Dropout(0.1)(x))


def _block(x):
    y = layers.LayerNormalization()(x)
    x = layers.Add()([x, _with_itself()(y)])
    return _mean(layers.LayerNormalization()(x))


def _sums(x):
    for _ in range(2):
        x = layers.Add()([x, _with_itself()(x)])
    return _mean(x)


def _sum_around_dropout(x):
    """Dropout returns what it is given, in Keras 3 the very same tensor."""
    y = layers.Dropout(0.1)(x)
    return _mean(layers.Add()([x, _with_itself()(y)]))


_CASES = {
    "simple": lambda x: layers.SimpleRNN(4)(x),
    "lstm": lambda x: layers.LSTM(4)(x),
    "gru": lambda x: layers.GRU(4)(x),
    "backwards": lambda x: layers.GRU(4, go_backwards=True)(x),
    "both_ways": lambda x: layers.Bidirectional(layers.LSTM(4))(x),
    "two_deep": _two_deep,
    "cells": lambda x: layers.RNN([layers.LSTMCell(3), layers.GRUCell(4)])(x),
    "mean": _mean,
    "mean_that_keeps_its_axis": lambda x: layers.Flatten()(
        layers.GlobalAveragePooling1D(keepdims=True)(x)
    ),
    "attention": lambda x: _mean(_with_itself()(x)),
    "causal_attention": lambda x: _mean(
        _with_itself()(x, use_causal_mask=True)
    ),
    "what_padded_queries_see": lambda x: layers.Flatten()(_with_itself()(x)),
    "what_they_see_with_dropout": lambda x: layers.Flatten()(
        _with_itself(dropout=0.1)(x)
    ),
    "block": _block,
    "sums": _sums,
    "sum_around_dropout": _sum_around_dropout,
    "normalized": lambda x: layers.GRU(4)(
        layers.ReLU()(layers.BatchNormalization()(layers.Dense(5)(x)))
    ),
    "sum_with_what_has_none": lambda x: layers.GRU(4)(
        layers.Add()([x, layers.Dense(8)(x)])
    ),
}
if IS_KERAS_3:
    _CASES["shared_keys"] = lambda x: _mean(
        layers.GroupQueryAttention(4, 4, 2, kernel_initializer=_NORMAL)(x, x)
    )


@keras.utils.register_keras_serializable("masks_test")
class _Own(layers.Layer):
    """A layer of one's own that reads a mask."""

    def call(self, inputs, mask=None):
        if mask is None:
            return inputs
        return inputs * tf.cast(mask[..., None], inputs.dtype)


@keras.utils.register_keras_serializable("masks_test")
class _Around(layers.Layer):
    """A layer of one's own, inside which a layer takes a mask."""

    def build(self, input_shape):
        self.inside = layers.GRU(8, return_sequences=True)
        self.inside.build(input_shape)
        super().build(input_shape)

    def call(self, inputs):
        return self.inside(inputs)


@keras.utils.register_keras_serializable("masks_test")
class _Places(layers.Layer):
    """A layer of one's own that adds to each place, and hands masks on."""

    def __init__(self, **options):
        super().__init__(**options)
        self.supports_masking = True

    def call(self, inputs):
        return inputs + tf.linspace(-0.5, 0.5, inputs.shape[1])[:, None]

    def compute_mask(self, inputs, mask=None):
        return mask


class MasksTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(*_CASES)
    def test_files_answer_what_is_foretold(self, name):
        graph = check_foretold(self, _quantized(_CASES[name]), _IDS, 24.0)
        self.assertEqual(graph.float_layers, ())

    @parameterized.parameters("gru", "mean", "attention")
    @pytest.mark.one_keras
    def test_where_padding_lies_changes_nothing(self, name):
        """Behind the first place: a first step has no state to multiply."""
        model = _quantized(_CASES[name], "4/4")
        check_foretold(self, model, _IDS, 8.0)
        graph = to_integer_graph(model, _IDS)
        kinds = {one.kind for one in graph.operators}
        self.assertContainsSubset({"MINIMUM", "GATHER"}, kinds)
        answers = []
        for places in ([0, 1, 2], [0, 2, 4], [0, 1, 5]):
            ids = np.zeros((48, 6), np.int32)
            ids[:, places] = 1 + _IDS[:, :3] % 49
            answers.append(simulate(graph, ids))
        self.assertAllEqual(answers[1], answers[0])
        self.assertAllEqual(answers[2], answers[0])

    @pytest.mark.skipif(not IS_KERAS_3, reason="tf_keras has no such operation")
    def test_a_mask_of_indices_may_be_computed_between_layers(self):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((6,), dtype="int32", name="x")
        x = layers.Embedding(50, 8, embeddings_initializer=_NORMAL)(inputs)
        x = layers.GRU(4)(x, mask=keras.ops.not_equal(inputs, 0))
        model = keras.Model(inputs, layers.Dense(3)(x))
        check_foretold(self, at_point(model, _IDS, "8/8", "tflite"), _IDS, 25.0)

    def test_losses_of_the_model_stay_numbers(self):
        """To find the masks, the model is traced."""
        model = _quantized(
            lambda x: layers.GRU(4)(layers.ReLU(activity_regularizer="l2")(x))
        )
        to_integer_graph(model, _IDS)
        self.assertTrue(
            np.isfinite([float(loss) for loss in model.losses]).all()
        )
        model(_IDS)
        self.assertLen(model.losses, 1)

    def test_one_layer_in_float_beside_masks(self):
        model = _quantized(_block)
        graph = to_integer_graph(model, _IDS, allow_float=True)
        self.assertLen(graph.float_layers, 2)  # The normalizations.

    @parameterized.named_parameters(
        ("of_values", lambda x: layers.GRU(4)(layers.Masking()(x)), " mask"),
        (
            "read_by_an_own_layer",
            lambda x: layers.Flatten()(_Own(name="own")(x)),
            "'own'",
        ),
        (
            "handed_on_by_an_own_layer",
            lambda x: layers.GRU(4)(_Places(name="own")(x)),
            "'own'(?!.*allow_float)",
        ),
        (
            "read_inside_an_own_layer",
            lambda x: layers.Flatten()(_Around(name="own")(x)),
            "'own'",
        ),
        (
            "of_twice_as_many_places",
            lambda x: layers.GRU(4)(
                layers.Concatenate(axis=1, name="both")([x, x])
            ),
            " mask",
        ),
        (
            "of_plain_attention",
            lambda x: _mean(layers.Attention(name="dot")([x, x])),
            "'dot'.*mask",
        ),
    )
    def test_other_masks_are_refused(self, make, message):
        for allow_float in (False, True):
            with self.assertRaisesRegex(ValueError, message):
                to_integer_graph(
                    _quantized(make), _IDS, allow_float=allow_float
                )

    @parameterized.parameters("Multiply", "Maximum")
    @pytest.mark.skipif(not IS_KERAS_3, reason="tf_keras multiplies all")
    def test_a_merge_that_leaves_out_what_does_not_count_is_refused(self, name):
        def make(x):
            merge = getattr(layers, name)(name="merge")
            return _mean(merge([x, layers.Dense(8)(x)]))

        with self.assertRaisesRegex(ValueError, "'merge'.* mask"):
            to_integer_graph(_quantized(make), _IDS, allow_float=True)

    @pytest.mark.skipif(not IS_KERAS_3, reason="tf_keras has no such operation")
    def test_a_mask_and_a_constant_are_refused(self):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((6,), dtype="int32", name="x")
        x = layers.Embedding(50, 8)(inputs)
        mask = keras.ops.not_equal(inputs, 0)
        mask = keras.ops.logical_and(mask, np.arange(6)[np.newaxis] < 3)
        model = keras.Model(
            inputs, layers.Dense(3)(layers.GRU(4)(x, mask=mask))
        )
        quantized = at_point(model, _IDS, "8/8", "tflite")
        with self.assertRaisesRegex(ValueError, "makes a mask"):
            to_integer_graph(quantized, _IDS)

    @pytest.mark.skipif(IS_KERAS_3, reason="Keras 3 fills the mask in")
    def test_a_mask_that_is_switched_off_is(self):
        model = _quantized(lambda x: layers.GRU(4)(x, mask=None))
        check_foretold(self, model, _IDS, 25.0)

    @parameterized.parameters(0.0, 0.1)
    def test_a_memory_of_padding_alone(self, dropout):
        """Keras 3 then gives 0 or the mean, as there is dropout or not."""
        keras.utils.set_random_seed(0)
        inputs = keras.Input((6,), dtype="int32", name="x")
        queries = layers.Embedding(50, 8, embeddings_initializer=_NORMAL)
        x = _ATTENTION(dropout=dropout)(queries(inputs), _table(inputs))
        outputs = layers.Dense(3)(layers.Flatten()(x))
        model = keras.Model(inputs, outputs)
        ids = np.where(np.arange(48)[:, np.newaxis] % 4 == 0, 0, _IDS)
        quantized = at_point(model, ids, "8/8", "tflite")
        check_foretold(self, quantized, ids, 24.0)

    @pytest.mark.one_keras
    def test_means_of_few_places_among_many(self):
        """They are as good as those of many."""
        keras.utils.set_random_seed(0)
        inputs = keras.Input((120,), dtype="int32", name="x")
        model = keras.Model(inputs, layers.Dense(3)(_mean(_table(inputs))))
        random = np.random.default_rng(0)
        ids = random.integers(1, 50, (48, 120)).astype(np.int32)
        lengths = np.where(np.arange(48) % 2, 120, random.integers(1, 6, 48))
        ids[np.arange(120) >= lengths[:, np.newaxis]] = 0
        quantized = at_point(model, ids, "8/8", "tflite")
        graph = check_foretold(self, quantized, ids, 27.0)
        answers = graph.quantization(graph.outputs[0]).values_of(
            simulate(graph, ids)
        )
        expected = quantized(ids).numpy()
        for some in (slice(0, None, 2), slice(1, None, 2)):
            error = np.sum((answers[some] - expected[some]) ** 2)
            power = np.sum(expected[some] ** 2)
            self.assertGreater(10 * np.log10(power / error), 22.0)

    def test_attention_between_two_padded_sequences(self):
        keras.utils.set_random_seed(0)
        inputs = [keras.Input((6,), dtype="int32", name=n) for n in "ab"]
        queries, memory = map(_table, inputs)
        x = _mean(_ATTENTION()(queries, memory))
        model = keras.Model(inputs, layers.Dense(3)(x))
        examples = (_IDS, _IDS[::-1])
        quantized = at_point(model, (examples,), "8/8", "tflite")
        graph = to_integer_graph(quantized, [(examples,)])
        (answers,) = integer_runner(graph).outputs(list(examples))
        given = dict(zip("ab", examples, strict=True))
        (found,) = litert_runner(write(graph)).outputs(given)
        self.assertAllEqual(found, answers)
        expected = quantized(list(examples)).numpy()
        error = np.sum((answers - expected) ** 2)
        self.assertGreater(10 * np.log10(np.sum(expected**2) / error), 24.0)

    def test_two_masks_are_refused(self):
        keras.utils.set_random_seed(0)
        inputs = [keras.Input((6,), dtype="int32") for _ in range(2)]
        x = layers.Add(name="sum")(list(map(_table, inputs)))
        model = keras.Model(inputs, layers.Dense(3)(layers.GRU(4)(x)))
        examples = (_IDS, _IDS[::-1])
        quantized = at_point(model, (examples,), "8/8", "tflite")
        with self.assertRaisesRegex(ValueError, "'sum'.* mask"):
            to_integer_graph(quantized, [(examples,)])

    def test_a_mask_that_goes_into_a_nested_model_is_refused(self):
        inner = keras.Input((6, 8))
        nested = keras.Model(inner, layers.GRU(4)(inner), name="nested")
        with self.assertRaisesRegex(ValueError, "'nested'.* mask"):
            to_integer_graph(_quantized(nested), _IDS)


if __name__ == "__main__":
    tf.test.main()
