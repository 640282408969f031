"""What the files of an artifact answer, each beside what was foretold."""

import dataclasses

from kure_materialize import materialize
from kure_tf.artifact.pack import files_at, graph_at
from kure_tf.export.exact import exact_verification, raise_failures
from kure_tf.export.exact_verification import ExactVerification
from kure_tf.export.verification import VerificationError
from kure_tf.fake_quantized import apply, keeping
from kure_tf.settings import OperatingPoint


@dataclasses.dataclass(frozen=True, kw_only=True)
class VerifiedFile:
    """One file that an artifact makes.

    Attributes:
        bits: Bits of the weights.
        point: The `OperatingPoint` of its setting.
        container: Bits that were asked for as its container.
        verification: Its `ExactVerification`.
    """

    bits: int
    point: OperatingPoint
    container: int
    verification: ExactVerification


def verify_artifact(
    content,
    path,
    model,
    settings,
    calibration,
    split,
    *,
    allow_float=False,
    files=None,
    **options,
):
    """Makes each file of an artifact and runs it over a whole split.

    Each has to be, to the last byte, what the exact writer makes of the model
    at the setting, and to answer what was foretold.

    Args:
        content: What `pack` returned.
        path: Where it is to be written, for errors.
        model, settings, calibration, allow_float: What `pack` was given.
        split: What to verify on, as for `export_exact`.
        files: `{name: value}` of what else `pack` was given by name.
        **options: Of `exact_verification`: kernels, batch_size, num_threads,
            progress.

    Yields:
        A `VerifiedFile` for each setting and container. A file that is the
        same in a narrower container comes once.

    Raises:
        VerificationError: If one is or answers something else.
    """
    files = files or {}
    options["file_batch_size"] = files.get("file_batch_size")
    for setting in settings:
        graph = graph_at(model, setting, calibration, allow_float=allow_float)
        seen = None
        for container, stored, expected in files_at(setting, graph, **files):
            if expected == seen:
                continue
            seen = expected
            found = materialize(
                content,
                (bits := setting.provenance["nested_bits"]),
                activation_bits=setting.point.activation_bits,
                container=container,
            )
            with keeping(model):
                apply(model, setting)
                verification = exact_verification(
                    found, stored, model, split, **options
                )
            raise_failures(verification, model, path)
            _check_same(found, expected, setting, path, verification)
            yield VerifiedFile(
                bits=bits,
                point=setting.point,
                container=container,
                verification=verification,
            )


def _check_same(found, expected, setting, path, verification):
    if found != expected:
        raise VerificationError(
            "Expected the artifact to make the file of the exact writer at "
            f"{setting.point}. It makes another one. {path} was not written.",
            verification,
        )
