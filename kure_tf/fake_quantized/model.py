"""Making a fake-quantized model, and the one place that writes its state."""

import dataclasses
import sys

import numpy as np

from kure_tf import compat
from kure_tf.fake_quantized import placement as placements
from kure_tf.fake_quantized.fold import fold_batch_norm
from kure_tf.fake_quantized.hosted import hosted_tensors
from kure_tf.fake_quantized.layer import FakeQuantized
from kure_tf.operating_point import FP, OperatingPoint
from kure_tf.ops.power_of_two import power_of_two
from kure_tf.ops.rounding import rounding_code
from kure_tf.quantizers import (
    SMALLEST_STEP,
    Quantizer,
    QuantizerState,
    StepSizes,
    TensorStep,
    shared_axes,
)
from kure_tf.quantizers.quantizer import UNCALIBRATED

_FIRST_BITS = 8  # Steps are set for 8 bits; other bits keep the clip.


@dataclasses.dataclass(frozen=True)
class QuantizedTensor:
    """One quantized tensor of a model, with its quantizer and its variables.

    Attributes:
        path: "layer/kernel" or "layer/input".
        kind: "weight" or "activation".
        quantizer: Its `Quantizer`.
        state: Its variables.
        pinned_bits: Bit-width that operating points do not change, or None.
        variable: The kernel's variable; None for an activation.
        layer: The layer that hosts the quantizer.
    """

    path: str
    kind: str
    quantizer: Quantizer
    state: QuantizerState
    pinned_bits: int | None
    variable: object
    layer: object

    def unit(self) -> np.ndarray:
        """Returns the unit of the step size, as an array of its shape.

        1 but for quantizers whose grid follows the weights: see
        `Quantizer.prepare`.
        """
        shape = tuple(self.state.step_size.shape)
        if self.kind != "weight":
            return np.ones(shape)
        value = compat.to_numpy(self.variable).astype(np.float32)
        axes = shared_axes(shape, value.ndim)
        unit = np.asarray(self.quantizer.prepare(value, axes)[1], np.float64)
        return np.broadcast_to(unit if unit.size > 1 else unit.item(), shape)


def fake_quantize_model(model, placement="paper", *, verbose=False):
    """Returns a copy of `model` whose tensors can be fake-quantized.

    The copy has the same weights and compilation and runs in float until
    `set_operating_point` says otherwise. The steps of its weights are those of
    their largest absolute value; activations need calibration
    (`set_step_sizes`) before they leave float. `model` is not changed.

    Args:
        model: A built functional or sequential model; nested ones are opened.
            Convolutions and dense layers are quantized; any other layer, a
            user's own one among them, stays as it is.
        placement: A `Placement`, or the name of a scheme: "paper" or "tflite".
        verbose: Whether to print what is quantized and what is not, and why,
            to the standard error stream.

    Raises:
        TypeError, ValueError: If `model` is unbuilt, subclassed or of the
            other Keras, has nothing to quantize, or has NaN or infinity in a
            kernel.
    """
    compat.check_graph_model(model)
    placement = placements.get(placement)
    model, plan = prepare(model, placement)
    if verbose:
        print(plan, file=sys.stderr)

    made = {}

    def make_layer(path, layer):
        # A layer that two of the nested models share stays one layer.
        if id(layer) not in made:
            made[id(layer)] = _wrapped(layer, path, placement, plan)
        return made[id(layer)]

    copy = compat.clone_model(model, make_layer)
    set_first_weight_steps(copy)
    return copy


def prepare(model, placement):
    """Returns `(model, plan)`: folded if the placement says so, and checked.

    Raises:
        ValueError: If the model has nothing to quantize, or NaN or infinity in
            a kernel.
    """
    _check_kernels_finite(model)
    if placement.fold_batch_norm:
        model = fold_batch_norm(model)
    plan = placement.plan(model)
    if not plan.quantized:
        raise ValueError(
            "Expected a model with something to quantize. In "
            f"{model.name!r}, nothing is left: {plan.skipped}. Quantized are "
            "convolutions and dense layers that are not pinned to float."
        )
    return model, plan


