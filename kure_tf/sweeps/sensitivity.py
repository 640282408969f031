"""Which layers an operating point hurts: one layer at a time."""

import dataclasses

from kure_tf.fake_quantized import quantizers_of
from kure_tf.settings import OperatingPoint, Setting
from kure_tf.sweeps.run import run_sweep


def sensitivity_points(model, point, *, ratio=None) -> list[Setting]:
    """Returns a `Setting` for each layer that operating points move.

    Two kinds: **alone**, the layer is quantized and all others are in float;
    **perturbed**, all stand at the point and the layer's step size is off.

    Args:
        model: A fake-quantized model.
        point: An `OperatingPoint` or its text, without step ratios. Layers
            that are pinned, or have nothing that the point quantizes, are
            left out.
        ratio: None for alone; perturbed: the ratio of the layer's steps, of
            weights and, where the point quantizes them, activations.

    Raises:
        ValueError: If `point` has a step ratio of its own, or `ratio` is 1.
    """
    point = OperatingPoint.parse(point)
    if (point.step_scale, point.activation_step_scale) != (1, 1) or ratio == 1:
        raise ValueError(
            "Expected a point without step ratios, such as '3/FP', and for "
            "perturbed layers a ratio other than 1. Received: "
            f"{str(point)!r} and ratio={ratio}. To perturb one layer: "
            "sensitivity_points(model, '3/FP', ratio=0.8)."
        )
    layers = _layers(model, point)
    if ratio is None:
        return [Setting(point, layer=layer) for layer in layers]
    both = point.activation_bits is not None
    off = dataclasses.replace(
        point, step_scale=ratio, activation_step_scale=ratio if both else 1.0
    )
    return [Setting(off, layer=layer, others=point) for layer in layers]


def layer_settings(model, points) -> list[Setting]:
    """Returns what points of a "sensitivity" sweep stand for in a model.

    Args:
        model: A fake-quantized model.
        points: `OperatingPoint`s: each layer alone where the step ratio is 1,
            perturbed by that ratio where it is not.
    """
    found = []
    for point in points:
        ratio = None if point.step_scale == 1 else point.step_scale
        bare = dataclasses.replace(point, step_scale=1.0)
        found += sensitivity_points(model, bare, ratio=ratio)
    return found


def measure_sensitivity(model, point, evaluate, *, ratio=None, **options):
    """Evaluates a model with one layer at a time at an operating point.

    Args:
        model: A fake-quantized model.
        point: See `sensitivity_points`.
        evaluate: As for `run_sweep`.
        ratio: See `sensitivity_points`.
        **options: As for `run_sweep`: `setting_for`, `name`, `finished`, ...

    Returns:
        A `Report` of one run. Its rows say `sweep="sensitivity"`, the path
        of the layer, and as `others` the point of the other layers, None
        where the layer was alone.

    Raises:
        ValueError: As `sensitivity_points` and `run_sweep`.
    """
    points = sensitivity_points(model, point, ratio=ratio)
    return run_sweep(model, points, evaluate=evaluate, **options)


def _layers(model, point):
    moved = {
        "weight": point.weight_bits is not None,
        "activation": point.activation_bits is not None,
    }
    return list(
        dict.fromkeys(
            path.rpartition("/")[0]
            for path, tensor in quantizers_of(model).items()
            if tensor.pinned_bits is None and moved[tensor.kind]
        )
    )
