"""The one place that writes the state of a fake-quantized model."""

import numpy as np

from kure_tf import compat
from kure_tf.fake_quantized.batch_norm import put_batch_norm
from kure_tf.fake_quantized.changes import Changes
from kure_tf.fake_quantized.tensors import quantizers_of, some_quantizers_of
from kure_tf.ops.power_of_two import power_of_two
from kure_tf.ops.rounding import rounding_code
from kure_tf.quantizers.quantizer import UNCALIBRATED
from kure_tf.settings import OperatingPoint, Setting, StepSizes
from kure_tf.settings.operating_point import FP
from kure_tf.settings.rounded_weights import values_of


def apply(model, setting):
    """Puts a fake-quantized model at a setting, in place.

    Only variables change: nothing is rebuilt or traced again.

    * Step sizes, where the setting has them; else each tensor keeps its
      clipping range.
    * Kernels with rounded weights become `codes * step_size`. On its grid, a
      quantizer gives each of them its own level again, so that the model runs
      with these codes at the bits they were made for, a step ratio of 1 and no
      rounding of the step. Other points round the rounded weights once more.
    * Shifts of biases are added to what is there: apply them once, or undo
      them first.
    * Batch-norm statistics, of the layers that the setting names.
    * The operating point, as `set_operating_point`.

    `with keeping(model)` puts everything back.

    Args:
        model: What `fake_quantize_model` or `quantize_aware` returned.
        setting: A `Setting` for it.

    Raises:
        TypeError: If `setting` is something else.
        ValueError: If it names a tensor or layer that the model does not have,
            an array has the wrong shape, rounded weights lack their step size,
            statistics are not finite, or as `set_operating_point`. Nothing is
            written then.
    """
    tensors = some_quantizers_of(model)
    if not isinstance(setting, Setting):
        raise TypeError(
            "Expected a Setting, such as Setting('4/FP', step_sizes=...). "
            f"Received: {type(setting).__name__}. For a point alone: "
            "set_operating_point(model, '4/FP')."
        )
    changes = Changes()
    if setting.step_sizes is not None:
        _put_step_sizes(changes, tensors, setting.step_sizes)
    if setting.rounded_weights is not None:
        _put_rounded_weights(changes, tensors, setting.rounded_weights)
    if setting.bias_correction is not None:
        _put_biases(changes, tensors, setting.bias_correction)
    if setting.batch_norm is not None:
        put_batch_norm(changes, model, setting.batch_norm)
    for path, point in _points(model, tensors, setting).items():
        _put_point(changes, tensors[path], point)
    changes.write()


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
            calibrated, a quantizer of your own does not round by the point's
            rounding mode, or the point reads weights on the full range that
            are on another grid than "narrow". Nothing is written then.
    """
    point = OperatingPoint.parse(point)
    tensors = some_quantizers_of(model)
    if only is not None:
        tensors = _chosen(model, tensors, only)
    changes = Changes()
    for tensor in tensors.values():
        _put_point(changes, tensor, point)
    changes.write()


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
            does not name keep theirs: one that names none changes nothing.

    Raises:
        TypeError: If `step_sizes` is something else.
        ValueError: If a name is not a quantized tensor of the model, a step
            size has the wrong shape, or a grid does not exist at the bits
            that it is meant for. Nothing is written then.
    """
    changes = Changes()
    _put_step_sizes(changes, some_quantizers_of(model), step_sizes)
    changes.write()


def set_batch_norm_statistics(model, statistics):
    """Writes batch-norm statistics into a model, in place.

    Args:
        model: A model with batch normalization, fake-quantized or not.
        statistics: `{layer path: BatchNormStatistics}`, as
            `batch_norm_statistics` returns it. Layers that it does not name
            keep theirs.

    Raises:
        TypeError: As `reestimate_batch_norm` for `model`.
        ValueError: If a name is not a batch-norm layer of the model, or an
            array has the wrong shape or is not finite. Nothing is written
            then.
    """
    changes = Changes()
    put_batch_norm(changes, model, statistics)
    changes.write()


def _put_step_sizes(changes, tensors, step_sizes):
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
    for path, step in step_sizes.tensors.items():
        tensors[path].quantizer.grid.check_bits(step.bits)
        state = tensors[path].state
        value = _shaped(path, step.step_size, tuple(state.step_size.shape))
        changes.put(state.step_size, value)
        changes.put(state.calibrated_bits, step.bits)
        changes.put(state.origin, step.origin)


def _shaped(path, step_size, shape):
    if step_size.size == 1:
        return np.broadcast_to(step_size.reshape(()), shape)
    if step_size.size == np.prod(shape):
        return step_size.reshape(shape)
    raise ValueError(
        f"Expected a step size of shape {shape} for {path!r}. "
        f"Received one of shape {step_size.shape}."
    )