def set_first_weight_steps(model):
    """Sets the steps of the weights, for 8 bits; see `initial_step_sizes`."""
    bits = dict.fromkeys(("weight", "activation"), _FIRST_BITS)
    set_step_sizes(model, initial_step_sizes(model, bits))


def quantizers_of(model) -> dict[str, QuantizedTensor]:
    """Returns `{tensor path: QuantizedTensor}` in the order of the graph."""
    found = {}
    for layer_path, layer in compat.layers_of(model):
        for tensor, hosted in (hosted_tensors(layer) or {}).items():
            path = f"{hosted.layer_path or layer_path}/{tensor}"
            found[path] = QuantizedTensor(
                path=path,
                kind="activation" if hosted.variable is None else "weight",
                quantizer=hosted.quantizer,
                state=hosted.state,
                pinned_bits=hosted.pinned_bits,
                variable=hosted.variable,
                layer=layer,
            )
    return found


def set_operating_point(model, point, *, only=None):
    """Moves a fake-quantized model to an operating point, in place.

    Only variables change: nothing is rebuilt or traced again. Each tensor
    keeps its clipping range (`step_size` times the largest level). Pinned
    tensors keep their bits; they are in float where the point is.

    Args:
        model: What `fake_quantize_model` returned.
        point: An `OperatingPoint` or its text, such as "4/8 x1.02" or
            "4/FP floor".
        only: Names or paths of the layers, or paths of the tensors
            ("conv1/kernel"), to move; None moves all. So bits can differ from
            layer to layer.

    Raises:
        ValueError: If the model has no quantizers, `only` names a tensor that
            has none, a grid does not exist at these bits, an activation is not
            calibrated, or a quantizer of your own does not round by the
            point's rounding mode. Nothing is written then.
    """
    if not isinstance(point, OperatingPoint):
        point = OperatingPoint.parse(point)
    tensors = _some_quantizers_of(model)
    if only is not None:
        tensors = _chosen(model, tensors, only)
    changes = []
    for tensor in tensors.values():
        weight = tensor.kind == "weight"
        bits = point.weight_bits if weight else point.activation_bits
        if bits is not None and tensor.pinned_bits is not None:
            bits = tensor.pinned_bits
        _check_ready(tensor, bits)
        _check_rounding(tensor, point)
        changes.append((tensor, bits, _step_scale(tensor, bits, point)))
    for tensor, bits, step_scale in changes:
        tensor.state.bits.assign(FP if bits is None else bits)
        tensor.state.step_scale.assign(step_scale)
        mode = rounding_code(point.rounding_mode, tensor.path)
        tensor.state.rounding_mode.assign(mode)


def operating_point_of(model) -> tuple:
    """Returns (weight bits, activation bits) in force, None for FP.

    Pinned tensors do not count. Where bits differ from tensor to tensor, the
    set of them is returned in place of the number.
    """

    def bits_of(kind):
        bits = {
            int(compat.to_numpy(tensor.state.bits))
            for tensor in quantizers_of(model).values()
            if tensor.kind == kind and tensor.pinned_bits is None
        } or {FP}
        plain = {None if b == FP else b for b in bits}
        return plain.pop() if len(plain) == 1 else plain

    return bits_of("weight"), bits_of("activation")


