"""Runs every training of configs/imagenet at real size, for a few steps.

python tools/imagenet_size.py --workdir=runs/imagenet_size

Synthetic images, in the files of TFDS, stand for ImageNet's. Each tool runs in
a process of its own, whose time and peak of memory the table has. It shows that
the paper's rows run from end to end on a machine, and what a step needs; no
accuracy. Killed and started again, it goes on after the last finished row.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

import common_flags
from absl import flags

_ROWS = flags.DEFINE_list(
    "rows", [], "Names of flagfiles in configs/imagenet. Default: all of them."
)
_STEPS = flags.DEFINE_integer(
    "steps", 3, "Training steps of each row.", lower_bound=1
)
_BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", 8, "Images per step.", lower_bound=1
)
flags.declare_key_flag("workdir")

_ROOT = pathlib.Path(__file__).resolve().parent.parent
_CONFIGS = _ROOT / "configs" / "imagenet"
_TEST_IMAGES = 16
_PEAKS_IN_A_GIB = 2**30 if sys.platform == "darwin" else 2**20
# Flags of the tools that go on from what was trained.
_LATER = ("points", "placement", "ptq", "export", "reestimate_batch_norm")
_REPLACED = (
    *("flagfile", "weights", "epochs", "batch_size", "workdir", "title"),
    *("note", "decay_every", "schedule", "calibration_count", "data_dir"),
)


def main():
    from kure_tf.files import read_json, write_atomically, write_json

    flagfiles = _flagfiles()
    with common_flags.workdir() as folder:
        _write_images(folder / "tfds")
        path = folder / "imagenet_size.json"
        rows = read_json(path)["rows"] if path.exists() else []
        failed = {row["row"] for row in rows if row["exit"]}  # Run again.
        rows = [row for row in rows if row["row"] not in failed]
        done = {row["row"] for row in rows}
        for flagfile in flagfiles:
            if flagfile.stem not in done:
                rows += _measured_row(flagfile, folder)
                write_json(path, {"rows": rows})
        write_atomically(folder / "imagenet_size.md", _table(rows))
        print(folder / "imagenet_size.md")
    failed = sorted({row["row"] for row in rows if row["exit"]})
    if failed:
        sys.exit(f"Did not end well: {', '.join(failed)}. See their .log.")


def _flagfiles():
    """Returns the paths of the flagfiles that --rows names."""
    found = {path.stem: path for path in sorted(_CONFIGS.glob("*.cfg"))}
    unknown = sorted(set(_ROWS.value) - set(found))
    if unknown:
        raise ValueError(
            f"Expected --rows of {', '.join(found)}. Received: "
            f"{', '.join(unknown)}."
        )
    return [found[name] for name in _ROWS.value or found]


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
    """Writes the synthetic data set, whole or not at all."""
    import numpy as np
    from tfds_files import write_tfds

    if folder.exists():
        return
    unfinished = folder.with_name("unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    random = np.random.default_rng(0)

    def images(count):
        # Blocks of 16 x 16, as large as photographs and as quick to decode.
        small = random.integers(0, 255, (count, 24, 32, 3)).astype(np.uint8)
        labels = random.integers(0, 1000, count)
        return small.repeat(16, 1).repeat(16, 2), labels

    splits = {
        "train": images(_STEPS.value * _BATCH_SIZE.value),
        "validation": images(_TEST_IMAGES),
    }
    options = {"shape": [None, None, 3], "classes": 1000, "version": "5.1.0"}
    write_tfds(unfinished, "imagenet2012", splits, **options)
    unfinished.rename(folder)


def _train(path, workdir, data_dir):
    """Trains as a flagfile says, for one epoch of a few steps."""
    own = [
        flag
        for flag in _flags(path)
        if _name(flag) not in (*_LATER, *_REPLACED)
    ]
    given = [*own, *_dataset(data_dir), "--epochs=1", "--schedule=constant"]
    size = f"--batch_size={_BATCH_SIZE.value}"
    row = _measured("train", [*given, size], workdir)
    kept = {"model", "qat", "qat_point", "kurtosis_coefficient", "gradient_l1"}
    shown = {_name(flag): flag[2:] for flag in own if _name(flag) in kept}
    return {"row": path.stem, **row, "flags": " ".join(shown.values())}


def _later(name, model, folder):
    """Yields what calibration, three points and a file of a model cost."""
    common = [model, *_dataset(folder / "tfds")]
    size = f"--evaluation_batch_size={_BATCH_SIZE.value}"
    for tool, given in {
        "calibrate": ["--point=4/4", "--ptq=lp_norm", size],
        "sweep": ["--points={4,3}/4", "--ptq=minmax", size],
        "export_tflite": ["--point=8/8", "--ptq=minmax", "--placement=tflite"],
    }.items():
        workdir = folder / f"{name}_{tool}"
        yield {"row": name, **_measured(tool, [*common, *given], workdir)}


def _dataset(data_dir):
    return [
        *("--dataset=imagenet", f"--data_dir={data_dir}", "--keras=tf_keras"),
        f"--calibration_count={_BATCH_SIZE.value}",
    ]


def _flags(path):
    """Returns the flags of a flagfile, those of the files it names first."""
    found = []
    for line in path.read_text().splitlines():
        if line.startswith("--flagfile="):
            found += _flags(_ROOT / line.partition("=")[2])
        elif line.startswith("--"):
            found.append(line)
    return found


def _name(flag):
    return re.match(r"--(\w+)", flag)[1]


def _measured(tool, given, workdir):
    """Runs a tool anew; returns its times in seconds and its peak in GiB."""
    # What a run that was interrupted has left would be gone on with: no times.
    shutil.rmtree(workdir, ignore_errors=True)
    command = [sys.executable, str(_ROOT / "tools" / f"{tool}.py"), *given]
    start = time.monotonic()
    with open(f"{workdir}.log", "w") as log:
        process = subprocess.Popen(
            [*command, f"--workdir={workdir}"],
            stdout=log,
            stderr=log,
            cwd=_ROOT,
            env={**os.environ, "PYTHONPATH": str(_ROOT)},
        )
        _, status, used = os.wait4(process.pid, 0)
    return {
        "tool": tool,
        "exit": os.waitstatus_to_exitcode(status),
        "wall": round(time.monotonic() - start, 1),
        "processor": round(used.ru_utime + used.ru_stime, 1),
        "peak": round(used.ru_maxrss / _PEAKS_IN_A_GIB, 2),
    }


def _table(rows):
    columns = {
        "row": "Row",
        "tool": "Tool",
        "exit": "Exit code",
        "wall": "Wall, s",
        "processor": "Processor, s",
        "peak": "Peak, GiB",
    }
    lines = [
        "# The paper's rows at real size",
        "",
        f"Made by `tools/imagenet_size.py`: {_STEPS.value} training steps of "
        f"{_BATCH_SIZE.value} synthetic images of 224 x 224,",
        f"{_TEST_IMAGES} test images, three points, one exact file; random "
        "weights. Times are those of the whole process,",
        "start and compilation with it; wall time is partly waiting where the "
        "machine is busy.",
        "",
        _line(columns.values()),
        _line("---" for _ in columns),
        *(_line(row[key] for key in columns) for row in rows),
    ]
    return "\n".join(lines) + "\n"


def _line(cells):
    return f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    common_flags.run(main)
