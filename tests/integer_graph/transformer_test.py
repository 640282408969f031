"""Attention, embeddings and layer normalization as integers."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized
from foretold_files import check_foretold
from litert_files import at_point, run

from kure_tf import (
    quantize_aware,
)
from kure_tf.compat import IS_KERAS_3, keras
from kure_tf.evaluation import litert_runner
from kure_tf.export import (
    integer_runner,
    simulate,
    to_integer_graph,
    with_container,
    write,
)
from kure_tf.fake_quantized import Placement
from kure_tf.quantizers import UniformQuantizer

layers = keras.layers
_WIDTH = 8
_ROWS = np.random.default_rng(0).normal(size=(48, 6, _WIDTH))
_ROWS = _ROWS.astype(np.float32)
_IDS = np.random.default_rng(0).integers(0, 400, (48, 6)).astype(np.int32)
_NORMAL = keras.initializers.RandomNormal(stddev=0.5, seed=0)
_ATTENTION = functools.partial(
    layers.MultiHeadAttention,
    kernel_initializer=_NORMAL,
    bias_initializer=keras.initializers.RandomNormal(stddev=0.2, seed=1),
)


def _dense(x, units=_WIDTH):
    return layers.Dense(units, kernel_initializer=_NORMAL)(x)


def _flat(x):
    return layers.Flatten()(x)


def _made(make, shape=_ROWS.shape[1:], **options):
    keras.utils.set_random_seed(0)
    inputs = keras.Input(shape, name="x", **options)
    return keras.Model(inputs, make(inputs))


def _with_itself(heads, size, **options):
    def make(x, **call):
        return _ATTENTION(heads, size, **options)(x, x, **call)

    return make


@keras.utils.register_keras_serializable("transformer_test")
class _Masked(layers.Layer):
    """Says that some places do not count."""

    def call(self, inputs):
        return inputs

    def compute_mask(self, inputs, mask=None):
        return inputs[..., 0] > 0

    def compute_output_shape(self, input_shape):
        return input_shape


@keras.utils.register_keras_serializable("transformer_test")
class _Parity(layers.Layer):
    """0 or 1: a layer of one's own that reads whole numbers."""

    def call(self, inputs):
        return tf.cast(inputs % 2, tf.float32)

    def compute_output_shape(self, input_shape):
        return input_shape


def _square(x):
    x = layers.Reshape((2, 3, _WIDTH))(x)
    return _ATTENTION(2, 4)(x, x)


def _norm(kind, **options):
    """Returns a normalization with gains and shifts of its own."""
    initializers = {
        f"{name}_initializer": keras.initializers.RandomNormal(
            mean, 0.3, seed=2
        )
        for name, mean in options.pop("trained", {}).items()
    }
    return kind(**initializers, **options)


_LAYER_NORM = functools.partial(
    _norm, layers.LayerNormalization, trained={"gamma": 1.0, "beta": 0.0}
)


def _block(x):
    y = _LAYER_NORM()(x)
    x = layers.Add()([x, _ATTENTION(2, 4)(y, y)])
    y = layers.Dense(16, activation="gelu")(_LAYER_NORM()(x))
    return layers.Add()([x, layers.Dense(_WIDTH)(y)])


def _einsum(equation, shape, bias_axes=None):
    def make(x):
        layer = layers.EinsumDense(
            equation, shape, bias_axes=bias_axes, kernel_initializer=_NORMAL
        )
        return layer(x)

    return make


