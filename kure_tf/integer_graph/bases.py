"""Which codes each value of the graph has."""

import dataclasses

import numpy as np

from kure_tf.fake_quantized import hosted_tensors
from kure_tf.integer_graph.graph import (
    LINEAR,
    SAME_CODES,
    SAME_SCALE,
    Quantization,
)
from kure_tf.integer_graph.grids import (
    FUNCTIONS,
    clear_of_ties,
    quantization_of,
    quantization_of_range,
)

_BYTES = {"int8": 0, "uint8": -128}
"""`{dtype of an input: zero point}` with which codes are its values."""

_OF_ONE_UNIT = ("ADD", "FEATURE_MEAN", "SUB")
"""What makes values in the unit of its inputs."""


class Bases:
    """Chooses one `Quantization` for every value, its base.

    It is that of the one quantizer that reads the value, if that has 8 bits or
    if nothing else reads the value; else 8 bits over the range that was seen
    in calibration. What operators such as PAD pass on without a change has the
    same codes before and after.

    Args:
        operators: The `Fused` operators, in order.
        outputs: The values that the graph puts out.
    """

    def __init__(self, operators, outputs):
        self._outputs = outputs
        self._makers = {fused.output: fused for fused in operators}
        self._readers = {}
        for fused in operators:
            for value in dict.fromkeys(fused.inputs):
                self._readers.setdefault(value, []).append(fused)
        self._found = {}
        for fused in reversed(operators):  # Readers before makers.
            self.of(fused.output)

    def of(self, value) -> Quantization | None:
        """Returns the base of a value; None for indices."""
        if value not in self._found:
            self._found[value] = self._choose(value)
        return self._found[value]

    def wanted_by(self, fused) -> Quantization | None:
        """Returns what an operator wants its input in; None for the base."""
        if fused.kind in ("CONCATENATION", "HELD"):
            return self.of(fused.output)
        if fused.kind not in LINEAR:
            return None
        hosted = hosted_tensors(fused.step.layer).get(fused.step.reads)
        if hosted is None:
            return None
        found = quantization_of(hosted, fused.step.layer.name)
        scale = float(np.float32(found.scale / fused.input_gain))
        return dataclasses.replace(found, scale=scale)

    def _choose(self, value):
        maker = self._makers.get(value)
        if self._are_indices(value):
            return None
        if value.quantization is not None:
            return value.quantization
        if maker is not None and maker.kind in SAME_CODES + SAME_SCALE:
            return self.of(maker.inputs[0])
        wanted, others = self._wanted(value)
        if len(wanted) == 1 and not others:
            return wanted[0]
        if value.dtype in _BYTES:
            return Quantization(1.0, _BYTES[value.dtype])
        eight_bits = [one for one in wanted if one.lowest == -128]
        if len(eight_bits) == 1:
            return eight_bits[0]
        low, high = value.range.lowest, value.range.highest
        if maker is not None and maker.kind in _OF_ONE_UNIT:
            # Finer than a step of theirs helps nobody: it may be 0 always.
            steps = [self.of(x).scale for x in maker.inputs]
            high = max(high, low + max(steps))
        found = quantization_of_range(low, high)
        return clear_of_ties(found, self._functions_of(value))

    def _are_indices(self, value):
        """Whether a value is read as indices.

        Raises:
            ValueError: If it is read as values, too.
        """
        found = set(self._ways_of_reading(value))
        if len(found) > 1:
            raise ValueError(
                "Expected inputs that are indices, such as an embedding's, or "
                f"values. {value.name!r} is read as both. Give the model two "
                "inputs."
            )
        return True in found

    def _ways_of_reading(self, value):
        """Yields for each reader whether it reads indices."""
        for reader in self._readers.get(value, ()):
            if reader.kind in SAME_CODES:
                yield from self._ways_of_reading(reader.output)
            else:
                yield reader.reads_indices(value)

    def _functions_of(self, value):
        """Returns the kinds of those that look up a function of its codes."""
        found = set()
        for reader in self._readers.get(value, ()):
            if reader.kind in SAME_CODES:
                found |= self._functions_of(reader.output)
            elif reader.kind in FUNCTIONS:
                found.add(reader.kind)
        return found

    def _wanted(self, value):
        """Returns the different wishes of the readers; whether some have none.

        Those of what reads it through an operator that keeps the codes count.
        """
        wanted, others = {}, value in self._outputs
        for reader in self._readers.get(value, ()):
            fixed = reader.output.quantization
            if reader.kind in SAME_CODES and fixed is not None:
                wanted[fixed] = None
            elif reader.kind in SAME_CODES:
                more, some = self._wanted(reader.output)
                wanted.update(dict.fromkeys(more))
                others = others or some
            elif (wish := self.wanted_by(reader)) is not None:
                wanted[wish] = None
            else:
                others = True
        return list(wanted), others
