"""A LiteRT (.tflite) file as a `Runner`."""

import pathlib
import queue
from importlib import metadata

import numpy as np

from kure_tf import extras
from kure_tf.data.ports import Port
from kure_tf.evaluation.captured_output import captured_output
from kure_tf.evaluation.runner import Runner

RESOLVERS = ("default", "builtin", "reference")


def litert_runner(
    content, *, resolver="default", num_threads=2, batch_size=64
) -> Runner:
    """Returns what a file answers, in LiteRT's interpreter.

    Each thread has an interpreter of its own, which runs one batch while the
    others run theirs: nothing waits for a single operator to be shared out.

    Where the file takes integer codes of a scale, inputs are quantized with it
    and its zero point; outputs that have a scale are dequantized:

        code = clip(round(x / scale) + zero_point)     half to even
        x = (code - zero_point) * scale

    Integers without a scale, such as token ids, go in and come out as they
    are.

    Args:
        content: The bytes of the file, or its path.
        resolver: Which kernels run: "default" (XNNPACK where it can),
            "builtin" (LiteRT's own optimized ones) or "reference" (slow and
            plain). They differ by a few codes in some outputs.
        num_threads: How many batches run side by side.
        batch_size: Examples per call of an interpreter. A file of a fixed
            batch size keeps its own.

    Raises:
        ValueError: If there is no such resolver, or the interpreter cannot run
            the file, then or when it is asked.
    """
    if resolver not in RESOLVERS:
        raise ValueError(
            f"Expected a resolver out of {RESOLVERS}. Received: {resolver!r}."
        )
    name = "a LiteRT file"
    if isinstance(content, (str, pathlib.Path)):
        name, content = str(content), pathlib.Path(content).read_bytes()
    files = [_File(content, resolver, batch_size) for _ in range(num_threads)]
    return Runner(
        name,
        files[0].input_ports,
        files[0].output_ports,
        _shared_out(files),
        files[0].batch_size,
        num_threads,
    )


def interpreter_version() -> str:
    """Returns the name and version of the package that runs the files."""
    return f"ai-edge-litert {metadata.version('ai-edge-litert')}"


def _shared_out(files):
    """Returns a function that lets a file answer which no other call has."""
    idle = queue.SimpleQueue()
    for file in files:
        idle.put(file)

    def answer(arrays):
        file = idle.get()
        try:
            return file.answer(arrays)
        finally:
            idle.put(file)

    return answer


class _File:
    """An interpreter with a file in it, and the sizes it is allocated for."""

    def __init__(self, content, resolver, batch_size):
        self._how = f"with resolver={resolver!r}"
        with captured_output() as text:
            try:
                self._interpreter = _interpreter(content, resolver)
                self._inputs = self._interpreter.get_input_details()
                self._outputs = self._interpreter.get_output_details()
                self.batch_size = _batch_size(self._inputs, batch_size)
                self._sizes = [tuple(one["shape"]) for one in self._inputs]
                self._interpreter.allocate_tensors()
                self._allocate(list(map(self._first_size, self._inputs)))
            except (RuntimeError, ValueError) as error:
                raise self._refused(error, text()) from error
        self._name_ports()

    def answer(self, arrays):
        """Returns the outputs for `batch_size` examples."""
        try:
            self._allocate([np.shape(array) for array in arrays])
            for details, array in zip(self._inputs, arrays, strict=True):
                self._interpreter.set_tensor(
                    details["index"], quantize(np.asarray(array), details)
                )
            self._interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise self._refused(error) from error
        return [
            dequantize(self._interpreter.get_tensor(one["index"]), one)
            for one in self._outputs
        ]

    def _allocate(self, sizes):
        if sizes == self._sizes:
            return
        for details, size in zip(self._inputs, sizes, strict=True):
            self._interpreter.resize_tensor_input(details["index"], size)
        self._interpreter.allocate_tensors()
        self._sizes = sizes

    def _first_size(self, details):
        shape = tuple(int(size) for size in details["shape"])
        open_batch = _is_open(details)
        return (self.batch_size, *shape[1:]) if open_batch else shape

    def _name_ports(self):
        inputs, outputs = _signature_names(self._interpreter)
        ports = [_port(details, inputs) for details in self._inputs]
        self.output_ports = tuple(
            _port(details, outputs) for details in self._outputs
        )
        self.input_ports = ports[0]
        if len(ports) > 1:
            self.input_ports = {port.name: port for port in ports}
            # As dictionaries are flattened.
            order = np.argsort([port.name for port in ports])
            self._inputs = [self._inputs[number] for number in order]
            self._sizes = [self._sizes[number] for number in order]

    def _refused(self, error, text=""):
        return ValueError(
            f"The LiteRT interpreter cannot run this file {self._how} in "
            f"batches of {getattr(self, 'batch_size', 'any size')}. It says: "
            f"{error} {text}"
        )


def quantize(x, details):
    """Returns `x` as the interpreter's tensor of these details stores it."""
    scale, zero_point = details["quantization"]
    dtype = np.dtype(details["dtype"])
    if not _has_codes(details):
        return x.astype(dtype)
    limits = np.iinfo(dtype)
    codes = np.rint(x / np.float32(scale)) + zero_point
    return np.clip(codes, limits.min, limits.max).astype(dtype)


def dequantize(codes, details):
    """Returns the values that the interpreter's codes stand for."""
    scale, zero_point = details["quantization"]
    if not _has_codes(details):
        return codes
    return (codes.astype(np.float32) - zero_point) * np.float32(scale)


def _has_codes(details):
    scale, _ = details["quantization"]
    return np.issubdtype(np.dtype(details["dtype"]), np.integer) and scale != 0


def _is_open(details):
    signature = details["shape_signature"]
    return len(signature) > 0 and signature[0] == -1


def _batch_size(inputs, wanted):
    shape = inputs[0]["shape"]
    return wanted if _is_open(inputs[0]) else int(shape[0])


def _port(details, names):
    shape = details["shape_signature"]
    shape = shape if len(shape) else details["shape"]
    dtype = np.float32 if _has_codes(details) else details["dtype"]
    return Port(
        names.get(details["index"], details["name"]),
        tuple(None if size < 0 else int(size) for size in shape),
        np.dtype(dtype).name,
    )


def _signature_names(interpreter):
    """Returns `{tensor index: name}` of inputs and of outputs."""
    signatures = list(interpreter.get_signature_list())
    if len(signatures) != 1:
        return {}, {}
    runner = interpreter.get_signature_runner(signatures[0])
    return tuple(
        {details["index"]: name for name, details in found.items()}
        for found in (runner.get_input_details(), runner.get_output_details())
    )


def _interpreter(content, resolver):
    # The resolvers must come from the package of the interpreter: the enum of
    # tf.lite is another one, which it takes for its default.
    with extras.needed("Running a LiteRT file"):
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

    resolver_type = {
        "default": OpResolverType.AUTO,
        "builtin": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        "reference": OpResolverType.BUILTIN_REF,
    }[resolver]
    return Interpreter(
        model_content=content,
        num_threads=1,
        experimental_op_resolver_type=resolver_type,
    )