_CASES = {
    "heads": _with_itself(2, 4),
    "own_sizes": _with_itself(
        3, 5, value_dim=7, output_shape=4, use_bias=False
    ),
    "outputs_of_two_axes": _with_itself(2, 4, output_shape=(2, 3)),
    "causal": lambda x: _with_itself(2, 4)(x, use_causal_mask=True),
    "fewer_queries": lambda x: _ATTENTION(2, 4)(_dense(x)[:, :3], x),
    "three_inputs": lambda x: _ATTENTION(2, 4)(x, _dense(x, 6), _dense(x, 5)),
    "pictures": _square,
    "without_kernels": lambda x: layers.Attention()([x, _dense(x)]),
    "scaled": lambda x: layers.Attention(use_scale=True)([x, x, _dense(x)]),
    "causal_without_kernels": lambda x: layers.Attention()(
        [x, _dense(x)], use_causal_mask=True
    ),
    "dot_of_matrices": lambda x: layers.Dot((2, 2))([x, _dense(x)[:, :4]]),
    "dot_of_columns": lambda x: layers.Dot(1)([x, _dense(x, 3)]),
    "dot_of_vectors": lambda x: layers.Dot(1)(
        [_dense(_flat(x)), _dense(_flat(x))]
    ),
    "dot_of_both": lambda x: layers.Dot((1, 2))([_dense(_flat(x)), x]),
    "in_heads": _einsum("abc,cde->abde", (6, 2, 3), "de"),
    "of_heads": _einsum("abc,bcd->ad", (5,), "d"),
    "turned_kernel": _einsum("abc,dbc->ad", (5,)),
    "layer_norm": lambda x: _LAYER_NORM()(_dense(x)),
    "layer_norm_of_vectors": lambda x: _LAYER_NORM()(_dense(_flat(x))),
    "layer_norm_alone": lambda x: layers.LayerNormalization(
        center=False, scale=False
    )(_dense(x)),
    "block": _block,
    "a_number_for_each": lambda x: _dense(x) + _ROWS[0],
    "a_gain_for_each": lambda x: _dense(x) * _ROWS[0],
}
if IS_KERAS_3:
    _CASES |= {
        "shared_keys": lambda x: layers.GroupQueryAttention(4, 6, 2)(x, x),
        "causal_shared_keys": lambda x: layers.GroupQueryAttention(4, 6, 2)(
            x, x, use_causal_mask=True
        ),
        "gated": lambda x: layers.GroupQueryAttention(4, 6, 2, use_gate=True)(
            x, x
        ),
        "product": lambda x: keras.ops.matmul(_dense(x, 6), x),
        "key_first": lambda x: keras.ops.einsum("bsd,btd->bts", _dense(x), x),
        "sums_in_letters": lambda x: keras.ops.einsum(
            "btd,bsd->bts", _dense(x), x
        ),
        "rms_norm": lambda x: layers.RMSNormalization()(_dense(x)),
    }


def _quantized(model, point, examples=_ROWS, placement="tflite"):
    return at_point(model, examples, point, placement)


