"""Flags that all tools share, and how they become models and data sets.

Nothing here imports TensorFlow before `run` has parsed the flags: `--help`
answers at once, and the Keras to use is chosen before TensorFlow is loaded.
"""

import contextlib
import importlib
import json
import os
import pathlib
import sys
import zipfile

_NOT_INSTALLED = (
    f"error: kure_tf is not installed for this Python ({sys.executable}). "
    "Run: pip install -e . (or make, and then .venv/bin/python)."
)

try:
    from absl import app, flags
except ModuleNotFoundError:  # A bare Python has not even this.
    print(_NOT_INSTALLED, file=sys.stderr)
    sys.exit(2)

KERAS = flags.DEFINE_enum(
    "keras",
    None,
    ["tf_keras", "keras3"],
    "Which Keras to run on. Default: the one that saved --model if that is a "
    ".keras file, else tf_keras.",
)
MODEL = flags.DEFINE_string(
    "model",
    "small_cnn",
    "Name of a model of kure_tf.models; a saved .keras file (tf_keras: or a "
    "SavedModel folder); or package.module:function, called with num_classes "
    "and input_shape (the working directory is on the path).",
)
WEIGHTS = flags.DEFINE_string(
    "weights", None, ".npz file of named arrays to start from."
)
DATASET = flags.DEFINE_string(
    "dataset",
    "digits",
    "'digits' (bundled), 'imagenet', or the name of a TFDS set.",
)
DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Folder of TFDS data sets; default: TFDS's own."
)
IMAGE_SIZE = flags.DEFINE_integer(
    "image_size",
    None,
    "TFDS: side in pixels that images are resized to; default: as they are "
    "(imagenet: 224).",
    lower_bound=1,
)
VALIDATION_COUNT = flags.DEFINE_integer(
    "validation_count", 0, "TFDS: images held out of training to validate on."
)
CALIBRATION_COUNT = flags.DEFINE_integer(
    "calibration_count", 512, "Training images to calibrate on.", lower_bound=1
)
CALIBRATION_SEED = flags.DEFINE_integer(
    "calibration_seed", 0, "Seed of the draw of the calibration images."
)
WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder that the results and the flags go to."
)
TRACEBACK = flags.DEFINE_bool(
    "traceback", False, "Show where in the code an error comes from."
)

# What may differ between two calls that are one run.
_NOT_PART_OF_THE_RUN = (
    *("workdir", "traceback", "flagfile", "data_dir"),
    "require_pass",
)
# What undoes the mark that `workdir` has left in a new folder.
_undo = contextlib.ExitStack()


def run(main):
    """Runs a tool: parses its flags, calls `main()`, makes errors readable.

    Exit code 2 stands for what the user can mend: bad flags, missing files,
    bad values. Anything else shows its traceback and ends with 1.
    """

    def checked_main(argv):
        if len(argv) > 1:
            _fail(f"Unexpected arguments: {argv[1:]}. Flags start with '--'.")
        _import_kure_tf()
        try:
            main()
        except (ValueError, TypeError, OSError, ImportError) as error:
            _undo.close()
            if TRACEBACK.value:
                raise
            _fail(str(error))
        except KeyboardInterrupt:
            sys.exit("Interrupted. The same command continues from here.")

    app.run(checked_main, flags_parser=_parse_flags)


def _parse_flags(argv):
    try:
        return (
            app.parse_flags_with_usage(argv)
            if _wants_help(argv)
            else (flags.FLAGS(argv))
        )
    except flags.Error as error:
        _fail(f"{error}\nPass --help to see the flags.")


def _wants_help(argv):
    return any(
        arg.lstrip("-") in ("help", "helpshort", "helpfull", "helpxml", "?")
        for arg in argv[1:]
    )


def _fail(message):
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)


def _import_kure_tf():
    family, why = _choose_keras()
    os.environ["TF_USE_LEGACY_KERAS"] = "1" if family == "tf_keras" else "0"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    print(f"Keras: {family} ({why}).", file=sys.stderr)
    try:
        importlib.import_module("kure_tf")
    except ModuleNotFoundError as error:
        if error.name != "kure_tf":
            raise
        print(_NOT_INSTALLED, file=sys.stderr)
        sys.exit(2)
    sys.path.insert(0, os.getcwd())  # For --model=package.module:function.


def _choose_keras():
    saved = _keras_of_file(MODEL.value)
    if KERAS.value is None and saved is not None:
        return saved, f"which saved {MODEL.value}"
    if KERAS.value is None:
        return "tf_keras", "the default; --keras=keras3 switches"
    return KERAS.value, "as --keras says"


def _keras_of_file(path):
    # kure_tf.compat.saved_keras says the same, but loads TensorFlow, and with
    # it one of the two Kerases.
    try:
        with zipfile.ZipFile(path) as archive:
            metadata = json.loads(archive.read("metadata.json"))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        return None
    version = str(metadata.get("keras_version", ""))
    return "keras3" if version.startswith("3") else "tf_keras"