def set_step_sizes(model, step_sizes):
    """Writes step sizes into a fake-quantized model, in place.

    Args:
        model: What `fake_quantize_model` returned.
        step_sizes: A `StepSizes`, as PTQ methods return it. Tensors that it
            does not name keep theirs.

    Raises:
        TypeError: If `step_sizes` is something else.
        ValueError: If a name is not a quantized tensor of the model, a step
            size has the wrong shape, or a grid does not exist at the bits
            that it is meant for. Nothing is written then.
    """
    tensors = _some_quantizers_of(model)
    if not isinstance(step_sizes, StepSizes):
        raise TypeError(
            "Expected StepSizes, as a PTQ method or StepSizes.load returns. "
            f"Received: {type(step_sizes).__name__}."
        )
    unknown = sorted(set(step_sizes.tensors) - set(tensors))
    if unknown:
        raise ValueError(
            f"Expected step sizes for quantized tensors, of {list(tensors)}. "
            f"Received unknown ones: {unknown}."
        )
    changes = []
    for path, step in step_sizes.tensors.items():
        tensors[path].quantizer.grid.check_bits(step.bits)
        state = tensors[path].state
        shape = tuple(state.step_size.shape)
        if step.step_size.size == 1:
            value = np.broadcast_to(step.step_size.reshape(()), shape)
        elif step.step_size.size == np.prod(shape):
            value = step.step_size.reshape(shape)
        else:
            raise ValueError(
                f"Expected a step size of shape {shape} for {path!r}. "
                f"Received one of shape {step.step_size.shape}."
            )
        changes.append((state, value, step))
    for state, value, step in changes:
        state.step_size.assign(value)
        state.calibrated_bits.assign(step.bits)
        state.origin.assign(step.origin)


def _wrapped(layer, path, placement, plan):
    """Returns (the layer for the graph, the copy of `layer` in it)."""
    copy = compat.copy_layer(layer)
    if path not in plan.quantized:
        return copy, copy
    wrapper = FakeQuantized(
        copy,
        placement.weights,
        placement.activations,
        plan.quantized[path],
    )
    return wrapper, copy


def _some_quantizers_of(model):
    tensors = quantizers_of(model)
    if not tensors:
        raise ValueError(
            "Expected a fake-quantized model. Received "
            f"{getattr(model, 'name', model)!r}, which has no quantizers. "
            "Make one: fake_quantize_model(model)."
        )
    return tensors


def _chosen(model, tensors, only):
    """Returns the tensors that `only` names, by layer or by path."""
    names = {only} if isinstance(only, str) else set(only)
    chosen, used = {}, set()
    for path, tensor in tensors.items():
        layer = path.rpartition("/")[0]
        known = names & {path, layer, layer.rpartition("/")[2]}
        if known:
            chosen[path] = tensor
            used |= known
    for name in sorted(names - used):
        layers = {p for p, _ in compat.layers_of(model)}
        there = name in layers or name.rpartition("/")[0] in layers
        why = (
            "It is in float for good: the placement pins it, or its layer has "
            "no kernel"
            if there
            else "There is no such layer or tensor"
        )
        raise ValueError(
            f"Expected names of quantized layers or tensors, of "
            f"{list(tensors)}. Received: {name!r}. {why}. Make the model with "
            "another Placement to quantize it."
        )
    return chosen


def _check_ready(tensor, bits):
    if bits is None:
        return
    tensor.quantizer.grid.check_bits(bits)
    if compat.to_numpy(tensor.state.calibrated_bits) == UNCALIBRATED:
        raise ValueError(
            f"Expected {tensor.path!r} to be calibrated before it is "
            f"quantized to {bits} bits. Its step size is not known: run a PTQ "
            "method on calibration images and `set_step_sizes`, or leave "
            "activations in float, as in '4/FP'."
        )


def _check_rounding(tensor, point):
    obeys = tensor.quantizer.obeys_rounding_mode
    if point.rounding_mode != "nearest" and not obeys:
        raise ValueError(
            "Expected quantizers that round as the operating point says. "
            f"{type(tensor.quantizer).__name__} of {tensor.path!r} does not "
            f"know rounding modes. Received: {point.rounding_mode!r}. Derive "
            "it from UniformQuantizer, or set `obeys_rounding_mode = True` "
            "and round by `state.rounding_mode`."
        )


def _step_scale(tensor, bits, point):
    """Returns step_scale as an array of the shape of the step size."""
    state = tensor.state
    weight = tensor.kind == "weight"
    ratio = point.step_scale if weight else point.activation_step_scale
    if tensor.pinned_bits is not None:
        ratio = 1.0
    ones = np.ones(tuple(state.step_size.shape), np.float32)
    if bits is None or point.step_rounding is None:
        return ones * np.float32(ratio)
    grid = tensor.quantizer.grid
    lowest = float(compat.to_numpy(state.origin))
    calibrated = float(compat.to_numpy(state.calibrated_bits))
    kept = float(grid.extent(calibrated, lowest)) / float(
        grid.extent(float(bits), lowest)
    )
    step_size = compat.to_numpy(state.step_size).astype(np.float64) * kept
    step_size *= tensor.unit()
    rounded = power_of_two(step_size, point.step_rounding)
    return (ratio * rounded / step_size * ones).astype(np.float32)


