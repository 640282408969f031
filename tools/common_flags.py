"""Flags that all tools share, and how a tool is run.

Nothing here imports TensorFlow before `run` has parsed the flags: `--help`
answers at once, and the Keras to use is chosen before TensorFlow is loaded.
"""

import contextlib
import importlib.util
import json
import os
import pathlib
import re
import sys
import zipfile

import errors
import flagfiles

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
    ".keras file, else tf_keras where it is installed.",
)
MODEL = flags.DEFINE_string(
    "model",
    "small_cnn",
    "Name of a model of kure_tf.models; a saved .keras file (tf_keras: or a "
    "SavedModel folder); or package.module:function, called with num_classes "
    "and input_shape. The module is imported, and with it what it imports: "
    "for this spelling alone the working directory is on the path, last.",
)
ALLOW_CODE = flags.DEFINE_boolean(
    "allow_code",
    False,
    "Whether a saved --model may bring Python code along (Lambda layers), "
    "which is then run. Only for files whose maker you trust.",
)
WEIGHTS = flags.DEFINE_string(
    "weights", None, ".npz file of named arrays to start from."
)
DATASET = flags.DEFINE_string(
    "dataset",
    "digits",
    "'digits' (bundled); 'imagenet'; the name of a TFDS set; folder:PATH, with "
    "a sub-folder of images for each class, below train/, val/ and test/ where "
    "they are; or package.module:function, which returns (train, validation, "
    "test), each (inputs, labels) or a tf.data.Dataset of such pairs. The "
    "module is found as that of --model.",
)
DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Folder of TFDS data sets; default: TFDS's own."
)
IMAGE_SIZE = flags.DEFINE_integer(
    "image_size",
    None,
    "Side in pixels that images of a folder or a TFDS set are resized to; "
    "default: as they are (imagenet: 224).",
    lower_bound=1,
)
CALIBRATION_COUNT = flags.DEFINE_integer(
    "calibration_count",
    512,
    "Training examples to calibrate on.",
    lower_bound=1,
)
CALIBRATION_SEED = flags.DEFINE_integer(
    "calibration_seed",
    0,
    "Seed of the draw of the calibration examples.",
    lower_bound=0,
)
WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder that the results and the flags go to."
)

# What may differ between two calls that are one run.
_NOT_PART_OF_THE_RUN = (
    *("workdir", "flagfile", "data_dir", "require_pass", "allow_code"),
)
# Flags that name files to read: these are the same if their content is.
_FILES = ("model", "weights", "step_sizes", "setting")
# What nearly every call has.
_FIRST = ("workdir", "model", "dataset")
# Flags that may name a function of the user's.
_OF_THE_USER = ("model", "dataset", "metric")
# No "mnist:3.0.1", which is a version of a TFDS set.
_FUNCTION = re.compile(r"[^\W\d][\w.]*:[^\W\d]\w*")
# Flags that there were: what to write in their place.
_GONE = {"traceback": "Bugs show their traceback by themselves: leave it out."}


def gone(**instead):
    """Notes flags that there were, with what to write in their place.

    Args:
        **instead: `{flag: sentence}`; "VALUE" stands for the flag's value.
    """
    _GONE.update(instead)


def run(main):
    """Runs a tool: parses its flags, calls `main()`, makes errors readable.

    Exit code 2 stands for what the user can mend: bad flags, missing files,
    bad values. Anything else shows its traceback and ends with 1.
    """

    def checked_main(argv):
        _check(argv)
        try:
            _import_kure_tf()
            main()
        except KeyboardInterrupt:
            sys.exit("Interrupted. The same command continues from here.")
        except Exception as error:
            if not errors.is_for_the_user(error):
                raise
            _fail(str(error))

    app.run(checked_main, flags_parser=_parse_flags)


def _parse_flags(argv):
    if any(arg.lstrip("-") in ("help", "helpshort", "?") for arg in argv[1:]):
        _print_help()
        sys.exit(0)
    try:
        return flags.FLAGS(argv)
    except SystemExit:  # absl's other ways to help end with 1.
        sys.exit(0)
    except flags.UnrecognizedFlagError as error:
        if error.flagname in _GONE:
            value = error.flagvalue.partition("=")[2] or "..."
            instead = _GONE[error.flagname].replace("VALUE", value)
            _fail(f"There is no --{error.flagname}. {instead}")
        _fail(f"{error}\nPass --help to see the flags.")
    except flags.Error as error:
        found = str(error).removeprefix("ERROR:: ")  # Of absl, for files.
        _fail(f"{found}\nPass --help to see the flags.")


def _print_help():
    """Prints what the tool does and its flags, its own ones first."""
    own = flags.FLAGS.flags_by_module_dict().get(_main_module(), [])
    names = {*_FIRST, *(flag.name for flag in own)}
    known = {flag.name: flag for flag in _key_flags()}
    groups = {
        "First of all": [known[name] for name in _FIRST if name in known],
        "Its own flags": own,
        "Shared flags": [known[name] for name in known if name not in names],
    }
    print(sys.modules["__main__"].__doc__)
    for title, group in groups.items():
        print(f"{title}:\n" if group else "", end="")
        for flag in group:
            no = "[no]" if flag.boolean else ""
            default = f" (default: {flag.default_as_str})"
            choices = f" ({flag.parser.syntactic_help})"
            print(
                flags.text_wrap(
                    f"--{no}{flag.name}: {flag.help}"
                    f"{choices if flag.parser.syntactic_help else ''}"
                    f"{default if flag.default_as_str else ''}",
                    indent="      ",
                    firstline_indent="  ",
                )
            )
        print()


