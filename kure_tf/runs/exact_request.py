"""What an exact file was asked for with: the same may be kept."""

import hashlib

from kure_tf.fake_quantized import quantizers_of

_LARGEST_BITS = 8


def check_points(wanted, allow_float):
    """Raises unless exact files can be written at all points.

    Args:
        wanted: The `FileSetting`s.
        allow_float: Whether layers may be in float.

    Raises:
        ValueError: If a point has more than 8 bits, or is in float.
    """
    for point in (point for one in wanted for point in one.points):
        bits = point.weight_bits, point.activation_bits
        if any(one is not None and one > _LARGEST_BITS for one in bits):
            raise ValueError(
                f"Expected operating points of up to {_LARGEST_BITS} bits, "
                "the codes that exact files hold, such as '8/8'. Received: "
                f"'{point}'. Leave it out."
            )
        if None in bits and not allow_float:
            raise ValueError(
                "Expected operating points without floats for exact files, "
                f"such as '4/8'. Received: '{point}', which is in float. Leave "
                "it out, write codes of weights alone with "
                'export.to_tflite(mode="weight_only"), or pass '
                "allow_float=True (--allow_float), which leaves what is in "
                "float at this point in float in the file."
            )


def request_of(wanted, model, options) -> dict:
    """Returns what a file is asked for with, as plain values.

    Args:
        wanted: Its `FileSetting`.
        model: The fake-quantized model.
        options: `{name: plain value}` of how the file is written.
    """
    return {
        "points": list(map(str, wanted.points)),
        "ptq": wanted.ptq,
        "setting": wanted.digest,
        "quantizers": _digest_of_quantizers(model),
        **options,
    }


def check_same(file, folder, before, now):
    """Raises if a file that is there was asked for with something else.

    Args:
        file: Its name.
        folder: The folder that it is in.
        before, now: What `request_of` returned; None where it was not kept.

    Raises:
        ValueError: If they differ.
    """
    before = before or {}
    for name, value in now.items():
        if name not in before or before[name] != value:
            raise ValueError(
                f"Expected {file!r} in {str(folder)!r} to be the file that is "
                f"asked for. It was written with {name}={before.get(name)!r}; "
                f"this is {value!r}. Choose another folder, or delete that "
                "one."
            )


def _digest_of_quantizers(model):
    """Returns a hash of where the quantizers sit and what they are."""
    placed = [
        (path, tensor.quantizer, tensor.pinned_bits)
        for path, tensor in quantizers_of(model).items()
    ]
    return hashlib.sha256(repr(placed).encode()).hexdigest()
