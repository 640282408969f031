"""Flags of the export to LiteRT."""

from absl import flags

EXPORT = flags.DEFINE_list(
    "export",
    ["converter_int8"],
    "Files to write with the converter's step sizes: 'converter_int8' (full "
    "integer), 'converter_16x8', 'dynamic_range', 'float16', 'float'; empty "
    "for none.",
)
_MODES = (
    "converter_int8",
    "converter_16x8",
    "dynamic_range",
    "float16",
    "float",
)
flags.register_validator(
    "export",
    lambda modes: set(modes) <= {*_MODES, ""} and len(set(modes)) == len(modes),
    f"Expected files to write, of {_MODES}, each once, separated by commas.",
)
_MIN_AGREEMENT = flags.DEFINE_float(
    "min_agreement",
    0.98,
    "Least share of test examples on which file and Keras model must agree.",
)
_MAX_ACCURACY_DROP = flags.DEFINE_float(
    "max_accuracy_drop",
    0.01,
    "Largest loss of top-1 accuracy against the Keras model, as a fraction.",
)
for _name in ("min_agreement", "max_accuracy_drop"):
    flags.register_validator(
        _name,
        lambda value: 0 <= value <= 1,
        f"Expected --{_name} as a fraction, from 0 to 1.",
    )


def limits():
    """Returns the limits that `runs.export` takes."""
    return {
        "min_agreement": _MIN_AGREEMENT.value,
        "max_accuracy_drop": _MAX_ACCURACY_DROP.value,
    }
