"""Writing a TFLite file, but only one that was verified."""

import dataclasses
import json
import pathlib
import sys

from kure_tf.export.tflite import to_tflite
from kure_tf.export.verification import VerificationError
from kure_tf.export.verify import verify
from kure_tf.files import jsonable, write_atomically


def export_tflite(
    model,
    path,
    calibration,
    split,
    *,
    mode=None,
    container=8,
    min_agreement=0.98,
    max_accuracy_drop=0.010,
    batch_size=64,
    file_batch_size=None,
    num_threads=2,
    resolver="default",
    progress=True,
):
    """Converts a Keras model, verifies the result and writes it.

    The file is verified in memory and written only if it passes: its folder
    never holds a file that failed. A file of that name from an earlier export
    is then left as it was, and the error says so; its .json beside it still
    describes it. Beside `path`, a file of the same name with the suffix .json
    keeps the details of the file and of its verification; the sha256 in it is
    that of the .tflite file it belongs to.

    Args:
        model: A built functional or sequential Keras model.
        path: Where to write; must end in ".tflite".
        calibration: Images for the modes of integers, else None; see
            `to_tflite`.
        split: What to verify on, usually the test split; see `verify`.
        mode, container: See `to_tflite`.
        min_agreement, max_accuracy_drop: Limits of `verify`.
        batch_size: Images per call while verifying.
        file_batch_size: Batch size fixed in the file; None for any.
        num_threads, resolver: How `verify` runs the file.
        progress: Whether to say on the standard error stream what is going
            on, with a progress bar.

    Returns:
        The `Verification`.

    Raises:
        VerificationError: If the file fails; nothing is written.
        TypeError, ValueError: As `to_tflite` and `verify` do; nothing is
            written.
        OSError: If a file cannot be written.
    """
    path = checked_path(path)
    if progress:
        print(
            f"Converting {getattr(model, 'name', model)!r} to TFLite, "
            f"mode {mode or 'as it needs'}.",
            file=sys.stderr,
        )
    tflite = to_tflite(
        model,
        calibration,
        mode=mode,
        container=container,
        batch_size=file_batch_size,
    )
    try:
        verification = verify(
            tflite,
            model,
            split,
            min_agreement=min_agreement,
            max_accuracy_drop=max_accuracy_drop,
            batch_size=batch_size,
            num_threads=num_threads,
            resolver=resolver,
            progress=progress,
        )
    except VerificationError as error:
        raise VerificationError(
            f"{error}\n{what_is_left(path)}", error.verification
        ) from None
    write_atomically(path, tflite.content)
    write_atomically(path.with_suffix(".json"), _json(tflite, verification))
    return verification


def checked_path(path):
    """Returns the path of a .tflite file to write, or raises what is wrong."""
    path = pathlib.Path(path)
    if path.suffix != ".tflite":
        raise ValueError(
            "Expected a path that ends in '.tflite', since the details go to "
            f"the same name with '.json'. Received: {str(path)!r}."
        )
    if path.is_dir():
        raise ValueError(f"Expected a file. {str(path)!r} is a folder.")
    return path


def what_is_left(path):
    """Returns what an error says of a file that was not written."""
    if path.exists():
        return (
            f"Nothing was written: {str(path)!r} is still the file of an "
            "earlier export."
        )
    return f"Nothing was written to {str(path)!r}."


def _json(tflite, verification):
    content = {
        "file": tflite.details,
        "verification": dataclasses.asdict(verification),
    }
    return json.dumps(jsonable(content), indent=2) + "\n"
