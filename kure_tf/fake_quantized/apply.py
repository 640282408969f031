"""The one place that writes the state of a fake-quantized model."""

import numpy as np

from kure_tf import compat
from kure_tf.fake_quantized.tensors import quantizers_of, some_quantizers_of
from kure_tf.ops.power_of_two import power_of_two
from kure_tf.ops.rounding import rounding_code
from kure_tf.quantizers.quantizer import UNCALIBRATED
from kure_tf.settings import StepSizes
from kure_tf.settings.operating_point import FP, OperatingPoint
from kure_tf.settings.rounded_weights import values_of


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
    tensors = some_quantizers_of(model)
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
    tensors = some_quantizers_of(model)
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


def set_rounded_weights(model, rounded):
    """Writes rounded weights and their step sizes into a model, in place.

    The kernels become `codes * step_size`. On its grid, a quantizer gives each
    of them its own level again, so that the model runs with these codes at an
    operating point with the bits they were made for, a step ratio of 1 and no
    rounding of the step. Other points round the rounded weights once more.

    The float kernels are overwritten: `keeping_kernels(model)` puts them back.

    Args:
        model: What `fake_quantize_model` returned; its quantizers are written
            too, its operating point is not.
        rounded: `RoundedWeights` for it.

    Raises:
        ValueError: If `rounded` names a tensor that is no quantized kernel of
            the model, does not fit its shape, or lacks its step size. Nothing
            is written then.
    """
    tensors = {
        path: tensor
        for path, tensor in quantizers_of(model).items()
        if tensor.kind == "weight"
    }
    values = {}
    for path, codes in rounded.codes.items():
        shape = tuple(tensors[path].variable.shape) if path in tensors else None
        if np.shape(codes) != shape or path not in rounded.step_sizes.tensors:
            raise ValueError(
                "Expected codes, with step sizes, for quantized kernels, of "
                f"{sorted(tensors)}. Received some of shape {np.shape(codes)} "
                f"for {path!r}, which do not fit."
            )
        step = rounded.step_sizes.tensors[path]
        values[path] = values_of(codes, step.step_size)
    set_step_sizes(model, rounded.step_sizes)
    for path, value in values.items():
        tensors[path].variable.assign(value)


def correct_biases(model, correction):
    """Adds the shifts to the biases of a fake-quantized model, in place.

    The float model that it was made from is not changed. Apply a correction
    once, and make a new one for another point.

    Args:
        model: What `fake_quantize_model` returned.
        correction: A `BiasCorrection` for it.

    Raises:
        ValueError: If it names a layer that the model has not quantized, or
            does not fit its bias. Nothing is written then.
    """
    hosts = _hosts(model)
    for path, shift in correction.shifts.items():
        bias = (
            getattr(hosts[path].layer, "bias", None) if path in hosts else None
        )
        if bias is None or tuple(bias.shape) != np.shape(shift):
            raise ValueError(
                "Expected a correction of the biases of quantized layers, of "
                f"{sorted(hosts)}. Received one of shape {np.shape(shift)} for "
                f"{path!r}, which does not fit."
            )
    for path, shift in correction.shifts.items():
        bias = hosts[path].layer.bias
        bias.assign((compat.to_numpy(bias) + shift).astype(np.float32))


def _hosts(model):
    """Returns `{layer path: its host}` where weights have one."""
    return {
        path.rpartition("/")[0]: tensor.layer
        for path, tensor in quantizers_of(model).items()
        if tensor.kind == "weight"
    }


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
