"""What a device answers, without a device."""

import collections

import numpy as np
import tensorflow as tf

from kure_tf.data.held import check_held
from kure_tf.data.ports import Port
from kure_tf.evaluation import Runner, litert_runner
from kure_tf.export.float_file import float_file
from kure_tf.export.integer_operations import operate
from kure_tf.export.kernel_sets import KERNEL_SETS, RESOLVERS
from kure_tf.integer_graph import check_graph


def simulate(graph, images, kernels="xnnpack", *, batch_size=64):
    """Returns the codes that a device puts out, computed in whole numbers.

    Args:
        graph: An `IntegerGraph` of one input and one output.
        images: Float array `[images, ...]`, or int8 codes of that shape.
        kernels: Whose rounding: "xnnpack" (the interpreter's default),
            "builtin" (TFLite's own optimized kernels), "reference".
        batch_size: Images at a time.

    Returns:
        int8 array `[images, ...]`.

    Raises:
        TypeError, ValueError: As `Simulation`.
        ValueError: Also if the graph has several inputs or outputs.
    """
    simulation = Simulation(graph, kernels)
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise ValueError(
            "Expected a graph of one input and one output. Received: "
            f"{graph.name!r} with the inputs {list(graph.inputs)} and the "
            f"outputs {list(graph.outputs)}. integer_runner(graph) answers "
            "for several."
        )
    images = _checked_inputs(graph, [images])[graph.inputs[0]]
    parts = [
        simulation([images[start : start + batch_size]])[0]
        for start in range(0, len(images), batch_size)
    ]
    return np.concatenate(parts)


def integer_runner(
    graph, kernels="xnnpack", *, num_threads=2, batch_size=64
) -> Runner:
    """Returns what a device answers, as a `Runner`: the file without a file.

    Outputs are the values that the codes stand for.

    Args:
        graph: An `IntegerGraph`.
        kernels: As for `simulate`.
        num_threads: How many batches are computed side by side.
        batch_size: Examples in each; the built-in kernels round the last ones
            of some batches in their own way.

    Raises:
        TypeError, ValueError: As `Simulation`.
    """
    simulation = Simulation(graph, kernels)
    outputs = [graph.quantization(name) for name in graph.outputs]

    def answer(inputs):
        found = zip(outputs, simulation(inputs), strict=True)
        return [
            codes if quantization is None else quantization.values_of(codes)
            for quantization, codes in found
        ]

    return Runner(
        graph.name,
        ports_of(graph, graph.inputs),
        ports_of(graph, graph.outputs),
        answer,
        batch_size,
        num_threads,
    )


def ports_of(graph, names) -> tuple[Port, ...]:
    """Returns the `Port`s of tensors, which hand values in and out."""
    return tuple(
        Port(
            name,
            (None, *graph.tensors[name].shape),
            "int32" if graph.quantization(name) is None else "float32",
        )
        for name in names
    )


