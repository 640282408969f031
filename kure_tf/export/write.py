"""Writing an integer graph as a .tflite file, without a converter."""

import numpy as np

from kure_tf.export.file_operators import file_operator, stored_kernel
from kure_tf.export.flatbuffer import FlatbufferFile
from kure_tf.export.float_file import float_file
from kure_tf.integer_graph import check_graph


def write(
    graph,
    *,
    float_ports=False,
    batch_size=None,
    signature="serving_default",
    metadata=None,
) -> bytes:
    """Returns an integer graph as the bytes of a .tflite file.

    Args:
        graph: An `IntegerGraph`.
        float_ports: Whether inputs and outputs are float32, with QUANTIZE and
            DEQUANTIZE behind and in front of them; else int8, as
            integer-only devices need them. Indices are int32 either way.
        batch_size: Fixes the batch size; None leaves it open.
        signature: Name of the signature. Its inputs and outputs have the names
            of the graph's tensors.
        metadata: `{name: text or bytes}` to keep in the file.

    Raises:
        TypeError: If `graph` is something else.
        ValueError: If the batch size is left open and a transposed convolution
            needs it.
    """
    check_graph(graph)
    kinds = [operator.kind for operator in graph.operators]
    if batch_size is None and "TRANSPOSE_CONV" in kinds:
        raise ValueError(
            "Expected a batch_size, such as 1 (export_exact calls it "
            "file_batch_size): LiteRT's transposed convolution "
            f"has its output shape in the file, and {graph.name!r} has one. "
            "Received: None."
        )
    writer = _Writer(graph, batch_size)
    inputs = {name: writer.port(name, float_ports) for name in graph.inputs}
    for name, number in inputs.items():
        if number != writer.number(name):
            writer.quantize(number, name)
    for operator in graph.operators:
        writer.write(operator)
    outputs = {name: writer.number(name) for name in graph.outputs}
    if float_ports:
        outputs = {name: writer.dequantized(name) for name in outputs}
    for name, content in (metadata or {}).items():
        content = content.encode() if isinstance(content, str) else content
        writer.file.add_metadata(name, content)
    return writer.file.finish(signature, inputs, outputs)


class _Writer:
    """Adds tensors and operators of a graph to a file."""

    def __init__(self, graph, batch_size):
        self._graph, self._batch_size = graph, batch_size
        self._rows = graph.rows
        self._numbers = {}
        self.file = FlatbufferFile(graph.name)

    def number(self, name):
        """Returns the number of a tensor of the graph, added if need be."""
        if name not in self._numbers:
            tensor = self._graph.tensors[name]
            self._numbers[name] = self.file.add_tensor(
                name,
                (self._batch_of(name), *tensor.shape),
                tensor.dtype,
                **_scale_of(tensor.quantization),
            )
        return self._numbers[name]

    def _batch_of(self, name):
        """Returns the batch of a tensor in the file, None if it is open."""
        return self._batch_size and self._batch_size * self._rows[name]

    def _float(self, name):
        shape = (self._batch_of(name), *self._graph.tensors[name].shape)
        return self.file.add_tensor(f"{name}_float", shape, np.float32)

    def port(self, name, in_float):
        """Returns the number of what goes in; indices stay what they are."""
        if in_float and self._graph.quantization(name) is not None:
            return self._float(name)
        return self.number(name)

    def quantize(self, number, name):
        """Adds QUANTIZE from a float tensor to one of the graph."""
        self.file.add_operator(
            "QUANTIZE", 1, [number], self.number(name), "QuantizeOptions"
        )

    def dequantized(self, name):
        """Adds DEQUANTIZE; returns the number of the float tensor.

        Indices, which are no codes, are as they are.
        """
        if self._graph.quantization(name) is None:
            return self.number(name)
        number = self._float(name)
        self.file.add_operator(
            "DEQUANTIZE", 2, [self.number(name)], number, "DequantizeOptions"
        )
        return number

    def write(self, operator):
        """Adds an operator of the graph."""
        if operator.kind == "FLOAT":
            return self._write_in_float(operator)
        described = file_operator(operator, self._graph)
        inputs = [self.number(name) for name in operator.inputs]
        if operator.weights is not None:
            inputs += self._kernel_and_bias(operator)
        inputs += self._constants(operator, described)
        if described.order:
            inputs = [inputs[place] for place in described.order]
        self.file.add_operator(
            described.kind,
            described.version,
            inputs,
            self.number(operator.output),
            described.options,
            **described.values,
        )

    def _write_in_float(self, operator):
        """Adds what is left in float, with conversions around it."""
        output = operator.output
        number = self.file.add_file(
            float_file(operator, self._graph, self._batch_size),
            [self.dequantized(name) for name in operator.inputs],
            f"{output}/",
        )
        self.quantize(number, output)

    def _kernel_and_bias(self, operator):
        weights = operator.weights
        codes, axis = stored_kernel(operator)
        kernel = self.file.add_constant(
            weights.path,
            codes,
            scales=weights.scales,
            axis=axis,
            container=weights.container,
            at_end=True,
        )
        x = self._graph.quantization(operator.inputs[0])
        if x is None:  # A table.
            return [kernel]
        return [
            kernel,
            self.file.add_constant(
                f"{weights.path}/bias",
                weights.biases,
                scales=np.float32(x.scale) * weights.scales,
            ),
        ]

    def _constants(self, operator, described):
        return [
            self.file.add_constant(
                f"{operator.output}/{name}",
                self._with_batch(operator.output, name, array),
                scales=None if quantization is None else quantization.scale,
                zero_point=quantization and quantization.zero_point,
            )
            for name, (array, quantization) in described.constants.items()
        ]

    def _with_batch(self, output, name, array):
        batch = self._batch_of(output)
        if name != "shape" or batch is None:
            return array
        return np.where(array == -1, batch, array).astype(np.int32)


def _scale_of(quantization):
    if quantization is None:
        return {}
    return {
        "scale": quantization.scale,
        "zero_point": quantization.zero_point,
    }
