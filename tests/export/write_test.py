import functools

import flatbuffers
import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized
from litert_files import at_point, interpreter_of, randomized, run
from tensorflow.lite.python import schema_py_generated as schema

from kure_tf.compat import keras
from kure_tf.export import (
    check_file,
    simulate,
    to_integer_graph,
    with_container,
    write,
)
from kure_tf.export.file_details import file_details
from kure_tf.export.file_operators import stored_kernel
from kure_tf.export.stored_file import StoredFile

pytestmark = pytest.mark.one_keras

_SHAPE = (6, 6, 2)


def _images(count=16, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, *_SHAPE)).astype(np.float32)


@functools.cache
def _graph(point="2/8"):
    keras.utils.set_random_seed(0)
    layers = [
        keras.Input(_SHAPE, name="image"),
        keras.layers.Conv2D(8, 3, name="conv"),
        keras.layers.BatchNormalization(name="norm"),
        keras.layers.ReLU(name="relu"),
        keras.layers.DepthwiseConv2D(3, padding="same", name="depthwise"),
        keras.layers.Flatten(name="flat"),
        keras.layers.Dense(8, activation="relu", name="hidden"),
        keras.layers.Dense(3, name="logits"),
    ]
    model = randomized(keras.Sequential(layers, name="net"))
    model = at_point(model, _images(), point)
    return to_integer_graph(model, [_images()])


def _places(content):
    """Returns where each constant of a file starts."""
    model = schema.Model.GetRootAs(content, 0)
    buffers = [model.Buffers(n) for n in range(model.BuffersLength())]
    return [
        buffer._tab.Vector(buffer._tab.Offset(4))
        for buffer in buffers
        if buffer.DataLength()
    ]


class WriteTest(tf.test.TestCase, parameterized.TestCase):
    def test_bytes_depend_on_the_graph_only(self):
        self.assertEqual(write(_graph()), write(_graph()))

    def test_constants_start_at_multiples_of_16_bytes(self):
        graph = _graph()
        content = write(graph)

        for weights in graph.weights.values():
            biases = weights.biases.tobytes()
            self.assertEqual(content.index(biases) % 16, 0)

    def test_kernels_lie_behind_all_else_in_the_order_of_the_graph(self):
        graph = _graph()
        content = write(graph, metadata={"note": b"last in, first out"})

        kernels = [
            stored_kernel(operator)[0]
            for operator in graph.operators
            if operator.weights is not None
        ]
        places = [content.index(one.tobytes()) for one in kernels]
        self.assertEqual(places, sorted(places))
        self.assertEndsWith(content.rstrip(b"\0"), kernels[-1].tobytes())
        self.assertGreater(places[0], content.index(b"last in, first out"))

    def test_all_else_lies_at_the_same_places_at_other_bits(self):
        two, four = write(_graph("2/8")), write(_graph("4/8"))

        self.assertEqual(_places(two), _places(four))

    def test_the_interpreter_reads_our_scales_and_zero_points(self):
        graph = _graph()
        interpreter = interpreter_of(write(graph), "builtin")

        found = {
            detail["name"]: detail["quantization"]
            for detail in interpreter.get_tensor_details()
        }
        for name, tensor in graph.tensors.items():
            quantization = tensor.quantization
            expected = quantization.scale, quantization.zero_point
            self.assertEqual(found[name], expected, name)

    def test_the_interpreter_reads_our_codes_and_biases(self):
        graph = _graph()
        interpreter = interpreter_of(write(graph), "builtin")
        interpreter.allocate_tensors()

        numbers = {
            detail["name"]: detail["index"]
            for detail in interpreter.get_tensor_details()
        }
        weights = graph.weights["relu"]
        kernel = interpreter.get_tensor(numbers["conv/kernel"])
        bias = interpreter.get_tensor(numbers["conv/kernel/bias"])
        self.assertAllEqual(kernel, np.moveaxis(weights.codes, 3, 0))
        self.assertAllEqual(bias, weights.biases)

    def test_ports_have_the_names_of_the_model(self):
        runner = interpreter_of(write(_graph())).get_signature_runner()

        answer = runner(image=np.zeros((2, *_SHAPE), np.int8))
        self.assertEqual(list(answer), ["logits"])
        self.assertEqual(answer["logits"].shape, (2, 3))

    def test_float_ports_answer_with_the_values_of_the_codes(self):
        graph, images = _graph(), _images()

        answers = run(write(graph, float_ports=True), [images])

        codes = simulate(graph, images)
        expected = graph.quantization("logits").values_of(codes)
        self.assertAllEqual(answers, expected)

    def test_a_fixed_batch_size_is_in_the_file(self):
        details = file_details(write(_graph(), batch_size=4))["input"]

        self.assertEqual(details["shape"], [4, *_SHAPE])
        details = file_details(write(_graph()))["input"]
        self.assertEqual(details["shape"], [None, *_SHAPE])

    def test_no_operator_computes_in_float(self):
        for in_float in (False, True):
            content = write(_graph(), float_ports=in_float)
            self.assertEqual(file_details(content)["float_ops"], 0)

    def test_metadata_come_along(self):
        content = write(_graph(), metadata={"labels.txt": "cat\ndog"})

        self.assertIn(b"labels.txt", content)
        self.assertIn(b"cat\ndog", content)

    def test_what_is_no_graph_is_refused(self):
        with self.assertRaisesRegex(TypeError, "to_integer_graph.*: bytes"):
            write(b"")


