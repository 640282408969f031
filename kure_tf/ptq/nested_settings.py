"""Settings of all widths that read one stored code for each weight."""

from kure_tf.ptq.lp_norm import lp_norm
from kure_tf.ptq.settings_for import with_batch_norm
from kure_tf.settings import OperatingPoint, Setting
from kure_tf.settings.nested_weights import nested_point


def nested_settings(
    calibration,
    nested,
    *,
    bits=None,
    activation_bits=8,
    method=lp_norm,
    batch_norm=None,
) -> list[Setting]:
    """Returns one `Setting` for each width that reads the same codes.

    `artifact.pack` makes one file of them; each by itself is a setting as any
    other, for `apply`, `run_sweep` and `export_exact`.

    Args:
        calibration: What `calibrate` returned for images, unless activations
            stay in float.
        nested: The `NestedWeights`.
        bits: The widths; None for those of the search. Others than these have
            no biases of their own: they will do where batch normalization
            follows every layer.
        activation_bits: Bits of the activations at all widths, or
            `{bits: activation bits}`; None for float.
        method: PTQ method that gives the steps of the activations; None keeps
            those of the model, which training may have found.
        batch_norm: Batches of training images, on which batch-norm statistics
            are measured again at each width; None keeps those of training.

    Returns:
        The settings, most bits first. Their provenance has "nested_bits" and
        "reading". Where reading "middle" needs a grid of one bit more, the
        point says so.

    Raises:
        TypeError, ValueError: As `apply` and `reestimate_batch_norm`; if
            biases are corrected at other widths only.
    """
    widths = nested.provenance["bits"] if bits is None else bits
    settings = []
    for width in sorted(widths, reverse=True):
        activations = activation_bits
        if isinstance(activation_bits, dict):
            activations = activation_bits[width]
        setting = _setting(calibration, nested, width, activations, method)
        if batch_norm is not None:
            setting = with_batch_norm(calibration.model, setting, batch_norm)
        settings.append(setting)
    return settings


def _setting(calibration, nested, width, activations, method):
    steps = None
    if method is not None:
        steps = method(calibration, OperatingPoint(8, activations))
    return Setting(
        nested_point(width, activations, nested.reading),
        step_sizes=steps,
        rounded_weights=nested.at(width),
        bias_correction=nested.bias_correction_at(width),
        provenance={
            "nested_bits": width,
            "reading": nested.reading,
            "rounding": nested.provenance.get("rounding", ""),
        },
    )
