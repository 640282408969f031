"""What a .tflite file holds, tensor by tensor."""

import contextlib
import struct

import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

_DTYPES = {"INT8": np.int8, "INT32": np.int32, "FLOAT32": np.float32}


@contextlib.contextmanager
def opened(content):
    """Gives the root of a .tflite file's flatbuffer, to be read within.

    Raises:
        TypeError: If `content` is something else than bytes.
        ValueError: If it is no .tflite file, or what is read is damaged.
    """
    if not isinstance(content, bytes | bytearray | memoryview):
        raise TypeError(
            "Expected the bytes of a .tflite file, such as "
            "pathlib.Path(path).read_bytes(). Received: "
            f"{type(content).__name__}."
        )
    if content[4:8] != b"TFL3":
        raise ValueError(
            "Expected the bytes of a .tflite file, which have 'TFL3' at "
            f"position 4. Received: {bytes(content[:8])!r}."
        )
    try:
        yield schema.Model.GetRootAs(content, 0)
    except (
        *(struct.error, LookupError, TypeError, ValueError),
        AttributeError,  # A name or table that is not there.
    ) as error:
        raise ValueError(
            "Expected a whole .tflite file. Received: "
            f"{len(content)} bytes that are cut off or damaged ({error}). "
            "Read or write the file again."
        ) from error


class StoredFile:
    """The first subgraph of a .tflite file as plain values.

    Attributes:
        tensors: A dictionary for each: "name", "type", "shape", "any_batch",
            "scales", "axis" (the dimension that has a scale for each entry),
            "zero points", "values" (None if it is no constant;
            4-bit and 2-bit ones as bytes).
        operators: A dictionary for each: "name" (of its first output),
            "kind", "inputs" and "outputs" (names), "options".
        ports: "inputs" and "outputs" of the subgraph (names), under its
            "name", in a list of one.
        signatures: A dictionary for each: "name", "subgraph" (number),
            "inputs" and "outputs" (`{name: name of the tensor}`).

    Raises:
        TypeError: If `content` is something else than bytes.
        ValueError: If it is no .tflite file, or a damaged one.
    """

    def __init__(self, content):
        with opened(content) as root:
            self._model = schema.ModelT.InitFromObj(root)
            self._graph = graph = self._model.subgraphs[0]
            self.tensors = [self._tensor(one) for one in graph.tensors]
            self.operators = [self._operator(one) for one in graph.operators]
            self.ports = [self._ports(graph)]
            signatures = self._model.signatureDefs or ()
            self.signatures = [self._signature(one) for one in signatures]

    @property
    def has_float_ports(self) -> bool:
        """Whether an input or output of the file is a float32 number."""
        ports = (*self._graph.inputs, *self._graph.outputs)
        return any(self.tensors[n]["type"] == "FLOAT32" for n in ports)

    def input_port(self):
        """Returns the tensor of the first input.

        Raises:
            ValueError: If none is there, or it has no batch dimension.
        """
        numbers = self._graph.inputs
        if not len(numbers) or not self.tensors[numbers[0]]["shape"]:
            raise ValueError(
                "Expected a .tflite file whose first input has a batch "
                f"dimension. Received inputs {self._names(numbers)}. Write "
                "the file again."
            )
        return self.tensors[numbers[0]]

    def _tensor(self, tensor):
        kind = _name_of(schema.TensorType, tensor.type)
        signature, quantization = tensor.shapeSignature, tensor.quantization
        data = self._model.buffers[tensor.buffer].data
        if data is not None:
            data = np.asarray(data, np.uint8).view(_DTYPES.get(kind, np.uint8))
        return {
            "name": tensor.name.decode(),
            "type": kind,
            "shape": [int(size) for size in tensor.shape],
            "any_batch": signature is not None and int(signature[0]) == -1,
            "scales": getattr(quantization, "scale", None),
            "axis": getattr(quantization, "quantizedDimension", None),
            "zero points": getattr(quantization, "zeroPoint", None),
            "values": data,
        }

    def _operator(self, operator):
        code = self._model.operatorCodes[operator.opcodeIndex]
        number = max(code.builtinCode, code.deprecatedBuiltinCode)
        options = operator.builtinOptions
        outputs = self._names(operator.outputs)
        return {
            "name": outputs[0],
            "kind": _name_of(schema.BuiltinOperator, number),
            "inputs": self._names(operator.inputs),
            "outputs": outputs,
            "options": {} if options is None else _plain(options),
        }

    def _ports(self, graph):
        return {
            "name": (graph.name or b"").decode(),
            "inputs": self._names(graph.inputs),
            "outputs": self._names(graph.outputs),
        }

    def _signature(self, signature):
        return {
            "name": (signature.signatureKey or b"").decode(),
            "subgraph": signature.subgraphIndex,
            "inputs": self._by_name(signature.inputs),
            "outputs": self._by_name(signature.outputs),
        }

    def _by_name(self, entries):
        return {
            entry.name.decode(): self.tensors[entry.tensorIndex]["name"]
            for entry in entries or ()
        }

    def _names(self, numbers):
        return [self.tensors[n]["name"] if n >= 0 else "" for n in numbers]


def _name_of(enumeration, number):
    names = {value: name for name, value in vars(enumeration).items()}
    return names[number]


def _plain(options):
    return {
        name: value.tolist() if isinstance(value, np.ndarray) else value
        for name, value in sorted(vars(options).items())
    }