class ContainersTest(tf.test.TestCase):
    def test_4_bits_halve_the_kernels_that_fit(self):
        graph = with_container(_graph(), 4)

        content = write(graph)

        stored = file_details(content)["tensors"]
        self.assertEqual(stored["int4"], 2)  # Both ends have 8 bits.
        kernels = [graph.weights[name].codes.size for name in ("hidden",)]
        saved = len(write(_graph())) - len(content)
        self.assertAllClose(saved, sum(kernels) / 2, atol=80)

    def test_depthwise_kernels_can_stay_at_8_bits(self):
        graph = with_container(_graph(), 4, depthwise=False)

        self.assertEqual(graph.weights["depthwise"].container, 8)
        self.assertEqual(graph.weights["hidden"].container, 4)

    def test_transposed_kernels_stay_at_8_bits_which_litert_runs(self):
        layers = [
            keras.Input(_SHAPE, name="image"),
            keras.layers.Conv2D(4, 3, name="first"),
            keras.layers.Conv2DTranspose(4, 2, name="transposed"),
            keras.layers.Conv2D(3, 2, name="last"),
        ]
        model = at_point(keras.Sequential(layers), _images(), "4/8")
        graph = with_container(to_integer_graph(model, [_images()]), 4)

        content = write(graph, batch_size=16)

        codes = graph.quantization("image").codes_of(_images())
        self.assertAllEqual(run(content, [codes]), simulate(graph, codes))

    def test_2_bits_are_refused_for_convolutions(self):
        with self.assertRaisesRegex(
            ValueError, "a DEPTHWISE_CONV_2D of 2.*'depthwise/"
        ):
            with_container(_graph(), 2)

    def test_2_bits_run_in_dense_layers(self):
        layers = [
            keras.Input((16,), name="image"),
            keras.layers.Dense(16, name="first"),
            keras.layers.Dense(16, activation="relu", name="hidden"),
            keras.layers.Dense(3, name="logits"),
        ]
        rng = np.random.default_rng(0)
        rows = rng.normal(size=(32, 16)).astype(np.float32)
        model = at_point(keras.Sequential(layers), rows, "2/8")
        graph = with_container(to_integer_graph(model, [rows]), 2)

        content = write(graph)

        self.assertEqual(file_details(content)["tensors"]["int2"], 1)
        codes = graph.quantization("image").codes_of(rows)
        self.assertAllEqual(run(content, [codes]), simulate(graph, codes))

    def test_other_containers_are_refused(self):
        with self.assertRaisesRegex(ValueError, "8, 4 or 2 bits.*: 3"):
            with_container(_graph(), 3)
        with self.assertRaisesRegex(TypeError, "to_integer_graph.*: str"):
            with_container("graph", 4)


