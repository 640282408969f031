"""Float kernels of a .tflite file, stored as codes."""

import flatbuffers
import numpy as np

from kure_materialize import packed
from kure_tf.export.flatbuffer import CONTAINERS, Buffer, schema, table

# The axis of a kernel's output channels, and its layout as seen from Keras.
_LAYOUTS = {
    "CONV_2D": (0, lambda codes: np.moveaxis(codes, -1, 0)),
    "DEPTHWISE_CONV_2D": (3, lambda codes: codes.reshape(*codes.shape[:2], -1)),
    "FULLY_CONNECTED": (0, np.transpose),
    "TRANSPOSE_CONV": (0, lambda codes: np.moveaxis(codes, -2, 0)),
}
# Versions whose kernels take float inputs and such weights.
_VERSIONS = {
    "CONV_2D": {8: 5, 4: 7},
    "DEPTHWISE_CONV_2D": {8: 6, 4: 6},
    "FULLY_CONNECTED": {8: 12, 4: 12},
    "TRANSPOSE_CONV": {8: 3, 4: 3},
}
_LARGEST = {8: 127, 4: 7}
_TOLERANCE = 1e-4  # Of a step; the converter multiplies in float32.


def with_codes(content, kernels, *, container=8, dequantized) -> bytes:
    """Returns a float file whose kernels are stored as integers.

    Each float kernel has to be integers times a scale for each channel: the
    codes of one of `kernels`, whose sign and scale the converter has changed
    by folding batch normalization.

    Args:
        content: The bytes of a file in float.
        kernels: `{path: codes}`, integers in the layout of Keras.
        container: Bits that the file gives each code where they fit: 8 or 4.
        dequantized: Whether a DEQUANTIZE makes floats of the codes in front of
            each operator; else it takes them as they are, and quantizes its
            input on the fly.

    Raises:
        ValueError: If a kernel is not in the file.
    """
    file = _File(content, container, dequantized)
    left = dict(kernels)
    for operator in list(file.graph.operators):
        file.store(operator, left)
    if left:
        raise ValueError(
            "Expected every quantized kernel in the converter's file, as its "
            f"codes times a scale for each channel. Not found: {sorted(left)}."
        )
    return file.content()


