"""Every training of configs/imagenet at real size, for a few steps: a program.

python tests/imagenet_size.py runs/imagenet_size [name of a flagfile ...]

Synthetic images, in the files of TFDS, stand for ImageNet's. Each tool runs in
a process of its own, whose time and peak memory the table has. It shows that
the paper's rows run from end to end, and what a step needs; no accuracy. What
the folder has already is not measured again.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import time

import numpy as np
from tfds_files import write_tfds

ROOT = pathlib.Path(__file__).resolve().parent.parent
_STEPS, _BATCH_SIZE, _IMAGES = 3, 8, 16
# Flags of the tools that go on from what was trained.
_LATER = ("points", "placement", "ptq", "export", "reestimate_batch_norm")
_REPLACED = (
    *("flagfile", "weights", "epochs", "batch_size", "workdir", "title"),
    *("note", "decay_every", "schedule", "calibration_count", "data_dir"),
)


def main(folder, *names):
    folder = pathlib.Path(folder)
    if not (folder / "tfds").exists():
        _write_images(folder / "tfds")
    kept = folder / "imagenet_size.json"
    rows = json.loads(kept.read_text()) if kept.exists() else []
    rows = [row for row in rows if row["exit"] == 0]  # Others are run again.
    for path in sorted((ROOT / "configs" / "imagenet").glob("*.cfg")):
        done = path.stem in [row["row"] for row in rows]
        if done or path.stem not in (names or [path.stem]):
            continue
        rows += _measured_row(path, folder)
        kept.write_text(json.dumps(rows, indent=1))
        (folder / "imagenet_size.md").write_text(_table(rows))


def _measured_row(path, folder):
    """Returns what training by a flagfile costs, and what comes after it."""
    trained = folder / path.stem
    rows = [_train(path, trained, folder / "tfds")]
    if rows[0]["exit"]:
        return rows
    model = f"--model={trained / 'model.keras'}"
    if "qat" not in rows[0]["flags"] and "l1" not in path.stem:
        rows += _later(path.stem, model, folder)
    return rows


def _write_images(folder):
    random = np.random.default_rng(0)

    def images(count):
        # Blocks of 16 x 16, as large as photographs and as quick to decode.
        small = random.integers(0, 255, (count, 24, 32, 3)).astype(np.uint8)
        labels = random.integers(0, 1000, count)
        return small.repeat(16, 1).repeat(16, 2), labels

    splits = {
        "train": images(_STEPS * _BATCH_SIZE),
        "validation": images(_IMAGES),
    }
    options = {"shape": [None, None, 3], "classes": 1000, "version": "5.1.0"}
    write_tfds(folder, "imagenet2012", splits, **options)


def _train(path, workdir, data_dir):
    """Trains as a flagfile says, for one epoch of a few steps."""
    flags = _flags(path)
    own = [flag for flag in flags if _name(flag) not in (*_LATER, *_REPLACED)]
    given = [*own, *_dataset(data_dir), "--epochs=1", "--schedule=constant"]
    size = f"--batch_size={_BATCH_SIZE}"
    row = _measured("train", [*given, size], workdir)
    kept = {"model", "qat", "qat_point", "kurtosis_coefficient", "gradient_l1"}
    shown = {_name(flag): flag[2:] for flag in own if _name(flag) in kept}
    return {"row": path.stem, **row, "flags": " ".join(shown.values())}


def _later(name, model, folder):
    """Yields what calibration, three points and a file of a model cost."""
    common = [model, *_dataset(folder / "tfds")]
    size = f"--evaluation_batch_size={_BATCH_SIZE}"
    for tool, flags in {
        "calibrate": ["--point=4/4", "--ptq=lp_norm", size],
        "sweep": ["--points={4,3}/4", "--ptq=minmax", size],
        "export_tflite": ["--point=8/8", "--ptq=minmax", "--placement=tflite"],
    }.items():
        workdir = folder / f"{name}_{tool}"
        yield {"row": name, **_measured(tool, [*common, *flags], workdir)}


def _dataset(data_dir):
    return [
        *("--dataset=imagenet", f"--data_dir={data_dir}", "--keras=tf_keras"),
        f"--calibration_count={_BATCH_SIZE}",
    ]


def _flags(path):
    """Returns the flags of a flagfile, those of the files it names first."""
    found = []
    for line in path.read_text().splitlines():
        if line.startswith("--flagfile="):
            found += _flags(ROOT / line.partition("=")[2])
        elif line.startswith("--"):
            found.append(line)
    return found


def _name(flag):
    return re.match(r"--(\w+)", flag)[1]


def _measured(tool, flags, workdir):
    """Runs a tool; returns its times in seconds and its peak in GiB."""
    command = [sys.executable, str(ROOT / "tools" / f"{tool}.py"), *flags]
    start = time.monotonic()
    with open(f"{workdir}.log", "w") as log:
        process = subprocess.Popen(
            [*command, f"--workdir={workdir}"],
            stdout=log,
            stderr=log,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        _, status, used = os.wait4(process.pid, 0)
    return {
        "tool": tool,
        "exit": os.waitstatus_to_exitcode(status),
        "wall": round(time.monotonic() - start, 1),
        "processor": round(used.ru_utime + used.ru_stime, 1),
        "peak": round(used.ru_maxrss / 2**20, 2),
    }


def _table(rows):
    every = {
        path.stem for path in (ROOT / "configs" / "imagenet").glob("*.cfg")
    }
    missing = sorted(every - {row["row"] for row in rows})
    lines = [
        "# The paper's rows at real size",
        "",
        f"Made by `tests/imagenet_size.py`: {_STEPS} training steps of "
        f"{_BATCH_SIZE} synthetic images of 224 x 224, {_IMAGES} test images,",
        "three points, one exact file; random weights. Times are those of the "
        "whole process, start and compilation with it; wall time was mostly "
        "waiting, on a busy machine.",
        f"Of {len(every)} flagfiles in `configs/imagenet` not run: "
        f"{', '.join(missing) or 'none'}.",
        "",
        "| Row | Tool | Exit code | Wall, s | Processor, s | Peak, GiB |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        shown = [row["row"], row["tool"], row["exit"], row["wall"]]
        shown += [row["processor"], row["peak"]]
        lines.append("| " + " | ".join(map(str, shown)) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main(*sys.argv[1:])
