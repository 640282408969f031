"""The codes of all widths that training with `nested_lsq` has found."""

from kure_tf.fake_quantized import (
    integer_weights,
    keeping,
    quantizers_of,
    set_operating_point,
)
from kure_tf.quantizers import NestedLSQQuantizer
from kure_tf.settings import NestedWeights, OperatingPoint
from kure_tf.settings.nested_weights import checked_widths


def nested_weights(model, bits=(8, 6, 4, 3, 2)) -> NestedWeights:
    """Returns the 8-bit codes of a model trained by `nested_lsq`.

    `ptq.nested_settings` makes a setting for each width of them, with
    batch-norm statistics of its own, and `artifact.pack` one file.

    Args:
        model: What `quantize_aware(..., "nested_lsq", ...)` returned, trained.
            It is left as it was.
        bits: The widths that it was trained for; 8 among them.

    Raises:
        ValueError: If a kernel has another quantizer, a width is not from 2 to
            8, or 8 is not among them.
    """
    bits = checked_widths(bits)
    kernels = {
        path: tensor
        for path, tensor in quantizers_of(model).items()
        if tensor.kind == "weight"
    }
    for path, tensor in kernels.items():
        if not isinstance(tensor.quantizer, NestedLSQQuantizer):
            raise ValueError(
                "Expected a model of quantize_aware(model, 'nested_lsq'), "
                f"whose kernels have one step for all widths. That of {path!r} "
                f"has {type(tensor.quantizer).__name__}. For such a model, "
                "ptq.nested_rounding searches codes."
            )
    with keeping(model):
        set_operating_point(model, OperatingPoint(8))
        stored = integer_weights(model)
    return NestedWeights(
        {path: tensor.codes for path, tensor in stored.items()},
        {path: tensor.step_size for path, tensor in stored.items()},
        pinned={
            path: tensor.pinned_bits
            for path, tensor in kernels.items()
            if tensor.pinned_bits
        },
        provenance={
            "method": "nested_lsq",
            "rounding": "trained",
            "bits": bits,
        },
    )
