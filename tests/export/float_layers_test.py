"""Layers that are left in float, between integer operators."""

import functools
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized
from litert_files import EIGHT_BIT_ENDS, KERNELS, at_point, run

from kure_tf.compat import keras
from kure_tf.export import (
    check_file,
    export_exact,
    fake_quant_model,
    simulate,
    to_integer_graph,
    write,
)
from kure_tf.export.pair_runner import pair_runner

layers = keras.layers
_SHAPE = (6, 6, 2)


def _images(count=32):
    rng = np.random.default_rng(0)
    return rng.normal(size=(count, *_SHAPE)).astype(np.float32)


def _norm(x):
    x = layers.Activation("selu", name="selu")(
        layers.LayerNormalization(name="norm")(x)
    )
    return layers.Activation("softplus", name="plus")(layers.Conv2D(4, 1)(x))


def _soft(x):
    return layers.Add()([x, layers.Activation("softsign", name="soft")(x)])


def _recurrent(x):
    x = layers.Reshape((4, 24))(x)
    return layers.GRU(3, reset_after=False, name="gru")(x)


def _erfinv(x):
    return layers.Lambda(lambda x: tf.math.erfinv(x / 99), name="erfinv")(x)


def _minus_selu(xs):
    return xs[0] - tf.nn.selu(xs[1])