def _main_module():
    return sys.argv[0]


def _key_flags():
    return flags.FLAGS.get_key_flags_for_module(_main_module())


def _check(argv):
    """Ends the tool if it can be told before TensorFlow is loaded."""
    tool = _tool()
    if len(argv) > 1:
        _fail(f"Unexpected arguments: {argv[1:]}. Flags start with '--'.")
    if not WORKDIR.value:
        _fail(
            f"{tool} needs --workdir, the folder for its results. "
            f"For instance: --workdir=runs/{tool}."
        )
    for name, path in _named_files():
        if os.path.exists(path):
            continue
        if name != "model" or path.endswith((".keras", ".h5")):
            said = flagfiles.origin(name, path, sys.argv)
            _fail(f"No file {path!r}, which --{name} names.{said}")


def _named_files():
    """Yields the name of a flag and a path that it names."""
    for flag in _key_flags():
        if flag.name in _FILES and flag.value:
            several = isinstance(flag.value, list)
            for path in flag.value if several else [flag.value]:
                yield flag.name, path


def _tool():
    return pathlib.Path(sys.argv[0]).stem


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
    if any(map(_names_function, _key_flags())):
        sys.path.append(os.getcwd())


def _names_function(flag):
    return (
        flag.name in _OF_THE_USER
        and _FUNCTION.fullmatch(flag.value or "") is not None
        and not flag.value.startswith("folder:")
    )


def _choose_keras():
    saved = _keras_of_file(MODEL.value)
    if KERAS.value is None and saved is not None:
        return saved, f"which saved {MODEL.value}"
    if KERAS.value is None:
        if importlib.util.find_spec("tf_keras") is None:
            return "keras3", "tf_keras is not installed"
        return "tf_keras", "the default; --keras=keras3 switches"
    return KERAS.value, "as --keras says"


def _keras_of_file(path):
    # kure_tf.compat.saved_keras says the same, but loads TensorFlow, and with
    # it one of the two Kerases.
    try:
        with zipfile.ZipFile(path) as archive:
            metadata = json.loads(archive.read("metadata.json"))
        version = str(metadata.get("keras_version", ""))
    except (
        *(OSError, KeyError, ValueError, AttributeError, RecursionError),
        zipfile.BadZipFile,
    ):
        return None
    return "keras3" if version.startswith("3") else "tf_keras"


def workdir(opens=True):
    """Opens --workdir as the folder of this run; see `runs.run_folder`.

    Args:
        opens: Whether this process does, and not another one of the same run.
    """
    from kure_tf import runs

    if not opens:
        return contextlib.nullcontext(pathlib.Path(WORKDIR.value))
    return runs.run_folder(
        WORKDIR.value, _tool(), effective_flags(), files=_FILES
    )


def effective_flags():
    """Returns `{flag: value as text}` of all flags of the tool that are set.

    The values of a flag that may be repeated are joined by newlines.
    """
    values = {}
    for flag in _key_flags():
        if flag.name in _NOT_PART_OF_THE_RUN or flag.value is None:
            continue
        if flag.boolean:  # --name or --noname.
            values[flag.name] = str(flag.value).lower()
        elif isinstance(flag, flags.MultiFlag):
            if flag.value:
                lines = [_one_line(flag, str(text)) for text in flag.value]
                values[flag.name] = "\n".join(lines)
        else:
            text = flag.serialize().partition("=")[2]
            values[flag.name] = _one_line(flag, text)
    return dict(sorted(values.items()))


def _one_line(flag, text):
    if len(text.splitlines()) > 1:
        raise ValueError(
            f"Expected a value of --{flag.name} in one line, since the "
            f"flagfile in the workdir keeps it in one. Received: {text!r}."
        )
    return text


def load_dataset(**streamed):
    """Returns the data set that the flags name.

    Args:
        **streamed: Further options of data sets of TFDS.
    """
    from kure_tf import runs

    options = {
        "calibration_count": CALIBRATION_COUNT.value,
        "calibration_seed": CALIBRATION_SEED.value,
    }
    name = DATASET.value
    if IMAGE_SIZE.value is not None:
        if name == "digits":
            raise ValueError(
                "Expected --image_size with a folder or a TFDS data set only. "
                "The images of --dataset=digits have 8 x 8 pixels: leave it "
                "out."
            )
        options["image_size"] = IMAGE_SIZE.value
    if not (
        name == "digits"
        or name.startswith("folder:")
        or _names_function(flags.FLAGS["dataset"])
    ):
        options.update(streamed, data_dir=DATA_DIR.value)
    elif any(streamed.values()):
        raise ValueError(
            f"Expected {' and '.join(f'--{name}' for name in streamed)} with "
            f"a TFDS data set only. --dataset={name} has splits of its own: "
            "leave it out."
        )
    print(f"Data set: {DATASET.value}.", file=sys.stderr)
    return runs.load_dataset(DATASET.value, **options)


def load_model(dataset):
    """Returns the model that the flags name, with the weights they name."""
    from kure_tf import runs

    return runs.load_model(
        MODEL.value, dataset, WEIGHTS.value, safe_mode=not ALLOW_CODE.value
    )


def training_record(model):
    """Returns what tools/train.py noted beside the model, if it is of it."""
    from kure_tf import runs

    return runs.training_record(MODEL.value, model)


def print_report(report, page):
    """Prints a report and where its page is."""
    from kure_tf.pages import to_markdown

    print(to_markdown(report))
    print(f"Page: {page.resolve().as_uri()}")
