"""Runs a .tflite file in the LiteRT interpreter."""

from importlib import metadata

import numpy as np

from kure_tf.evaluation.captured_output import captured_output

RESOLVERS = ("default", "reference")


class Runner:
    """A .tflite file as a function from float images to float outputs.

    Images are quantized with the file's own scale and zero point and outputs
    dequantized with theirs:

        code = clip(round(x / scale) + zero_point)     half to even
        x = (code - zero_point) * scale

    Args:
        content: The bytes of the file.
        batch_size: Images per call of the interpreter. A file of a fixed batch
            size keeps its own.
        resolver: Which kernels run: "default" (XNNPACK where it can) or
            "reference" (slow and plain). They differ by 1 or 2 codes in some
            outputs.
        num_threads: Threads of the interpreter.

    Raises:
        ValueError: If the interpreter cannot run the file.
    """

    def __init__(self, content, *, batch_size, resolver, num_threads):
        with captured_output() as text:
            try:
                self._interpreter = _interpreter(content, resolver, num_threads)
                details = self._interpreter.get_input_details()[0]
                self._resize(details, batch_size)
                self._interpreter.allocate_tensors()
            except (RuntimeError, ValueError) as error:
                raise ValueError(
                    "The LiteRT interpreter cannot run this file with "
                    f"resolver={resolver!r} in batches of {batch_size}. It "
                    f"says: {error} {text()}"
                ) from error
        self._input = self._interpreter.get_input_details()[0]
        self._output = self._interpreter.get_output_details()[0]
        self.batch_size = int(self._input["shape"][0])

    def __call__(self, images) -> np.ndarray:
        """Returns the float32 outputs for any number of images."""
        outputs = [
            self._run(images[start : start + self.batch_size])
            for start in range(0, len(images), self.batch_size)
        ]
        return np.concatenate(outputs)

    def _resize(self, details, batch_size):
        signature = details["shape_signature"]
        if len(signature) and signature[0] == -1:
            self._interpreter.resize_tensor_input(
                details["index"], [batch_size, *details["shape"][1:]]
            )

    def _run(self, images):
        count = len(images)
        # Zeros up to the batch size: another size would allocate anew.
        missing = [(0, self.batch_size - count)] + [(0, 0)] * (images.ndim - 1)
        codes = quantize(np.pad(images, missing), self._input)
        self._interpreter.set_tensor(self._input["index"], codes)
        self._interpreter.invoke()
        codes = self._interpreter.get_tensor(self._output["index"])
        return dequantize(codes[:count], self._output)


def quantize(x, details):
    """Returns `x` as the interpreter's tensor of these details stores it."""
    scale, zero_point = details["quantization"]
    dtype = np.dtype(details["dtype"])
    if not np.issubdtype(dtype, np.integer) or not scale:
        return x.astype(dtype)
    limits = np.iinfo(dtype)
    codes = np.rint(x / np.float32(scale)) + zero_point
    return np.clip(codes, limits.min, limits.max).astype(dtype)


def dequantize(codes, details):
    """Returns the float32 values that the interpreter's codes stand for."""
    scale, zero_point = details["quantization"]
    if not np.issubdtype(codes.dtype, np.integer) or not scale:
        return codes.astype(np.float32)
    return (codes.astype(np.float32) - zero_point) * np.float32(scale)


def interpreter_version() -> str:
    """Returns the name and version of the package that runs the files."""
    return f"ai-edge-litert {metadata.version('ai-edge-litert')}"


def _interpreter(content, resolver, num_threads):
    # The resolvers must come from the package of the interpreter: the enum of
    # tf.lite is another one, which it takes for its default.
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    resolver_type = {
        "default": OpResolverType.AUTO,
        "reference": OpResolverType.BUILTIN_REF,
    }[resolver]
    return Interpreter(
        model_content=content,
        num_threads=num_threads,
        experimental_op_resolver_type=resolver_type,
    )
