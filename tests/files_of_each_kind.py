"""One file of each kind that kure_tf writes or reads, and its reader."""

import dataclasses
import json
import pathlib
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from nested_net import nearest_settings
from small_run import RECIPE, make_dataset, make_model, make_plan
from tfds_files import write_tfds

from kure_tf import (
    artifact,
    compat,
    data,
    export,
    fake_quantize_model,
    fake_quantized,
    models,
    ptq,
    runs,
    settings,
    sweeps,
)
from kure_tf.fake_quantized import paper_placement
from kure_tf.measurements import Report
from kure_tf.ptq.journal import Journal
from kure_tf.ptq.nested_progress import NestedProgress
from kure_tf.training.checkpoint import Checkpoint

DIFFERS = "differs"
"""What a reader returns where a public door has told the damage."""


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
        path: A whole file of the kind.
        read: Reads the file at `path` through a public door; returns what is
            in it, for comparison.
        read_by_c: Whether the reader is C++ code that checks little itself.
    """

    path: pathlib.Path
    read: Callable
    read_by_c: bool = False


def make_kinds(folder):
    """Writes a file of each kind; returns `{name: Kind}`."""
    return {
        **_trained(folder),
        **_calibrated(folder),
        **_exported(folder),
        **_data_sets(folder),
    }


def _trained(folder):
    work = folder / "trained"
    runs.train(make_model, make_dataset(), RECIPE, work)
    plan = make_plan(points=("{4,3}/FP",))
    runs.sweep(make_model(), make_dataset(), [plan], folder / "swept")
    np.savez(folder / "weights.npz", **_named_weights())
    flags = {"epochs": "3", "note": "a\nb"}
    with runs.run_folder(folder / "run", "train", flags):
        (folder / "run" / "result").touch()
    kinds = {
        "model": ("trained/model.keras", lambda p: _weights(p)),
        "training record": ("trained/training.json", _trained_again),
        "checkpoint": ("trained/checkpoint.npz", _checkpoint),
        "report": ("swept/report.json", lambda p: Report.load(p).to_json()),
        "weights": ("weights.npz", _imported),
        "flags of a run": ("run/train.cfg", lambda p: _continued(p, flags)),
    }
    return {n: Kind(folder / path, read) for n, (path, read) in kinds.items()}


def _trained_again(path):
    data, folder = make_dataset(), path.parent
    return runs.train(make_model, data, RECIPE, folder)[1]["checkpoint_hash"]


def _named_weights():
    model = make_model()
    return {
        f"{path}.{variable.name.rpartition('/')[2].partition(':')[0]}": (
            compat.to_numpy(variable)
        )
        for path, layer in compat.layers_of(model)
        for variable in layer.weights
    }


def _weights(path):
    return compat.array_hash(runs.load_saved_model(path))


def _checkpoint(path):
    found = Checkpoint.load(path)
    return repr((found.identity, found.progress, found.arrays))


def _imported(path):
    model = make_model()
    models.import_npz(model, path)
    return compat.array_hash(model)


def _continued(path, flags):
    with runs.run_folder(path.parent, "train", flags) as there:
        return sorted(one.name for one in there.iterdir())


def _calibrated(folder):
    model = fake_quantize_model(make_model())
    batches = make_dataset().calibration.batches(20)
    calibration = ptq.calibrate(model, batches, progress=False)
    steps = ptq.minmax(calibration, "4/8")
    steps.save(folder / "step_sizes.json")
    settings.Setting("4/8", step_sizes=steps).save(folder / "setting.npz")
    key = {"method": "m"}
    losses = Journal(lambda _: 0.25, folder / "losses.json", key)
    progress = NestedProgress(folder / "nested.npz", key)
    for number in range(3):
        losses(settings.StepSizes({"a": settings.TensorStep(0.1 + number, 4)}))
        progress.add(f"{number}/kernel", {"codes": np.arange(40)})
    profile = dataclasses.asdict(sweeps.builtin_profiles()[0])
    profile["point"] = str(profile["point"])
    (folder / "profiles.json").write_text(json.dumps([profile]))
    kinds = {
        "step sizes": ("step_sizes.json", _step_sizes),
        "setting": ("setting.npz", lambda p: settings.Setting.load(p).digest()),
        "journal": ("losses.json", lambda p: Journal(None, p, key)._entries),
        "nested progress": (
            "nested.npz",
            lambda p: repr(NestedProgress(p, key)._found),
        ),
    }
    return {n: Kind(folder / path, read) for n, (path, read) in kinds.items()}


def _step_sizes(path):
    return json.dumps(settings.StepSizes.load(path).to_dict(), default=str)


def _exported(folder):
    placement = {"first_layer": 8, "last_layer": 8}
    model = fake_quantize_model(make_model(), paper_placement(**placement))
    split = make_dataset().calibration
    calibration = ptq.calibrate(model, split.batches(20), progress=False)
    found = nearest_settings(model, calibration, "even", [(8, 8), (3, 8)])
    (folder / "model.kure").write_bytes(artifact.pack(model, found, split))
    fake_quantized.apply(model, found[0])
    graph = export.to_integer_graph(model, split)
    (folder / "model.tflite").write_bytes(export.write(graph))

    def checked(path):
        found = export.check_file(path.read_bytes(), graph)
        return DIFFERS if found.differences else "as written"

    return {
        "artifact": Kind(folder / "model.kure", _materialized),
        "LiteRT file": Kind(folder / "model.tflite", checked, True),
    }


def _materialized(path):
    return [artifact.materialize(path, bits) for bits in (8, 3)]


def _data_sets(folder):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (50, 8, 8, 3)).astype(np.uint8)
    labels = np.arange(50) % 3
    pair = images, labels
    write_tfds(folder, "tiny", {"train": pair, "test": pair}, shards=1)
    classes = folder / "classes"
    for image, label in zip(images[:20], labels, strict=False):
        path = classes / str(label) / f"{image[0, 0, 0]}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tf.io.encode_png(image).numpy())
    one = next((classes / "0").iterdir())
    tfds = folder / "tiny" / "1.0.0"
    return {
        "record": Kind(next(tfds.glob("*train*")), lambda _: _tfds(folder)),
        "info": Kind(tfds / "dataset_info.json", lambda _: _tfds(folder)),
        "features": Kind(tfds / "features.json", lambda _: _tfds(folder)),
        "image": Kind(one, lambda _: _images(data.folder_dataset(classes))),
    }


def _tfds(folder):
    return _images(data.get("tiny", data_dir=str(folder)))


def _images(dataset):
    return [
        (part.images.tobytes(), part.labels.tobytes())
        for part in (dataset.train, dataset.test)
    ]
