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
    lambda modes: all(mode in _MODES for mode in modes if mode),
    f"Expected files to write, of {_MODES}, separated by commas.",
)
_MIN_AGREEMENT = flags.DEFINE_float(
    "min_agreement",
    0.98,
    "Least share of test images on which file and Keras model must agree.",
)
_MAX_ACCURACY_DROP = flags.DEFINE_float(
    "max_accuracy_drop",
    0.01,
    "Largest loss of top-1 accuracy against the Keras model, as a fraction.",
)


def limits():
    """Returns the limits that `runs.export` takes."""
    return {
        "min_agreement": _MIN_AGREEMENT.value,
        "max_accuracy_drop": _MAX_ACCURACY_DROP.value,
    }