class Simulation:
    """An integer graph as a function from inputs to int8 codes.

    What the graph leaves in float is computed by LiteRT's float kernels, whose
    last bit may depend on where in memory they work; all else is foretold.

    Args:
        graph: An `IntegerGraph`.
        kernels: As for `simulate`.

    Raises:
        TypeError: If `graph` is something else.
        ValueError: If there is no such kernel set; when called, if inputs
            have other shapes than the graph's.
    """

    def __init__(self, graph, kernels="xnnpack"):
        check_graph(graph)
        if not isinstance(kernels, str) or kernels not in KERNEL_SETS:
            raise ValueError(
                f"Expected a kernel set, one of {sorted(KERNEL_SETS)}. "
                f"Received: {kernels!r}."
            )
        self._graph, self._kernels = graph, KERNEL_SETS[kernels]
        self._floats = {
            operator.output: litert_runner(
                float_file(operator, graph), resolver=RESOLVERS[kernels]
            )
            for operator in graph.operators
            if operator.kind == "FLOAT"
        }
        self._reads = collections.Counter(graph.outputs)
        for operator in graph.operators:
            self._reads.update(operator.inputs)

    def __call__(self, inputs, tensors=None) -> list[np.ndarray]:
        """Returns the codes of the outputs, or of other `tensors` by name.

        Args:
            inputs: One array for each input: float values or int8 codes;
                indices as they are.
            tensors: Names of tensors; None for the outputs.

        Raises:
            ValueError: If there are more or fewer inputs, if one has another
                shape, or if they hold no or different numbers of examples.
        """
        wanted = self._graph.outputs if tensors is None else tensors
        levels = {
            name: self._levels_of(name, array)
            for name, array in _checked_inputs(self._graph, inputs).items()
        }
        left = self._reads + collections.Counter(wanted)
        with tf.device("/CPU:0"):  # Others may round the sums.
            for operator in self._graph.operators:
                levels[operator.output] = self._run(operator, levels)
                left.subtract(operator.inputs)
                for name in {n for n in operator.inputs if not left[n]}:
                    del levels[name]
        return [self._codes_of(name, levels[name]) for name in wanted]

    def _levels_of(self, name, array):
        quantization = self._graph.quantization(name)
        if quantization is None:
            check_held(array, tf.int32, f"indices for the input {name!r}")
            return tf.constant(array.astype(np.int32))
        if array.dtype != np.int8:
            array = quantization.codes_of(array)
        return tf.constant(array.astype(np.float32) - quantization.zero_point)

    def _codes_of(self, name, levels):
        quantization = self._graph.quantization(name)
        if quantization is None:
            return levels.numpy()
        zero_point = quantization.zero_point
        return (levels.numpy() + zero_point).astype(np.int8)

    def _values_of(self, name, levels):
        quantization = self._graph.quantization(name)
        if quantization is None:
            return levels.numpy()
        return levels.numpy() * np.float32(quantization.scale)

    def _run(self, operator, levels):
        """Returns the levels of an operator's output, float32."""
        inputs = [levels[name] for name in operator.inputs]
        if operator.kind == "FLOAT":
            return self._run_in_float(operator, inputs)
        y = operate(operator, inputs, self._graph, self._kernels)
        quantization = self._graph.quantization(operator.output)
        if quantization is None:
            return y
        low, high = _ends(operator, quantization)
        return tf.clip_by_value(tf.cast(y, tf.float32), low, high)

    def _run_in_float(self, operator, levels):
        """Likewise, by the float kernels themselves."""
        values = map(self._values_of, operator.inputs, levels)
        (y,) = self._floats[operator.output].answer([*values])
        return self._levels_of(operator.output, y)


def _checked_inputs(graph, inputs):
    """Returns `{name: array}` of inputs that the graph can take."""
    if len(inputs) != len(graph.inputs):
        raise ValueError(
            "Expected a list with one array for each input, "
            f"{list(graph.inputs)}. Received: {len(inputs)}."
        )
    arrays = dict(zip(graph.inputs, map(np.asarray, inputs), strict=True))
    for name, array in arrays.items():
        _check_shape(name, array, graph.tensors[name].shape)
    counts = {name: len(array) for name, array in arrays.items()}
    if len(set(counts.values())) != 1:
        raise ValueError(
            "Expected the same number of examples for all inputs. Received: "
            f"{counts}."
        )
    return arrays


def _check_shape(name, array, shape):
    if not array.ndim or array.shape[1:] != shape:
        raise ValueError(
            f"Expected an array [examples, ...] for the input {name!r}, of "
            f"examples of shape {list(shape)}. Received: examples of shape "
            f"{list(array.shape[1:])}. A single example gets its first "
            "dimension by array[np.newaxis]."
        )
    if not len(array):
        raise ValueError(
            f"Expected at least one example for the input {name!r}. Received: "
            f"an array of shape {list(array.shape)}."
        )


def _ends(operator, quantization):
    """Returns the lowest and the highest level that an operator puts out."""
    low, high = -128 - quantization.zero_point, 127 - quantization.zero_point
    if operator.activation != "NONE":
        low = 0
    if operator.activation == "RELU6":
        six = np.float32(6) / np.float32(quantization.scale)
        high = min(high, int(np.rint(six)))
    return low, high