def _tampered(change):
    """Returns a file of `_graph()`, changed as a tree of objects."""
    root = schema.Model.GetRootAs(write(_graph()), 0)
    model = schema.ModelT.InitFromObj(root)
    change(model)
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _number(model, name):
    names = [tensor.name for tensor in model.subgraphs[0].tensors]
    return names.index(name.encode())


def _redirect_input(model):
    model.subgraphs[0].inputs = [_number(model, "relu")]


def _redirect_output(model):
    model.subgraphs[0].outputs = [_number(model, "hidden")]


def _turn_scales(model):
    kernel = model.subgraphs[0].tensors[_number(model, "conv/kernel")]
    kernel.quantization.quantizedDimension = 3


def _redirect_signature(model):
    output = model.signatureDefs[0].outputs[0]
    output.tensorIndex = _number(model, "hidden")


def _rename_signature(model):
    model.signatureDefs[0].signatureKey = "other"


def _drop_signature(model):
    model.signatureDefs = []


class CheckFileTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.product(
        bits=(8, 4), float_ports=(False, True), batch_size=(None, 1)
    )
    def test_what_was_written_is_found(self, bits, float_ports, batch_size):
        graph = with_container(_graph(), bits)
        content = write(graph, float_ports=float_ports, batch_size=batch_size)

        found = check_file(content, graph)

        self.assertEqual(found.differences, ())
        self.assertEqual(found.float_operators, 0)
        self.assertGreater(found.tensors, len(graph.tensors))

    def test_a_changed_code_is_named(self):
        graph = _graph()
        content = bytearray(write(graph))
        codes = np.ascontiguousarray(graph.weights["hidden"].codes.T)
        content[content.index(codes.tobytes()) + 5] ^= 1

        found = check_file(bytes(content), graph)

        self.assertLen(found.differences, 1)
        self.assertRegex(
            found.differences[0],
            r"tensor 'hidden/kernel' differs in its values: 1 of \d+ numbers",
        )

    def test_a_changed_scale_is_named(self):
        graph = _graph()
        content = write(graph)
        scale = np.float32(graph.quantization("logits").scale).tobytes()
        self.assertEqual(content.count(scale), 1)
        content = content.replace(scale, np.float32(0.5).tobytes())

        (difference,) = check_file(content, graph).differences

        self.assertRegex(difference, "'logits' differs in its scales: .0.5. in")

    @parameterized.parameters(
        (_redirect_input, "subgraph 'main' .* inputs: .*'relu'.*'image'"),
        (_redirect_output, "subgraph 'main' .* outputs: .*'hidden'.*'logits'"),
        (_turn_scales, "tensor 'conv/kernel' .* axis: 3 in place of 0"),
        (_redirect_signature, "signature .* outputs: .*'hidden'.*'logits'"),
        (_rename_signature, "signature .* name: other in place of serving_"),
        (_drop_signature, "Expected 1 signatures. The file has 0"),
    )
    def test_what_leads_elsewhere_is_named(self, change, message):
        (difference,) = check_file(_tampered(change), _graph()).differences

        self.assertRegex(difference, message)

    def test_a_file_without_inputs_is_refused(self):
        def drop_inputs(model):
            model.subgraphs[0].inputs = []

        with self.assertRaisesRegex(ValueError, r"first input.* \[\]"):
            check_file(_tampered(drop_inputs), _graph())

    def test_signatures_may_have_another_name(self):
        content = write(_graph(), signature="infer")

        found = check_file(content, _graph(), signature="infer")
        self.assertEqual(found.differences, ())

    def test_another_graph_is_seen(self):
        content = write(_graph("2/8"))

        names = " ".join(check_file(content, _graph("8/8")).differences)

        self.assertIn("'hidden/kernel' differs in its values", names)
        self.assertIn("'hidden/kernel/bias' differs in its scales", names)

    def test_what_is_no_file_is_refused(self):
        with self.assertRaisesRegex(ValueError, "TFL3"):
            StoredFile(b"not a file")
        with self.assertRaisesRegex(ValueError, "200 bytes that are cut off"):
            check_file(write(_graph())[:200], _graph())
        with self.assertRaisesRegex(TypeError, "read_bytes.*Received: str"):
            check_file("m.tflite", _graph())


if __name__ == "__main__":
    tf.test.main()
