"""What tools share that measure one architecture after the other."""

import concurrent.futures
import multiprocessing
import os
import re
import threading

import common_flags
import errors
from absl import flags

_FORM = re.compile(r"[^:]+:[1-9]\d*(x[1-9]\d*)*(:tf_keras)?")

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

flags.register_validator(
    "models",
    lambda models: all(map(_FORM.fullmatch, models)),
    message="Expected --models as name:input or name:input:tf_keras, with "
    "commas between them, such as resnet20:32 or kws.h5:49x10x1:tf_keras.",
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
    with concurrent.futures.ProcessPoolExecutor(
        1, context, initializer=_end_with_parent
    ) as pool:
        try:
            asked = pool.submit(_answer, function, text, *arguments)
            rows, refusal = asked.result()
        except concurrent.futures.BrokenExecutor as error:
            raise ChildProcessError(
                f"The process that measured {text!r} was ended from outside: "
                "by the system, if there was no memory left. What was measured "
                "before is kept; the same command tries this model again. Free "
                "memory, or give smaller models."
            ) from error
        except BaseException:  # Such as Ctrl-C: else it would be waited for.
            for process in multiprocessing.active_children():
                process.terminate()
            raise
    if refusal:
        raise ValueError(refusal)
    return rows


def _end_with_parent():
    """Ends this process when its parent has ended, were it by a kill."""

    def wait():
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _answer(function, *arguments):
    """Returns what a function does, and what it says to the user if it fails.

    Only here an error has the traceback that tells for whom it is.
    """
    try:
        return function(*arguments), None
    except Exception as error:
        if not errors.is_for_the_user(error):
            raise
        return None, str(error)


def model_of(text):
    """Returns the model of one of --models.

    One that is not saved has random weights, and logits where its function
    can be asked for them.

    Raises:
        ValueError: If there is no such file or function.
    """
    from kure_tf import models
    from kure_tf.compat import keras, load_model

    name, size, *_ = text.split(":")
    if os.path.exists(name):
        return load_model(name)
    shape = tuple(int(one) for one in size.split("x"))
    shape = (*shape, *shape, 3) if len(shape) == 1 else shape
    keras.utils.set_random_seed(0)
    if name in models.__all__:
        return models.get(name)(num_classes=_CLASSES, input_shape=shape)
    if "." in name:
        return _function(name)(_CLASSES, shape)
    make = getattr(keras.applications, name, None)
    if not callable(make):
        raise ValueError(_unknown(name))
    return make(
        weights=None,
        classes=_CLASSES,
        input_shape=shape,
        classifier_activation=None,
    )


def _function(name):
    from kure_tf.runs.user_function import user_function

    module, _, function = name.rpartition(".")
    try:
        return user_function(f"{module}:{function}", "classes", "input_shape")
    except ValueError as error:
        raise ValueError(_unknown(name, error.__cause__)) from error


def _unknown(name, why="no such file or function"):
    return (
        "Expected --models of saved models, functions of keras.applications "
        "(MobileNetV2, ...) or of kure_tf.models (resnet20, ...), or "
        "module.function, which takes the number of classes and the input's "
        f"shape. There is no {name!r}: {why}."
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
