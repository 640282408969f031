"""What tools share that measure one architecture after the other."""

import multiprocessing
import os

import common_flags
from absl import flags

MODELS = flags.DEFINE_list(
    "models",
    ["resnet20:32"],
    "'name:input' or 'name:input:tf_keras': a function of keras.applications, "
    "of kure_tf.models, or module.function of the number of classes and the "
    "input's shape; the input's pixels, or its sizes such as 49x10x1. Or a "
    "saved model's path in place of the name.",
)
IMAGES = flags.DEFINE_integer(
    "images", 16, "Images to calibrate with, and others to ask.", lower_bound=1
)
flags.adopt_module_key_flags(common_flags)
flags.register_validator(
    "model",
    lambda name: name == common_flags.MODEL.default,
    message="Expected --models, one or more, each with its input's size, such "
    "as --models=resnet20:32. There is no --model here.",
)

_CLASSES = 100


def measure(name, about, columns, rows_of, *arguments):
    """Measures each of --models, and writes `NAME.json` and `NAME.md`.

    Each has a process of its own, with its Keras; a run that was interrupted
    goes on with the next model.

    Args:
        name: What the two files are called.
        about: Text above the table.
        columns: `{key of a row: its title}`.
        rows_of: Function `(text, *arguments) -> rows` of one of --models. A
            spawned process has to find it: it is one of a module.
        *arguments: Whatever else it takes.
    """
    from kure_tf.files import read_json, write_atomically, write_json

    with common_flags.workdir() as folder:
        path = folder / f"{name}.json"
        found = read_json(path) if path.exists() else {}
        for text in MODELS.value:
            if text not in found:
                found[text] = _in_a_process(rows_of, text, *arguments)
            write_json(path, found)
            rows = [row for rows in found.values() for row in rows]
            write_atomically(folder / f"{name}.md", _page(about, columns, rows))
        print(folder / f"{name}.md")


def _in_a_process(function, text, *arguments):
    legacy = text.endswith(":tf_keras")
    os.environ["TF_USE_LEGACY_KERAS"] = "1" if legacy else "0"
    # Else glibc keeps what one thread has freed from all others, and the peak
    # depends on which threads did what.
    os.environ.setdefault("MALLOC_ARENA_MAX", "1")
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(function, (text, *arguments))


def model_of(text):
    """Returns the model of one of --models.

    One that is not saved has random weights, and logits where its function
    can be asked for them.
    """
    import importlib

    from kure_tf import models
    from kure_tf.compat import keras, load_model

    name, size, *_ = text.split(":")
    if os.path.exists(name):
        return load_model(name)
    shape = tuple(int(one) for one in size.split("x"))
    shape = (*shape, *shape, 3) if len(shape) == 1 else shape
    keras.utils.set_random_seed(0)
    if "." in name:
        module, _, function = name.rpartition(".")
        make = getattr(importlib.import_module(module), function)
        return make(_CLASSES, shape)
    if name in models.__all__:
        return models.get(name)(num_classes=_CLASSES, input_shape=shape)
    return getattr(keras.applications, name)(
        weights=None,
        classes=_CLASSES,
        input_shape=shape,
        classifier_activation=None,
    )


def _page(about, columns, rows):
    lines = [
        _line(columns.values()),
        _line("---" for _ in columns),
        *(_line(_cell(row.get(key, "")) for key in columns) for row in rows),
    ]
    return about + "\n".join(lines) + "\n"


def _line(cells):
    return f"| {' | '.join(cells)} |"


def _cell(value):
    if isinstance(value, float):
        return f"{value:.2f}" if abs(value) > 0.005 else f"{value:.1g}"
    if isinstance(value, list):
        names = ", ".join(value[:3]) + (", ..." if len(value) > 3 else "")
        return f"{len(value)}: {names}" if value else "0"
    return "" if value is None else str(value).replace("|", "/")
