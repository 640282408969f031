"""Measures which architectures become files of exactly their codes.

python tools/exact_families.py --workdir=runs/families \\
    --models=ResNet50:64,ConvNeXtTiny:64,resnet20:32:tf_keras

Weights are random, batch-norm statistics those of the images, which are random
too: the question is whether a file answers what was foretold, not what is in
the pictures. Each model has a process of its own, whose peak of memory is
given; a run that was interrupted goes on with the next model.
"""

import pathlib
import time

import architectures
import common_flags
from absl import flags

_POINTS = flags.DEFINE_list("points", ["8/8", "4/8"], "Operating points.")
flags.adopt_module_key_flags(architectures)

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
    "peak_gibibytes": "Peak of the process, GiB",
    "refused": "Refused",
}


def main():
    architectures.measure(
        "families",
        _ABOUT,
        _COLUMNS,
        _rows,
        _POINTS.value,
        architectures.IMAGES.value,
    )


def _rows(text, points, count):
    """Returns a dictionary for each operating point of one model."""
    import numpy as np

    from kure_tf import fake_quantize_model
    from kure_tf.compat import KERAS_NAME, batch_norms_of
    from kure_tf.ptq import calibrate, reestimate_batch_norm

    name, size, *_ = text.split(":")
    model = architectures.model_of(text)
    shape = 2 * count, *model.inputs[0].shape[1:]  # Some have their own.
    images = np.random.default_rng(0).uniform(0, 255, shape)
    images = images.astype(np.float32)
    if dict(batch_norms_of(model)):
        reestimate_batch_norm(model, [images[:count]])
    model = fake_quantize_model(model, "tflite")
    calibration = calibrate(model, [images[:count]], progress=False)
    common = {
        "model": pathlib.Path(name).name,
        "keras": KERAS_NAME,
        "input": size,
    }
    return [
        {**common, "point": point, **_row(model, calibration, point, images)}
        for point in points
    ]


def _row(model, calibration, point, images):
    from kure_tf import set_operating_point, set_step_sizes
    from kure_tf.ptq import minmax
    from kure_tf.settings import OperatingPoint

    point = OperatingPoint.parse(point)
    set_step_sizes(model, minmax(calibration, point))
    set_operating_point(model, point)
    try:
        graph, lowered = _lowered(model, [images[: len(images) // 2]])
        return {"lower_seconds": lowered, **_checked(graph, images)}
    except ValueError as error:
        return {"refused": str(error)}


def _lowered(model, calibration):
    """Returns the graph, in integers alone if it can be, and the seconds."""
    from kure_tf.export import to_integer_graph

    start = time.perf_counter()
    try:
        graph = to_integer_graph(model, calibration)
    except ValueError:
        start = time.perf_counter()
        graph = to_integer_graph(model, calibration, allow_float=True)
    return graph, time.perf_counter() - start


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
        "peak_gibibytes": peak / 2**20,
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


if __name__ == "__main__":
    common_flags.run(main)