def _bits(ids):
    places = 2 ** tf.range(8, dtype=tf.int32)
    return tf.cast(tf.cast(ids, tf.int32)[..., None] // places % 2, tf.float32)


@keras.utils.register_keras_serializable("float_layers_test")
class _Table(layers.Layer):
    """A layer of one's own with an embedding in it."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.table = layers.Embedding(200, 3)

    def build(self, input_shape):
        self.table.build(input_shape)
        super().build(input_shape)

    def call(self, inputs):
        return self.table(inputs)

    def compute_output_shape(self, input_shape):
        return (*input_shape, 3)


def _halves(ids):
    """Returns features of ids: the lower half of their bits, and the upper."""
    lower, upper = ids % 64, ids // 64
    return tf.stack([tf.cast(x, tf.float32) / 64 for x in (lower, upper)], -1)


@functools.cache
def _model(make, placement=None):
    keras.utils.set_random_seed(0)
    inputs = keras.Input(_SHAPE, name="image")
    x = layers.Conv2D(6, 3, activation="relu", name="first")(inputs)
    x = layers.Flatten()(make(x))
    model = keras.Model(inputs, layers.Dense(3, name="logits")(x), name="net")
    return at_point(model, _images(), "4/8", placement or EIGHT_BIT_ENDS)


def _graph(*arguments):
    model = _model(*arguments)
    return to_integer_graph(model, [_images()], allow_float=True)


# The paper's placement leaves the first and the last layer in float.
_ALL = "first", "norm", "selu", "plus", "logits"


class FloatLayersTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.named_parameters(
        ("elementwise", (_norm,), ("norm", "selu", "plus"), 2),
        ("between", (_soft,), ("soft",), 1),
        ("recurrent", (_recurrent,), ("gru",), 1),
        ("pinned", (_norm, "paper"), _ALL, 3),
    )
    def test_all_codes_are_foretold(self, arguments, names, count):
        graph = _graph(*arguments)

        content = write(graph)

        self.assertEqual(graph.float_layers, names)
        kinds = [operator.kind for operator in graph.operators]
        self.assertEqual(kinds.count("FLOAT"), count)
        found = check_file(content, graph)
        self.assertEqual(found.differences, ())
        self.assertGreater(found.float_operators, 0)
        codes = graph.quantization("image").codes_of(_images())
        for kernels in KERNELS:
            self.assertAllEqual(
                simulate(graph, codes, kernels), run(content, [codes], kernels)
            )

    @pytest.mark.one_keras
    def test_answers_are_near_the_models(self):
        graph = _graph(_norm)

        quantization = graph.quantization("logits")
        answers = quantization.values_of(simulate(graph, _images()))
        error = np.abs(answers - np.asarray(_model(_norm)(_images())))
        self.assertLess(error.mean(), 3 * quantization.scale)

    def test_they_are_refused_unless_allowed(self):
        with self.assertRaisesRegex(ValueError, "'selu': .*allow_float=True"):
            to_integer_graph(_model(_norm), [_images()])

    def test_indices_stay_what_they_are(self):
        """Codes of 8 bits would make other indices of most of them."""
        ids = np.arange(256, dtype=np.int32).reshape(64, 4) * 7
        inputs = keras.Input((4,), dtype="int32", name="ids")
        x = layers.Lambda(_halves, output_shape=(4, 2), name="halves")(inputs)
        model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))
        model = at_point(model, ids, "8/8", EIGHT_BIT_ENDS)
        graph = to_integer_graph(model, [ids], allow_float=True)
        self.assertEqual(graph.tensors["ids"].dtype, "int32")
        self.assertEqual(graph.float_layers, ("halves",))
        for float_ports in (False, True):
            content = write(graph, float_ports=float_ports)
            self.assertEqual(check_file(content, graph).differences, ())
        self.assertAllEqual(run(write(graph), [ids]), simulate(graph, ids))
        answers = graph.quantization(graph.outputs[0]).values_of(
            simulate(graph, ids)
        )
        expected = model(ids).numpy()
        spread = expected.max() - expected.min()
        self.assertAllClose(answers, expected, atol=0.02 * spread)

    def test_two_inputs_keep_their_order(self):
        """TFLite's converter has an order of its own."""
        rows = np.random.default_rng(0).normal(size=(32, 4, 6))
        rows = rows.astype(np.float32)
        keras.utils.set_random_seed(0)
        inputs = keras.Input(rows.shape[1:], name="rows")
        minus = layers.Lambda(_minus_selu, output_shape=(4, 6), name="minus")
        x = minus([layers.Dense(6)(inputs), inputs])
        model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))
        model = at_point(model, rows, "8/8", EIGHT_BIT_ENDS)
        graph = to_integer_graph(model, [rows], allow_float=True)
        answers = simulate(graph, rows)
        codes = graph.quantization("rows").codes_of(rows)
        self.assertAllEqual(run(write(graph), [codes]), answers)
        found = graph.quantization(graph.outputs[0]).values_of(answers)
        expected = model(rows).numpy()
        spread = expected.max() - expected.min()
        self.assertAllClose(found, expected, atol=0.03 * spread)

    @parameterized.parameters("float32", "uint8")
    def test_own_layers_may_look_up(self, dtype):
        """Of floats with an embedding inside, and of bytes."""
        ids = np.random.default_rng(0).integers(0, 200, (64, 4)).astype(dtype)
        inputs = keras.Input((4,), dtype=dtype, name="ids")
        if dtype == "uint8":
            own = layers.Lambda(_bits, output_shape=(4, 8), name="own")
        else:
            own = _Table(name="own")
        x = layers.Flatten()(own(inputs))
        model = keras.Model(inputs, layers.Dense(2, name="last")(x))
        model = at_point(model, ids, "8/8", EIGHT_BIT_ENDS)
        graph = to_integer_graph(model, [ids], allow_float=True)
        found = graph.quantization(graph.outputs[0]).values_of(
            simulate(graph, ids.astype(np.float32))
        )
        expected = model(ids).numpy()
        spread = expected.max() - expected.min()
        self.assertAllClose(found, expected, atol=0.02 * spread)

    @parameterized.parameters(False, True)
    def test_indices_that_a_layer_makes_are_refused(self, allow_float):
        inputs = keras.Input((4,), dtype="int32")
        doubled = layers.Lambda(lambda x: 2 * x, output_shape=(4,))(inputs)
        x = layers.Embedding(400, 3, name="table")(doubled)
        model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))
        ids = np.arange(16, dtype=np.int32).reshape(4, 4)
        model = at_point(model, ids, "8/8", EIGHT_BIT_ENDS)
        with self.assertRaisesRegex(ValueError, "no integer operator|'table'"):
            to_integer_graph(model, [ids], allow_float=allow_float)

    def test_what_litert_does_not_compute_is_refused_by_name(self):
        with self.assertRaisesRegex(ValueError, "none for 'erfinv'"):
            write(_graph(_erfinv))

    def test_the_converters_route_leaves_them_to_write(self):
        with self.assertRaisesRegex(ValueError, "'selu', FLOAT.*write"):
            fake_quant_model(_graph(_norm))

    @pytest.mark.one_keras
    def test_a_verified_file_names_them(self):
        path = pathlib.Path(self.get_temp_dir()) / "m.tflite"
        found = export_exact(
            _model(_norm),
            path,
            [_images()],
            [(_images(), np.arange(32) % 3)],
            kernels=("xnnpack", "builtin"),
            allow_float=True,
            progress=False,
        )

        self.assertEqual(found.differing_codes, 0)
        self.assertEqual(found.float_layers, ("norm", "selu", "plus"))
        # The logits and what goes into the layers, with two sets of kernels.
        self.assertEqual(found.codes, 2 * 32 * (3 + 4 * 4 * 6 + 4 * 4 * 4))
        self.assertTrue(path.exists())

    @pytest.mark.one_keras
    def test_answers_are_those_of_the_file_itself(self):
        graph = _graph(_norm)
        codes = graph.weights["logits"].codes
        content = write(graph)
        stored = np.ascontiguousarray(codes.T).tobytes()
        changed = content.replace(stored, bytes(len(stored)))
        graph_images = graph.quantization("image").codes_of(_images())

        runner = pair_runner(
            changed,
            graph,
            "builtin",
            file_batch_size=None,
            num_threads=1,
            batch_size=32,
        )
        answers, differing = runner.outputs(_images())

        expected = run(changed, [graph_images], "builtin")
        quantization = graph.quantization("logits")
        self.assertAllEqual(quantization.codes_of(answers), expected)
        self.assertNotAllEqual(expected, run(content, [graph_images]))
        self.assertEqual(differing.sum(), 0)


if __name__ == "__main__":
    tf.test.main()