def workdir(tool):
    """Returns --workdir, made and marked with the flags of this run.

    The mark of a run that fails before it has a result is taken back, so that
    the same folder is free for the mended flags.

    Raises:
        ValueError: If there is no --workdir, or it is another run's.
    """
    from kure_tf.files import write_atomically

    if not WORKDIR.value:
        raise ValueError(
            f"tools/{tool}.py needs --workdir, the folder for its results. "
            f"For instance: --workdir=runs/{tool}."
        )
    folder = pathlib.Path(WORKDIR.value)
    path = folder / f"{tool}.cfg"
    here = effective_flags()
    if path.is_file():
        _check_same_run(path, here)
    else:
        _undo.callback(_take_back, path, _entries(folder))
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        f"# tools/{tool}.py: the flags of this run; repeat it with",
        f"# python tools/{tool}.py --flagfile={path} --workdir=...",
        *(
            f"--{name}={text}"
            for name, value in here.items()
            for text in value.split("\n")
        ),
    ]
    write_atomically(path, "\n".join(lines) + "\n")
    return folder


def _entries(folder):
    return set(folder.iterdir()) if folder.is_dir() else None


def _take_back(mark, before):
    """Removes the mark, and the folder if it is new, unless results came."""
    folder = mark.parent
    if _entries(folder) == {*(before or ()), mark}:
        mark.unlink()
        if before is None:
            folder.rmdir()


def effective_flags():
    """Returns `{flag: value as text}` of all flags of the tool that are set.

    The values of a flag that may be repeated are joined by newlines.
    """
    values = {}
    for flag in flags.FLAGS.get_key_flags_for_module(sys.argv[0]):
        if flag.name in _NOT_PART_OF_THE_RUN or flag.value is None:
            continue
        lines = flag.serialize().splitlines()
        if flag.boolean:  # --name or --noname.
            values[flag.name] = str(flag.value).lower()
        elif lines:  # None for a flag that may be repeated and was not given.
            texts = [line.partition("=")[2] for line in lines]
            values[flag.name] = "\n".join(texts)
    return dict(sorted(values.items()))


def _check_same_run(path, here):
    there = {}
    for line in path.read_text().splitlines():
        if line.startswith("--") and "=" in line:
            name, text = line.strip()[2:].split("=", 1)
            there[name] = f"{there[name]}\n{text}" if name in there else text
    names = sorted(set(here) | set(there))
    differing = [n for n in names if here.get(n) != there.get(n)]
    if differing:
        raise ValueError(
            f"Expected the workdir {str(path.parent)!r} to be new or of this "
            "run. It holds another run: there "
            + ", ".join(f"--{n}={there.get(n)}" for n in differing)
            + "; here "
            + ", ".join(f"--{n}={here.get(n)}" for n in differing)
            + ". Choose another --workdir, repeat the flags of that run "
            f"(--flagfile={path}), or delete the folder."
        )


def load_dataset():
    """Returns the data set that the flags name."""
    from kure_tf import data

    options = {
        "calibration_count": CALIBRATION_COUNT.value,
        "calibration_seed": CALIBRATION_SEED.value,
    }
    if DATASET.value != "digits":
        options["data_dir"] = DATA_DIR.value
        options["validation_count"] = VALIDATION_COUNT.value
        if IMAGE_SIZE.value is not None:
            options["image_size"] = IMAGE_SIZE.value
    print(f"Data set: {DATASET.value}.", file=sys.stderr)
    return data.get(DATASET.value, **options)


def load_model(dataset):
    """Returns the model that the flags name, with the weights they name."""
    from kure_tf import models

    model = _model(dataset)
    if WEIGHTS.value:
        models.import_npz(model, WEIGHTS.value)
    return model


def load_saved_model(path):
    """Returns the saved Keras model at `path`.

    One that tensorflow-model-optimization hosts is loaded in its scope.
    """
    from kure_tf import compat

    if not _is_hosted_by_tfmot(path):
        return compat.load_model(path)
    from kure_tf.qat.tfmot import quantize_scope

    with quantize_scope():
        return compat.load_model(path)


def _is_hosted_by_tfmot(path):
    try:
        with zipfile.ZipFile(path) as archive:
            return b"HostWrapper" in archive.read("config.json")
    except (OSError, KeyError, zipfile.BadZipFile):
        return False


def _model(dataset):
    from kure_tf import models

    name = MODEL.value
    shape = {
        "num_classes": dataset.num_classes,
        "input_shape": dataset.input_shape,
    }
    if name.endswith((".keras", ".h5")) or os.path.exists(name):
        return load_saved_model(name)
    if ":" in name:
        return _user_function(name)(**shape)
    return models.get(name)(**shape)


def _user_function(name):
    module, _, function = name.partition(":")
    try:
        return getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise ValueError(
            "Expected --model=package.module:function, importable from the "
            f"working directory. Received: {name!r} ({error})."
        ) from error


def training_record(model):
    """Returns what tools/train.py noted beside the model, if it is of it."""
    from kure_tf.sweeps import array_hash

    path = pathlib.Path(MODEL.value).parent / "training.json"
    if not path.is_file():
        return None
    record = json.loads(path.read_text())
    of_model = record.get("checkpoint_hash") == array_hash(model)
    return record if of_model else None


def save_model(model, path):
    """Saves a Keras model: the old file or the new one, never half."""
    path = pathlib.Path(path)
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        model.save(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path, content):
    """Writes JSON atomically."""
    from kure_tf.files import write_atomically

    write_atomically(path, json.dumps(content, indent=1) + "\n")
