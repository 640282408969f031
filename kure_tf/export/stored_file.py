"""What a .tflite file holds, tensor by tensor."""

import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

_DTYPES = {"INT8": np.int8, "INT32": np.int32, "FLOAT32": np.float32}


class StoredFile:
    """The first subgraph of a .tflite file as plain values.

    Attributes:
        tensors: A dictionary for each: "name", "type", "shape", "any_batch",
            "scales", "zero points", "values" (None if it is no constant;
            4-bit and 2-bit ones as bytes).
        operators: A dictionary for each: "name" (of its first output),
            "kind", "inputs" and "outputs" (names), "options".

    Raises:
        ValueError: If `content` is no .tflite file.
    """

    def __init__(self, content):
        if content[4:8] != b"TFL3":
            raise ValueError(
                "Expected the bytes of a .tflite file, which have 'TFL3' at "
                f"position 4. Received: {bytes(content[:8])!r}."
            )
        root = schema.Model.GetRootAs(content, 0)
        self._model = schema.ModelT.InitFromObj(root)
        self._graph = self._model.subgraphs[0]
        self.tensors = [self._tensor(one) for one in self._graph.tensors]
        self.operators = [self._operator(one) for one in self._graph.operators]

    def input_port(self):
        """Returns the tensor of the first input."""
        return self.tensors[self._graph.inputs[0]]

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
