"""Exporting a model as one artifact for several bit-widths."""

import dataclasses
import hashlib
import io
import pathlib

import numpy as np

from kure_tf import artifact, export, ptq
from kure_tf.export.exact import check_exact_options
from kure_tf.fake_quantized import (
    fake_quantize_model,
    quantized_share,
    quantizers_of,
)
from kure_tf.files import jsonable, write_atomically, write_json
from kure_tf.runs.export_exact import without_floats
from kure_tf.runs.file_metadata import file_metadata
from kure_tf.sweeps.provenance import measurement_facts

_BATCH_SIZE = 128


def export_artifact(
    model,
    dataset,
    folder,
    search,
    *,
    placement="paper",
    containers=(8, 4),
    kernels="xnnpack",
    allow_float=False,
    file_batch_size=None,
    labels=(),
    example_images=0,
    provenance=None,
    progress=True,
) -> dict:
    """Writes one .kure file, after running each file that it makes.

    Every file is made from the artifact, has to be equal to the exact writer's
    and to answer what was foretold on the whole test split.

    Args:
        model: A built float model; or one that has quantizers already, which
            keeps its placement.
        dataset: The `Dataset` with calibration images and test split.
        folder: Gets model.kure, and model.json with what is returned.
        search: Function from a `Calibration` to the nested `Setting`s, such as
            one that calls `ptq.nested_rounding` and `ptq.nested_settings`.
        placement: "paper", "tflite" or a `Placement`, for a float model. Layers
            that it pins to float get 8 bits.
        containers: As for `artifact.pack`.
        kernels: A set of kernels, or several: see `export.export_exact`.
        allow_float, file_batch_size: Likewise.
        labels: Names of the classes, for the files' metadata.
        example_images: How many test images, with their labels, to write to
            images.npz, for a demonstration.
        provenance: What model.json says beyond what is known here.
        progress: Whether to show progress bars.

    Returns:
        Plain values: "artifact" (bytes, those of its 8-bit file, sha256),
        "files" (one for each that it makes: bits, accuracy, bytes, how many
        codes were not foretold, ...) and "provenance".

    Raises:
        VerificationError: If a file is not what was foretold; nothing is
            written then.
        TypeError, ValueError: As `artifact.pack` and the search.
    """
    path = pathlib.Path(folder) / "model.kure"
    kernels = check_exact_options(8, kernels)
    facts = {**(provenance or {}), **measurement_facts(model, dataset)}
    if not quantizers_of(model):
        model = fake_quantize_model(model, without_floats(placement))
    facts |= quantized_share(model).facts()
    batches = dataset.calibration.batches(_BATCH_SIZE)
    settings = search(ptq.calibrate(model, batches, progress=progress))
    files = {
        "containers": containers,
        "file_batch_size": file_batch_size,
        "metadata": _metadata(settings, dataset, facts, labels),
    }
    given = model, settings, dataset.calibration
    content = artifact.pack(*given, allow_float=allow_float, **files)
    verified = artifact.verify_artifact(
        content,
        path,
        *given,
        dataset.test,
        allow_float=allow_float,
        files=files,
        kernels=kernels,
        progress=progress,
    )
    result = jsonable(
        {
            "files": [_row(one) for one in verified],
            "artifact": _facts_of(content),
            "provenance": {
                **facts,
                "settings": [one.provenance for one in settings],
            },
        }
    )
    if example_images:
        write_examples(dataset.test, example_images, path.parent)
    write_atomically(path, content)
    write_json(path.with_suffix(".json"), result)
    return result


def write_examples(split, count, folder):
    """Writes images.npz: some inputs as a model takes them, and labels.

    Args:
        split: The `Split` to draw them from.
        count: How many.
        folder: Where to.
    """
    # Drawn: neighbours of a folder are of one class.
    drawn = split.take(min(count, split.count), seed=0)
    images, labels = next(iter(drawn.batches(count)))
    named = {"images": images}
    if isinstance(images, (dict, tuple)):
        several = (
            images if isinstance(images, dict) else dict(enumerate(images))
        )
        named = {f"input_{name}": one for name, one in several.items()}
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        labels=np.asarray(labels),
        **{name: np.asarray(one) for name, one in named.items()},
    )
    write_atomically(folder / "images.npz", buffer.getvalue())


def _metadata(settings, dataset, facts, labels):
    """Returns the metadata of all files, of which none names its point."""
    found = file_metadata(settings[0], "nested", dataset, facts, labels)
    note = {
        name: value
        for name, value in found.note.items()
        if name not in ("point", "setting")
    }
    return dataclasses.replace(
        found, description=f"{facts['model']}, {dataset.name}", note=note
    )


def _facts_of(content):
    return {
        "bytes": len(content),
        "bytes_of_8_bits": len(export.materialize(content, 8)),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def _row(one):
    found = one.verification
    return {
        "bits": one.bits,
        "activation_bits": one.point.activation_bits,
        "point": str(one.point),
        "container": one.container,
        "bytes": found.file_size,
        "examples": found.examples,
        "accuracy": found.file_accuracy,
        "keras_accuracy": found.keras_accuracy,
        "loss": found.file_loss,
        "keras_loss": found.keras_loss,
        "codes": found.codes,
        "differing_codes": found.differing_codes,
        "equal_kernels": found.equal_kernels,
        "kernels": found.kernels,
        "float_layers": found.float_layers,
        "interpreter": found.interpreter,
    }