class _File:
    """A file in its object form, whose kernels change their type."""

    def __init__(self, content, container, dequantized):
        root = schema.Model.GetRootAs(content, 0)
        self._model = schema.ModelT.InitFromObj(root)
        self.graph = self._model.subgraphs[0]
        self._container, self._dequantized = container, dequantized
        self._model.buffers = [
            Buffer(b"" if one.data is None else bytes(one.data))
            for one in self._model.buffers
        ]

    def store(self, operator, left):
        """Stores the kernel of an operator, if it has one of those `left`."""
        kind = self._kind(operator)
        if kind not in _LAYOUTS:
            return
        tensor = self.graph.tensors[operator.inputs[1]]
        data = self._model.buffers[tensor.buffer].content
        if not data or tensor.type != schema.TensorType.FLOAT32:
            return
        values = np.frombuffer(data, np.float32).reshape(tensor.shape)
        for path, codes in left.items():
            found = _codes_and_scales(values, codes, kind)
            if found is not None:
                del left[path]
                self._replace(operator, tensor, kind, path, *found)
                return

    def _replace(self, operator, tensor, kind, path, codes, scales):
        bits = self._bits(kind, codes)
        data = codes.tobytes() if bits == 8 else packed(codes, bits).tobytes()
        self._model.buffers.append(Buffer(data))
        stored = table(
            "Tensor",
            name=path,
            shape=tensor.shape,
            type=CONTAINERS[bits],
            buffer=len(self._model.buffers) - 1,
            quantization=table(
                "QuantizationParameters",
                scale=scales,
                zeroPoint=np.zeros(scales.size, np.int64),
                quantizedDimension=_LAYOUTS[kind][0],
            ),
            hasRank=True,
        )
        if self._dequantized:
            self._dequantize(operator, tensor, stored)
        else:
            self.graph.tensors[operator.inputs[1]] = stored
            operator.opcodeIndex = self._code(kind, _VERSIONS[kind][bits])

    def _bits(self, kind, codes):
        """Returns the container of some codes."""
        fits = np.abs(codes).max() <= _LARGEST[self._container]
        # No kernel takes 4 bits of a depthwise one beside float inputs.
        runs = self._dequantized or kind in ("CONV_2D", "FULLY_CONNECTED")
        return self._container if fits and runs else 8

    def _dequantize(self, operator, tensor, stored):
        """Lets DEQUANTIZE make the float kernel of the codes."""
        tensor.buffer = 0
        self.graph.tensors.append(stored)
        number = len(self.graph.tensors) - 1
        self.graph.operators.insert(
            self.graph.operators.index(operator),
            table(
                "Operator",
                opcodeIndex=self._code("DEQUANTIZE", 6),
                inputs=np.array([number], np.int32),
                outputs=np.array([operator.inputs[1]], np.int32),
            ),
        )

    def _kind(self, operator):
        code = self._model.operatorCodes[operator.opcodeIndex]
        number = max(code.builtinCode, code.deprecatedBuiltinCode)
        names = vars(schema.BuiltinOperator).items()
        return next(name for name, value in names if value == number)

    def _code(self, kind, version):
        """Returns the number of an operator code, added if need be."""
        number = getattr(schema.BuiltinOperator, kind)
        codes = self._model.operatorCodes
        for place, code in enumerate(codes):
            if (code.builtinCode, code.version) == (number, version):
                return place
        codes.append(
            table(
                "OperatorCode",
                deprecatedBuiltinCode=min(number, 127),
                builtinCode=number,
                version=version,
            )
        )
        return len(codes) - 1

    def content(self):
        """Returns the bytes, without constants that nothing reads any more."""
        used = {
            t.buffer for graph in self._model.subgraphs for t in graph.tensors
        }
        used.update(entry.buffer for entry in self._model.metadata or ())
        for number, buffer in enumerate(self._model.buffers):
            if number not in used:
                buffer.content = b""
        size = sum(len(buffer.content) for buffer in self._model.buffers)
        builder = flatbuffers.Builder(size + (1 << 16))
        builder.Finish(self._model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def _codes_and_scales(values, codes, kind):
    """Returns codes and scales that make `values`; None if they do not."""
    axis, layout = _LAYOUTS[kind]
    if codes.size != values.size:
        return None
    codes = layout(codes).reshape(values.shape)
    rows, floats = (
        np.moveaxis(one, axis, 0).reshape(values.shape[axis], -1)
        for one in (codes, values.astype(np.float64))
    )
    scales = _scales(rows, floats)[:, np.newaxis]
    if (np.abs(floats - rows * scales) > _TOLERANCE * np.abs(scales)).any():
        return None
    shape = [1] * values.ndim
    shape[axis] = -1
    # A scale of 0 is that of a channel which batch norm has switched off.
    codes = codes * np.sign(scales).astype(int).reshape(shape)
    scales = np.where(scales == 0, 1.0, np.abs(scales)).reshape(-1)
    return codes.astype(np.int8), _single(scales.astype(np.float32))


def _scales(rows, floats):
    """Returns what the largest code of each channel is to be multiplied by."""
    places = np.abs(rows).argmax(1)[:, np.newaxis]
    largest, size = (
        np.take_along_axis(one, places, 1)[:, 0] for one in (rows, floats)
    )
    return np.divide(size, largest, out=np.ones_like(size), where=largest != 0)


def _single(scales):
    """Returns the same scale for all where they differ in last bits only."""
    close = np.allclose(scales, scales[0], rtol=1e-6, atol=0)
    return np.full_like(scales, scales[0]) if close else scales
