"""What a model or a file answers: the same questions to both."""

import collections.abc
import dataclasses
from concurrent import futures

import numpy as np

from kure_tf.data.ports import in_order


@dataclasses.dataclass(frozen=True, eq=False)
class Runner:
    """A function from examples to answers, and what goes in and comes out.

    `keras_runner`, `litert_runner` and `export.integer_runner` make them.

    Attributes:
        name: Name of the model or file.
        input_ports: `Port`s of the inputs, in the structure of the inputs.
        output_ports: Tuple of the `Port`s of the outputs.
        answer: Function from a list of inputs, in the order of the flat ports,
            to the list of outputs; `outputs` is the way in.
        batch_size: How many examples `answer` takes at once; None for any.
        num_threads: How many calls of `answer` may run side by side.
        model: The Keras model that answers; None for a file.
    """

    name: str
    input_ports: object
    output_ports: tuple
    answer: collections.abc.Callable
    batch_size: int | None = None
    num_threads: int = 1
    model: object = None

    def outputs(self, inputs) -> list[np.ndarray]:
        """Returns the outputs for any number of examples, each an array.

        Args:
            inputs: One array, several in the order of the ports, or a
                dictionary by their names: `Batch.inputs`.
        """
        inputs = in_order(inputs, self.input_ports)
        count, size = len(inputs[0]), self.batch_size
        if size in (None, count):
            return self.answer(inputs)
        inputs = [np.asarray(x) for x in inputs]
        parts = [
            [x[start : start + size] for x in inputs]
            for start in range(0, count, size)
        ]
        with futures.ThreadPoolExecutor(self.num_threads) as pool:
            found = list(pool.map(self._padded, parts))
        return [np.concatenate(one) for one in zip(*found, strict=True)]

    def _padded(self, inputs):
        count = len(inputs[0])
        # Zeros up to the batch size, whose answers nobody asked for.
        missing = (0, self.batch_size - count)
        inputs = [
            np.pad(x, [missing] + [(0, 0)] * (x.ndim - 1)) for x in inputs
        ]
        return [found[:count] for found in self.answer(inputs)]
