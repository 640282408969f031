"""The integers behind fake-quantized weights."""

import dataclasses

import numpy as np

from kure_tf import compat
from kure_tf.fake_quantized.tensors import quantizers_of
from kure_tf.settings.operating_point import FP


@dataclasses.dataclass(frozen=True, eq=False)  # It holds arrays.
class IntegerTensor:
    """One kernel as integers.

        value = step_size * (codes - zero_point)

    Attributes:
        codes: Integers of the shape of the kernel: int8, or int16 above 8
            bits.
        step_size: Step in force, a scalar or of a shape that broadcasts
            against the codes, in the unit of the layer's weights.
        zero_point: 0; -0.5 on a mid-rise grid, which no integer device holds.
        levels: How many levels the grid has.
        bits: Bit-width.
        deployable: Whether integer kernels such as LiteRT's hold the grid.
    """

    codes: np.ndarray
    step_size: np.ndarray
    zero_point: float
    levels: int
    bits: int
    deployable: bool

    def to_float(self):
        """Returns the values that the codes stand for, float32."""
        values = self.step_size * (self.codes - self.zero_point)
        return values.astype(np.float32)


def integer_weights(model) -> dict[str, IntegerTensor]:
    """Returns the codes of every kernel that is quantized just now.

    Args:
        model: What `fake_quantize_model` or `quantize_aware` returned, at an
            operating point. Kernels in float ("FP", pinned) are left out.

    Returns:
        `{kernel path: IntegerTensor}`, in the order of the graph.

    Raises:
        ValueError: If no kernel is quantized at the present operating point.
    """
    found = {}
    for path, tensor in quantizers_of(model).items():
        in_float = compat.to_numpy(tensor.state.bits) == FP
        if tensor.kind == "weight" and not in_float:
            found[path] = integers_of(tensor)
    if not found:
        raise ValueError(
            f"Expected quantized kernels. All of {model.name!r} are in float: "
            "set an operating point first, such as "
            "set_operating_point(model, '4/FP')."
        )
    return found


def integers_of(tensor) -> IntegerTensor:
    """Returns the codes of one kernel that is quantized just now.

    Args:
        tensor: A `QuantizedTensor` of kind "weight".
    """
    quantizer, state = tensor.quantizer, tensor.state
    bits = int(compat.to_numpy(state.bits))
    kernel = compat.full_precision(tensor.variable)
    values = np.asarray(quantizer(kernel, state), np.float64)
    step_size = quantizer.step_size(state)
    low, high = (int(k) for k in quantizer.levels_in_force(state, step_size))
    step_size = np.asarray(step_size, np.float64) * tensor.unit()
    codes = values / step_size - quantizer.grid.offset
    kind = np.int8 if low >= -128 and high <= 127 else np.int16
    return IntegerTensor(
        codes=np.rint(codes).astype(kind),
        step_size=step_size.astype(np.float32),
        zero_point=-quantizer.grid.offset,
        levels=high - low + 1,
        bits=bits,
        deployable=quantizer.grid.deployable,
    )