def _put_rounded_weights(changes, tensors, rounded):
    kernels = {p: t for p, t in tensors.items() if t.kind == "weight"}
    _put_step_sizes(changes, tensors, rounded.step_sizes)
    for path, codes in rounded.codes.items():
        shape = tuple(kernels[path].variable.shape) if path in kernels else None
        if np.shape(codes) != shape or path not in rounded.step_sizes.tensors:
            raise ValueError(
                "Expected codes, with step sizes, for quantized kernels, of "
                f"{sorted(kernels)}. Received some of shape {np.shape(codes)} "
                f"for {path!r}, which do not fit."
            )
        step_size = rounded.step_sizes.tensors[path].step_size
        changes.put(kernels[path].variable, values_of(codes, step_size))


def _put_biases(changes, tensors, correction):
    layers = {
        path.rpartition("/")[0]: tensor.layer.layer
        for path, tensor in tensors.items()
        if tensor.kind == "weight"
    }
    for path, shift in correction.shifts.items():
        bias = getattr(layers.get(path), "bias", None)
        if bias is None or tuple(bias.shape) != np.shape(shift):
            raise ValueError(
                "Expected a correction of the biases of quantized layers, of "
                f"{sorted(layers)}. Received one of shape {np.shape(shift)} "
                f"for {path!r}, which does not fit."
            )
        corrected = compat.to_numpy(bias) + shift
        changes.put(bias, corrected.astype(np.float32))


def _points(model, tensors, setting):
    """Returns `{tensor path: its operating point}`."""
    if setting.layer is None:
        return dict.fromkeys(tensors, setting.point)
    own = [p for p in tensors if p.rpartition("/")[0] == setting.layer]
    own = own or _chosen(model, tensors, setting.layer)
    others = setting.others or OperatingPoint()
    return {
        **dict.fromkeys(tensors, others),
        **dict.fromkeys(own, setting.point),
    }


def _chosen(model, tensors, only):
    """Returns the tensors that `only` names, by layer or by path."""
    names = {only} if isinstance(only, str) else set(only)
    known = {path: _names_of(path) for path in tensors}
    for name in sorted(names.difference(*known.values())):
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
    return {p: tensors[p] for p in tensors if names & known[p]}


def _names_of(path):
    """Returns what may name a tensor: its path, its layer's and its name."""
    layer = path.rpartition("/")[0]
    return {path, layer, layer.rpartition("/")[2]}


def _put_point(changes, tensor, point):
    weight = tensor.kind == "weight"
    bits = point.weight_bits if weight else point.activation_bits
    if bits is not None and tensor.pinned_bits is not None:
        bits = tensor.pinned_bits
    _check_ready(changes, tensor, bits)
    _check_rounding(tensor, point)
    state = tensor.state
    changes.put(state.step_scale, _step_scale(changes, tensor, bits, point))
    changes.put(state.bits, FP if bits is None else bits)
    mode = rounding_code(point.rounding_mode, tensor.path)
    changes.put(state.rounding_mode, mode)
    full = weight and bits is not None and point.grid == "full"
    changes.put(state.full_range, _full_range(tensor) if full else 0.0)


def _check_ready(changes, tensor, bits):
    if bits is None:
        return
    tensor.quantizer.grid.check_bits(bits)
    if changes.value_of(tensor.state.calibrated_bits) == UNCALIBRATED:
        raise ValueError(
            f"Expected {tensor.path!r} to be calibrated before it is "
            f"quantized to {bits} bits. Its step size is not known: run a PTQ "
            "method on calibration examples and `set_step_sizes`, or leave "
            "activations in float, as in '4/FP'."
        )


def _check_rounding(tensor, point):
    follows = tensor.quantizer.follows_state
    if point.rounding_mode != "nearest" and not follows:
        raise ValueError(
            "Expected quantizers that round as the operating point says. "
            f"{type(tensor.quantizer).__name__} of {tensor.path!r} does not "
            f"know rounding modes. Received: {point.rounding_mode!r}. Derive "
            "it from UniformQuantizer, or set `follows_state = True` and "
            "round by `state.rounding_mode`."
        )


def _full_range(tensor):
    """Returns what reading a tensor on the full range adds to its levels."""
    quantizer = tensor.quantizer
    name, follows = quantizer.grid.name, quantizer.follows_state
    if name not in ("narrow", "full") or not follows:
        raise ValueError(
            "Expected weights on the grid 'narrow', of a quantizer with "
            "`follows_state`, to read them on the full range. Received: "
            f"{quantizer!r} for {tensor.path!r}. Leave 'full' out of the "
            "operating point, or use another Placement(weights=...)."
        )
    return float(name == "narrow")


def _step_scale(changes, tensor, bits, point):
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
    lowest = float(changes.value_of(state.origin))
    calibrated = float(changes.value_of(state.calibrated_bits))
    kept = float(grid.extent(calibrated, lowest)) / float(
        grid.extent(float(bits), lowest)
    )
    step_size = changes.value_of(state.step_size).astype(np.float64) * kept
    step_size *= tensor.unit()
    rounded = power_of_two(step_size, point.step_rounding)
    return (ratio * rounded / step_size * ones).astype(np.float32)
