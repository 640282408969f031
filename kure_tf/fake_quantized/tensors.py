"""The quantized tensors of a model."""

import dataclasses

import numpy as np

from kure_tf import compat
from kure_tf.fake_quantized.host import HostedTensor, hosted_tensors
from kure_tf.quantizers import shared_axes


@dataclasses.dataclass(frozen=True, kw_only=True)
class QuantizedTensor(HostedTensor):
    """One quantized tensor of a model: what its host says of it, and where.

    Attributes:
        path: "layer/kernel" or "layer/input".
        layer: The layer that hosts the quantizer.
    """

    path: str
    layer: object

    @property
    def kind(self) -> str:
        """Returns "weight" or "activation"."""
        return "activation" if self.variable is None else "weight"

    def unit(self) -> np.ndarray:
        """Returns the unit of the step size, as an array of its shape.

        1 but for quantizers whose grid follows the weights: see
        `Quantizer.prepare`.
        """
        shape = tuple(self.state.step_size.shape)
        if self.kind != "weight":
            return np.ones(shape)
        value = compat.to_numpy(self.variable).astype(np.float32, copy=False)
        axes = shared_axes(shape, value.ndim)
        unit = np.asarray(self.quantizer.prepare(value, axes)[1], np.float64)
        return np.broadcast_to(unit if unit.size > 1 else unit.item(), shape)


def quantizers_of(model) -> dict[str, QuantizedTensor]:
    """Returns `{tensor path: QuantizedTensor}` in the order of the graph."""
    found = {}
    for layer_path, layer in compat.layers_of(model):
        for tensor, hosted in (hosted_tensors(layer) or {}).items():
            path = f"{hosted.layer_path or layer_path}/{tensor}"
            found[path] = QuantizedTensor(
                **vars(hosted), path=path, layer=layer
            )
    return found


def some_quantizers_of(model) -> dict[str, QuantizedTensor]:
    """Returns `quantizers_of(model)`, or raises that there are none."""
    tensors = quantizers_of(model)
    if not tensors:
        raise ValueError(
            "Expected a fake-quantized model. Received "
            f"{getattr(model, 'name', model)!r}, which has no quantizers. "
            "Make one: fake_quantize_model(model)."
        )
    return tensors


def prepared_rows(tensor) -> np.ndarray:
    """Returns a kernel's values as its quantizer rounds them.

    Args:
        tensor: A `QuantizedTensor` of kind "weight".

    Returns:
        Float32 array `[step sizes, n]`: a row for each step size.
    """
    value = compat.to_numpy(tensor.variable).astype(np.float32, copy=False)
    step_shape = tuple(tensor.state.step_size.shape)
    axes = shared_axes(step_shape, value.ndim)
    value = np.asarray(tensor.quantizer.prepare(value, axes)[0])
    return in_rows(value, step_shape)


def in_rows(value, step_shape) -> np.ndarray:
    """Returns a tensor's values as an array with a row for each step size.

    Args:
        value: Array.
        step_shape: Shape of the step size: () or one that broadcasts against
            `value`.

    Returns:
        Array `[step sizes, n]`, not copied where that can be helped: its rows
        need not lie side by side in memory.
    """
    axes = shared_axes(step_shape, value.ndim)
    varying = [axis for axis in range(value.ndim) if axis not in axes]
    moved = np.moveaxis(value, varying, range(len(varying)))
    rows = int(np.prod([value.shape[axis] for axis in varying], dtype=int))
    return moved.reshape(rows, -1)