@pytest.mark.filterwarnings("ignore:.*is quantized:UserWarning")
class TransformerTest(tf.test.TestCase, parameterized.TestCase):
    def _check(self, quantized, decibels, examples=_ROWS):
        return check_foretold(self, quantized, examples, decibels)

    @parameterized.parameters(*_CASES)
    def test_answers_are_foretold_and_those_of_the_model(self, case):
        self._check(_quantized(_made(_CASES[case]), "8/8"), 27.0)

    def test_all_of_attention_is_on_the_grids_of_the_model(self):
        def make(x):  # The ends have 8 bits.
            return _dense(_with_itself(2, 4)(_dense(x)))

        quantized = _quantized(_made(make), "4/4")
        graph = self._check(quantized, 11.0)
        products = [
            operator
            for operator in graph.operators
            if operator.kind == "BATCH_MATMUL"
        ]
        lowest = [
            graph.quantization(name).lowest
            for operator in products
            for name in operator.inputs
        ]
        self.assertEqual(lowest, [128 - 16] * 4)
        self.assertEqual(graph.float_layers, ())

    @pytest.mark.one_keras
    def test_keys_behind_the_query_change_nothing(self):
        model = _made(lambda x: _with_itself(2, 4)(x, use_causal_mask=True))
        graph = to_integer_graph(_quantized(model, "8/8"), _ROWS)
        changed = _ROWS.copy()
        changed[:, 3:] = np.roll(changed[:, 3:], 1, axis=0)
        before, after = (simulate(graph, rows) for rows in (_ROWS, changed))
        self.assertAllEqual(before[:, :3], after[:, :3])
        self.assertNotAllEqual(before[:, 3:], after[:, 3:])

    @parameterized.parameters("int32", "float32")
    def test_embeddings_look_rows_up(self, dtype):
        """Of 400: int8 codes could not tell most of them apart."""

        def make(x):
            x = layers.Embedding(400, _WIDTH, name="table")(x)
            return layers.Dense(3)(layers.Flatten()(x))

        ids = _IDS.astype(dtype)
        model = _quantized(_made(make, (6,), dtype=dtype), "8/8", ids)
        graph = self._check(model, 30.0, ids.astype(np.int32))
        self.assertEqual(graph.tensors["x"].dtype, "int32")
        self.assertEqual(graph.operators[0].kind, "GATHER")

    def test_a_table_of_one_step_keeps_its_codes(self):
        def make(x):
            x = layers.Embedding(400, _WIDTH, name="table")(x)
            return layers.Dense(3)(layers.Flatten()(x))

        model = _made(make, (6,), dtype="int32")
        quantized = _quantized(model, "3/8", _IDS, Placement())
        graph = with_container(to_integer_graph(quantized, _IDS), 4)
        self.assertAllEqual(run(write(graph), [_IDS]), simulate(graph, _IDS))
        (table,) = (
            operator
            for operator in graph.operators
            if operator.kind == "GATHER"
        )
        layer = quantized.get_layer("table")
        expected = layer(np.arange(400)[np.newaxis]).numpy()[0]
        self.assertLessEqual(np.abs(table.weights.codes).max(), 4)
        self.assertAllClose(
            table.weights.codes * table.weights.scales, expected, rtol=1e-6
        )

    def test_two_towers_of_ids(self):
        def make(users):
            table = layers.Embedding(400, _WIDTH, name="items")
            user = layers.Embedding(400, _WIDTH, name="users")(users[:, :1])
            return layers.Dot(2)([user, table(users[:, 1:])])

        model = _quantized(_made(make, (6,), dtype="int32"), "8/8", _IDS)
        self._check(model, 25.0, _IDS)

    @parameterized.parameters(False, True)
    def test_masks_of_own_layers_are_refused(self, allow_float):
        def make(x):
            return _with_itself(2, 4)(_Masked(name="own")(_dense(x)))

        model = _quantized(_made(make), "8/8")
        with self.assertRaisesRegex(ValueError, "'own': it makes a mask|_Mask"):
            to_integer_graph(model, _ROWS, allow_float=allow_float)

    @pytest.mark.skipif(not IS_KERAS_3, reason="tf_keras cannot copy it")
    def test_a_constant_mask_is_refused(self):
        mask = np.tri(6, dtype=bool)[np.newaxis]
        model = _made(lambda x: _with_itself(2, 4)(x, attention_mask=mask))
        with self.assertRaisesRegex(ValueError, "given a mask"):
            to_integer_graph(_quantized(model, "8/8"), _ROWS)

    @pytest.mark.skipif(not IS_KERAS_3, reason="tf_keras has no such operation")
    def test_sums_over_the_batch_are_refused(self):
        model = _made(lambda x: keras.ops.einsum("atd,bsd->bts", _dense(x), x))
        with self.assertRaisesRegex(ValueError, "examples of a batch"):
            to_integer_graph(_quantized(model, "8/8"), _ROWS)

    def test_normalization_of_one_feature_is_refused(self):
        model = _made(lambda x: layers.LayerNormalization()(_dense(x, 1)))
        with self.assertRaisesRegex(ValueError, "below 1/128.*allow_float"):
            to_integer_graph(_quantized(model, "8/8"), _ROWS)

    def test_steps_of_a_model_with_attention(self):
        inputs = keras.Input((6, _WIDTH))
        inner = keras.Model(inputs, _block(inputs))
        clips = _ROWS.reshape(24, 2, 6, _WIDTH)
        model = _made(layers.TimeDistributed(inner), clips.shape[1:])
        self._check(_quantized(model, "8/8", clips), 27.0, clips)

    @pytest.mark.one_keras
    def test_ids_beyond_int32_are_refused(self):
        """A file holds no others; they were wrapped around."""
        model = _made(lambda x: _dense(_Parity()(x)), (6,), dtype="int64")
        ids = _IDS.astype(np.int64)
        quantized = _quantized(model, "8/8", ids)
        with self.assertRaisesRegex(ValueError, "'x' that int32 holds"):
            to_integer_graph(quantized, ids + 2**33, allow_float=True)
        graph = to_integer_graph(quantized, ids, allow_float=True)
        with self.assertRaisesRegex(ValueError, "'x' that int32 holds"):
            simulate(graph, ids + 2**33)

    @parameterized.parameters(False, True)
    def test_ids_beside_values(self, by_name):
        ids = keras.Input((6,), dtype="int32", name="z")
        values = keras.Input((_WIDTH,), name="a")
        x = _flat(layers.Embedding(400, _WIDTH)(ids))
        x = layers.Concatenate()([_dense(values), x])
        inputs = {"z": ids, "a": values} if by_name else [ids, values]
        model = keras.Model(inputs, layers.Dense(3)(x))
        rows = _ROWS[:, 0]
        examples = {"z": _IDS, "a": rows} if by_name else (_IDS, rows)
        quantized = _quantized(model, "8/8", (examples,))
        graph = to_integer_graph(quantized, [(examples,)])
        self.assertEqual(graph.tensors["z"].dtype, "int32")
        given = {"z": _IDS, "a": rows}
        expected = integer_runner(graph).outputs(
            given if by_name else [_IDS, rows]
        )[0]
        for float_ports in (False, True):
            runner = litert_runner(write(graph, float_ports=float_ports))
            self.assertAllEqual(runner.outputs(given)[0], expected)

    def test_ids_that_are_values_too_are_refused(self):
        def make(x):
            y = layers.Embedding(400, 1, name="table")(x)
            return layers.Add()([layers.Flatten()(y), layers.Rescaling(0.1)(x)])

        model = _quantized(_made(make, (6,), dtype="int32"), "8/8", _IDS)
        with self.assertRaisesRegex(ValueError, "two inputs"):
            to_integer_graph(model, _IDS)

    @parameterized.parameters(False, True)
    def test_normalization_is_better_in_float(self, allow_float):
        quantized = _quantized(_made(_block), "8/8")
        graph = to_integer_graph(quantized, _ROWS, allow_float=allow_float)
        kinds = [operator.kind for operator in graph.operators]
        self.assertEqual(kinds.count("FLOAT"), 2 * allow_float)
        self.assertEqual(kinds.count("RSQRT"), 2 * (not allow_float))

    @parameterized.parameters(
        ("narrow", "asymmetric"),
        ("full", "narrow"),
        ("reference", "signed_or_unsigned"),
    )
    @pytest.mark.one_keras
    def test_other_grids(self, weights, activations):
        placement = Placement(
            UniformQuantizer(weights), UniformQuantizer(activations)
        )
        quantized = _quantized(_made(_block), "7/7", _ROWS, placement)
        self._check(quantized, 22.0)

    def test_a_trained_model_keeps_its_codes(self):
        quantized = quantize_aware(
            _made(_block),
            "lsq",
            8,
            8,
            calibration=[_ROWS],
            placement="tflite",
            engine="native",
            verbose=False,
        )
        quantized.compile("sgd", "mse")
        quantized.fit(_ROWS, np.ones(_ROWS.shape), verbose=0)
        self._check(quantized, 22.0)


if __name__ == "__main__":
    tf.test.main()
