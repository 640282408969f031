"""The parts of a .tflite file, put together."""

import flatbuffers
import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

from kure_materialize import packed

_TYPES = {
    np.dtype(np.int8): schema.TensorType.INT8,
    np.dtype(np.int32): schema.TensorType.INT32,
    np.dtype(np.float32): schema.TensorType.FLOAT32,
}
CONTAINERS = {
    8: schema.TensorType.INT8,
    4: schema.TensorType.INT4,
    2: 19,  # INT2: TensorFlow before 2.21 has no name for it.
}
"""How the schema calls integers of so many bits."""


def table(kind, **values):
    """Returns a table of the schema, such as "Tensor", that holds `values`.

    Its classes take them as arguments from TensorFlow 2.21 on alone.
    """
    made = getattr(schema, f"{kind}T")()
    for name, value in values.items():
        setattr(made, name, value)
    return made


class FlatbufferFile:
    """A .tflite file of one subgraph, to which tensors and operators go."""

    def __init__(self, description):
        # Buffer 0 is the empty one of all tensors without a constant.
        self._model = table(
            "Model",
            version=3,
            description=description,
            operatorCodes=[],
            buffers=[Buffer()],
            metadata=[],
        )
        self._graph = table("SubGraph", name="main", tensors=[], operators=[])
        self._buffers = {}
        self._codes = {}

    def add_tensor(self, name, shape, dtype, *, scale=None, zero_point=0):
        """Adds a tensor; returns its number.

        Args:
            name: Its name.
            shape: Its shape, batch included; None is a batch of any size.
            dtype: NumPy dtype.
            scale, zero_point: Its quantization; None has none.
        """
        return self._append(
            name,
            shape,
            _TYPES[np.dtype(dtype)],
            _quantization(scale, zero_point),
        )

    def add_constant(
        self,
        name,
        array,
        *,
        scales=None,
        zero_point=0,
        axis=0,
        container=8,
        at_end=False,
    ):
        """Adds a constant tensor; returns its number.

        Equal constants share their bytes, quantized ones only with those of
        their name: where things lie does not depend on the codes.

        Args:
            name: Its name.
            array: NumPy array of int8, int32 or float32.
            scales: Its step sizes, one or one for each size along `axis`.
            zero_point: The code of 0.
            axis: See `scales`.
            container: Bits that each int8 number gets in the file: 8, 4, 2.
            at_end: Whether its bytes lie behind all else, after those of the
                constants at the end that were added before.
        """
        kind, data = _TYPES[array.dtype], array
        if container != 8:
            kind, data = CONTAINERS[container], packed(array, container)
        return self._append(
            name,
            array.shape,
            kind,
            _quantization(scales, zero_point, axis),
            self._buffer(data, name if scales is not None else "", at_end),
        )

    def _append(self, name, shape, kind, quantization, buffer=0):
        tensor = table(
            "Tensor",
            name=name,
            shape=np.array([size or 1 for size in shape], np.int32),
            type=kind,
            quantization=quantization,
            buffer=buffer,
            hasRank=True,
        )
        if None in shape:
            open_sizes = [-1 if size is None else size for size in shape]
            tensor.shapeSignature = np.array(open_sizes, np.int32)
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def _buffer(self, data, owner="", at_end=False):
        """Returns the number of a buffer; equal ones of an owner share it."""
        content = np.ascontiguousarray(data).tobytes()
        key = owner, content
        if key not in self._buffers:
            self._model.buffers.append(Buffer(content, at_end))
            self._buffers[key] = len(self._model.buffers) - 1
        return self._buffers[key]

    def add_operator(self, kind, version, inputs, output, options, **values):
        """Adds an operator.

        Args:
            kind: What the schema calls it, "CONV_2D".
            version: Its version; the file asks for the highest one.
            inputs, output: Numbers of tensors.
            options: What the schema calls its options, "Conv2DOptions"; "NONE"
                where it has none.
            **values: The options by name.
        """
        made = None if options == "NONE" else table(options, **values)
        operator = table(
            "Operator",
            opcodeIndex=self._operator_code(kind, version),
            inputs=np.array(inputs, np.int32),
            outputs=np.array([output], np.int32),
            builtinOptionsType=getattr(schema.BuiltinOptions, options),
            builtinOptions=made,
        )
        self._graph.operators.append(operator)

    def add_file(self, content, inputs, prefix):
        """Adds all that another file computes; returns its output's number.

        Args:
            content: The bytes of a file of one subgraph and one output.
            inputs: Numbers of the tensors that take the place of its inputs,
                in the order of their names in its signature: the converter
                has an order of its own.
            prefix: What the names of its tensors begin with.

        Raises:
            ValueError: If it has several subgraphs or operators that are not
                LiteRT's own.
        """
        root = schema.Model.GetRootAs(content, 0)
        other = schema.ModelT.InitFromObj(root)
        codes = [
            (max(one.builtinCode, one.deprecatedBuiltinCode), one.version)
            for one in other.operatorCodes
        ]
        custom = schema.BuiltinOperator.CUSTOM
        if len(other.subgraphs) > 1 or custom in dict(codes):
            raise ValueError(
                "Expected operators of LiteRT's own, and none that run other "
                f"graphs, such as loops. Received others for {prefix!r}."
            )
        (graph,) = other.subgraphs
        (signature,) = other.signatureDefs
        names = {one.name: one.tensorIndex for one in signature.inputs}
        places = [names[name] for name in sorted(names)]
        numbers = {-1: -1, **dict(zip(places, inputs, strict=True))}
        for number, tensor in enumerate(graph.tensors):
            if number not in numbers:
                numbers[number] = self._take(tensor, other.buffers, prefix)
        for operator in graph.operators:
            operator.opcodeIndex = self._code(*codes[operator.opcodeIndex])
            for field in ("inputs", "outputs", "intermediates"):
                old = getattr(operator, field)
                new = None if old is None else [numbers[one] for one in old]
                setattr(operator, field, new)
            self._graph.operators.append(operator)
        return numbers[graph.outputs[0]]

    def _take(self, tensor, buffers, prefix):
        """Adds a tensor of another file; returns its number."""
        data = buffers[tensor.buffer].data
        tensor.buffer = 0 if data is None else self._buffer(data)
        tensor.name = prefix + tensor.name.decode()
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def _operator_code(self, kind, version):
        return self._code(getattr(schema.BuiltinOperator, kind), version)

    def _code(self, number, version):
        if number not in self._codes:
            self._codes[number] = len(self._codes)
            self._model.operatorCodes.append(
                table(
                    "OperatorCode",
                    # 127 tells old readers to look at the other field.
                    deprecatedBuiltinCode=min(number, 127),
                    builtinCode=number,
                    version=version,
                )
            )
        code = self._model.operatorCodes[self._codes[number]]
        code.version = max(code.version, version)
        return self._codes[number]

    def add_metadata(self, name, content):
        """Adds some bytes under a name."""
        self._model.buffers.append(Buffer(content))
        number = len(self._model.buffers) - 1
        self._model.metadata.append(table("Metadata", name=name, buffer=number))

    def finish(self, signature, inputs, outputs) -> bytes:
        """Returns the file.

        Args:
            signature: Name of the signature.
            inputs, outputs: `{name: number of the tensor}`.
        """
        self._graph.inputs = np.array(list(inputs.values()), np.int32)
        self._graph.outputs = np.array(list(outputs.values()), np.int32)
        self._model.subgraphs = [self._graph]
        self._model.signatureDefs = [
            table(
                "SignatureDef",
                inputs=_named(inputs),
                outputs=_named(outputs),
                signatureKey=signature,
                subgraphIndex=0,
            )
        ]
        size = sum(len(buffer.content) for buffer in self._model.buffers)
        builder = flatbuffers.Builder(size + (1 << 16))
        # What is built first comes last in the file.
        for buffer in reversed(self._model.buffers):
            if buffer.at_end:
                buffer.write(builder)
        builder.Finish(self._model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


class Buffer(schema.BufferT):
    """A buffer on a 16-byte boundary.

    The schema demands that, and the generated code does not do it.
    """

    def __init__(self, content=b"", at_end=False):
        super().__init__()
        self.content, self.at_end = content, at_end
        self._place = None

    def write(self, builder):
        """Writes the bytes, to which `Pack` then points."""
        builder.StartVector(1, len(self.content), 16)
        builder.head -= len(self.content)
        start = builder.head
        builder.Bytes[start : start + len(self.content)] = self.content
        self._place = builder.EndVector()

    def Pack(self, builder):  # noqa: N802
        if not self.content:
            return super().Pack(builder)
        if not self.at_end:
            self.write(builder)
        schema.BufferStart(builder)
        schema.BufferAddData(builder, self._place)
        return schema.BufferEnd(builder)


def _quantization(scales, zero_point, axis=0):
    if scales is None:
        return None
    scales = np.atleast_1d(np.asarray(scales, np.float32))
    return table(
        "QuantizationParameters",
        scale=scales,
        zeroPoint=np.full(scales.size, zero_point, np.int64),
        quantizedDimension=axis,
    )


def _named(numbers):
    return [
        table("TensorMap", name=name, tensorIndex=number)
        for name, number in numbers.items()
    ]
