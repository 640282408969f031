"""Measures which architectures become files of exactly their codes.

python tools/exact_families.py --workdir=runs/families \
    --models=ResNet50:64,ConvNeXtTiny:64,resnet20:32:tf_keras

Weights are random, batch-norm statistics those of the images, which are random
too: the question is whether a file answers what was foretold, not what is in
the pictures. Each model has a process of its own, whose peak of memory is
given; a run that was interrupted goes on with the next model.
"""

import multiprocessing
import os
import time

import common_flags
from absl import flags

_MODELS = flags.DEFINE_list(
    "models",
    ["resnet20:32"],
    "'name:input' or 'name:input:tf_keras': a function of keras.applications, "
    "of kure_tf.models, or module.function of the number of classes and the "
    "input's shape; the input's pixels, or its sizes such as 49x10x1.",
)
_POINTS = flags.DEFINE_list("points", ["8/8", "4/8"], "Operating points.")
_IMAGES = flags.DEFINE_integer(
    "images", 16, "Images to calibrate with, and others to ask.", lower_bound=1
)
flags.adopt_module_key_flags(common_flags)

_CLASSES = 100
_ABOUT = """# Files of exactly a model's codes

Others are output codes that were not foretold, of so many; where layers are
left in float, codes that go into those count too, all foretold from what came
out of them. Times are by the clock, on a machine that may have been busy; the
peak of memory is that of the whole process, calibration and check included.
Repeat it by `python tools/exact_families.py --flagfile=exact_families.cfg
--workdir=...`.

"""
_COLUMNS = {
    "model": "Model",
    "keras": "Keras",
    "input": "Input",
    "point": "Point",
    "operators": "Operators",
    "kernels": "Kernels",
    "float_layers": "In float",
    "xnnpack": "Others, XNNPACK",
    "builtin": "Others, built-in",
    "codes": "of",
    "int8_megabytes": "MB int8",
    "int4_megabytes": "MB INT4",
    "lower_seconds": "Lower s",
    "write_seconds": "Write s",
    "check_seconds": "Check s",
    "peak_gigabytes": "Peak GB",
    "refused": "Refused",
}


def main():
    from kure_tf.files import read_json, write_atomically, write_json

    with common_flags.workdir() as folder:
        path = folder / "families.json"
        found = read_json(path) if path.exists() else {}
        for text in _MODELS.value:
            if text not in found:
                found[text] = _in_a_process(text)
            write_json(path, found)
            rows = [row for rows in found.values() for row in rows]
            table = _table(rows)
            write_atomically(folder / "families.md", table)
        print(folder / "families.md")


def _in_a_process(text):
    """Returns the rows of a model, measured by a process with its Keras."""
    legacy = text.endswith(":tf_keras")
    os.environ["TF_USE_LEGACY_KERAS"] = "1" if legacy else "0"
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_rows, (text, _POINTS.value, _IMAGES.value))


def _rows(text, points, count):
    """Returns a dictionary for each operating point of one model."""
    import numpy as np

    from kure_tf import fake_quantize_model
    from kure_tf.compat import KERAS_NAME, batch_norms_of
    from kure_tf.ptq import calibrate, reestimate_batch_norm

    name, size, *_ = text.split(":")
    shape = tuple(int(one) for one in size.split("x"))
    shape = (*shape, *shape, 3) if len(shape) == 1 else shape
    model = _model(name, shape)
    shape = 2 * count, *model.inputs[0].shape[1:]  # Some have their own.
    images = np.random.default_rng(0).uniform(0, 255, shape)
    images = images.astype(np.float32)
    if dict(batch_norms_of(model)):
        reestimate_batch_norm(model, [images[:count]])
    model = fake_quantize_model(model, "tflite")
    calibration = calibrate(model, [images[:count]], progress=False)
    common = {"model": name, "keras": KERAS_NAME, "input": size}
    return [
        {**common, "point": point, **_row(model, calibration, point, images)}
        for point in points
    ]


def _model(name, shape):
    """Returns a model of random weights, of its logits where that is asked."""
    import importlib

    from kure_tf import models
    from kure_tf.compat import keras

    keras.utils.set_random_seed(0)
    if "." in name:
        module, _, function = name.rpartition(".")
        return getattr(importlib.import_module(module), function)(
            _CLASSES, shape
        )
    if name in models.__all__:
        return models.get(name)(num_classes=_CLASSES, input_shape=shape)
    return getattr(keras.applications, name)(
        weights=None,
        classes=_CLASSES,
        input_shape=shape,
        classifier_activation=None,
    )


def _row(model, calibration, point, images):
    from kure_tf import set_operating_point, set_step_sizes
    from kure_tf.export import to_integer_graph
    from kure_tf.ptq import minmax
    from kure_tf.settings import OperatingPoint

    point = OperatingPoint.parse(point)
    set_step_sizes(model, minmax(calibration, point))
    set_operating_point(model, point)
    start = time.perf_counter()
    try:
        graph = to_integer_graph(
            model, [images[: len(images) // 2]], allow_float=True
        )
        lowered = time.perf_counter() - start
        return {"lower_seconds": lowered, **_checked(graph, images)}
    except ValueError as error:
        return {"refused": str(error)}


def _checked(graph, images):
    """Returns sizes and times of a graph's files, and how they answer."""
    import resource

    from kure_tf.export import with_container, write
    from kure_tf.export.pair_runner import compared_codes

    start = time.perf_counter()
    content = write(graph)
    written = time.perf_counter()
    asked = images[len(images) // 2 :]
    differing = {
        kernels: _differing(content, graph, kernels, asked)
        for kernels in ("xnnpack", "builtin")
    }
    checked = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "operators": len(graph.operators),
        "kernels": len(graph.weights),
        "float_layers": list(graph.float_layers),
        **differing,
        "codes": len(asked) * compared_codes(graph),
        "int8_megabytes": len(content) / 1e6,
        "int4_megabytes": len(write(with_container(graph, 4))) / 1e6,
        "write_seconds": written - start,
        "check_seconds": checked - written,
        "peak_gigabytes": peak / 2**20,
    }


def _differing(content, graph, kernels, images):
    """Returns how many codes of a file were not foretold."""
    from kure_tf.export.pair_runner import pair_runner

    runner = pair_runner(
        content,
        graph,
        kernels,
        file_batch_size=None,
        num_threads=2,
        batch_size=16,
    )
    return int(runner.outputs(images)[1].sum())


def _table(rows):
    lines = [
        _line(_COLUMNS.values()),
        _line("---" for _ in _COLUMNS),
        *(_line(_cell(row.get(key, "")) for key in _COLUMNS) for row in rows),
    ]
    return _ABOUT + "\n".join(lines) + "\n"


def _line(cells):
    return f"| {' | '.join(cells)} |"


def _cell(value):
    if isinstance(value, float):
        return f"{value:.2f}"
    if isinstance(value, list):
        names = ", ".join(value[:3]) + (", ..." if len(value) > 3 else "")
        return f"{len(value)}: {names}" if value else "0"
    return str(value).replace("|", "/")


if __name__ == "__main__":
    common_flags.run(main)