def prepared_rows(tensor) -> np.ndarray:
    """Returns a kernel's values as its quantizer rounds them.

    Args:
        tensor: A `QuantizedTensor` of kind "weight".

    Returns:
        Float32 array `[step sizes, n]`: a row for each step size.
    """
    value = compat.to_numpy(tensor.variable).astype(np.float32)
    step_shape = tuple(tensor.state.step_size.shape)
    axes = shared_axes(step_shape, value.ndim)
    value = np.asarray(tensor.quantizer.prepare(value, axes)[0])
    varying = [axis for axis in range(value.ndim) if axis not in axes]
    moved = np.moveaxis(value, varying, range(len(varying)))
    rows = int(np.prod([value.shape[axis] for axis in varying], dtype=int))
    return np.ascontiguousarray(moved.reshape(rows, -1))


def check_step_sizes(model):
    """Raises unless every step size is finite and has not collapsed.

    Raises:
        ValueError: If a step size is NaN, infinite, or at the smallest value
            that training allows; the message names the tensors.
    """
    bad = {}
    for path, tensor in quantizers_of(model).items():
        step_size = compat.to_numpy(tensor.state.step_size)
        if not np.isfinite(step_size).all():
            bad[path] = "NaN or infinite"
        elif (step_size <= SMALLEST_STEP).any():
            bad[path] = f"{float(step_size.min()):g}, as good as zero"
    if bad:
        listed = "; ".join(f"{path} is {what}" for path, what in bad.items())
        raise ValueError(
            "Expected step sizes that are finite and positive. Training has "
            f"lost some: {listed}. Go back to an earlier checkpoint and lower "
            "the learning rate, or start the steps from more calibration "
            "images."
        )


def initial_step_sizes(model, bits, observations=None) -> StepSizes:
    """Returns the step sizes that a model's quantizers start from.

    Those that clip nothing, or what a quantizer of quantization-aware training
    asks for: see `Quantizer.initial_step_size`.

    Args:
        model: A fake-quantized model.
        bits: `{"weight": bits, "activation": bits}`; pinned tensors have their
            own.
        observations: What `observe_inputs` returned; None for kernels alone.
    """
    steps = {}
    for path, tensor in quantizers_of(model).items():
        width = tensor.pinned_bits or bits[tensor.kind]
        if tensor.kind == "weight":
            rows = prepared_rows(tensor)
            lowest, highest = rows.min(axis=1), rows.max(axis=1)
        elif observations is not None:
            seen = observations[path]
            rows = seen.sample()[np.newaxis]
            lowest, highest = np.array([seen.lowest]), np.array([seen.highest])
        else:
            continue
        step_size = tensor.quantizer.initial_step_size(
            rows, lowest, highest, width
        )
        largest = tensor.quantizer.largest_step(lowest, highest, width)
        steps[path] = TensorStep(
            step_size.reshape(tuple(tensor.state.step_size.shape)),
            width,
            tensor.quantizer.origin_for(
                step_size.flat[0], lowest.min(), largest[0]
            ),
        )
    return StepSizes(steps)


def _check_kernels_finite(model):
    for path, layer in compat.layers_of(model):
        for kernel in compat.kernels_of(layer):
            value = compat.to_numpy(getattr(layer, kernel.attribute))
            bad = value.size - np.isfinite(value.astype(np.float32)).sum()
            if bad:
                raise ValueError(
                    f"Expected finite kernels. Layer {path!r} has {bad} NaN "
                    f"or infinite values of {value.size} in "
                    f"{kernel.attribute!r}. Training has diverged: go back to "
                    "an earlier checkpoint."
                )
