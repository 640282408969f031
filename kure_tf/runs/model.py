"""The model of a run: found by its name, saved and loaded again."""

import pathlib
import zipfile

from kure_tf import compat, extras, models
from kure_tf.data.ports import of_several
from kure_tf.files import read_json, replacing
from kure_tf.runs.user_function import user_function


def load_model(name, dataset, weights=None, safe_mode=True):
    """Returns the model that a text names.

    Args:
        name: Name of a model of `kure_tf.models`; a saved model, see
            `load_saved_model`; or "package.module:function", a function of
            `num_classes` (None where labels are no classes) and `input_shape`
            (of several inputs, as `Dataset.input_shape`) that can be imported.
        dataset: The `Dataset` that says how many classes and which inputs.
        weights: `.npz` file of named arrays to start from, or None.
        safe_mode: As for `compat.load_model`, where `name` is a saved model.

    Raises:
        OSError: If a file is missing.
        TypeError, ValueError: If there is no such model or function, if it
            returns no model, or if a file is damaged, foreign or of another
            model.
    """
    shape = {
        "num_classes": dataset.num_classes,
        "input_shape": dataset.input_shape,
    }
    if not name:
        raise ValueError(
            "Expected the name of a model of kure_tf.models, a saved model, or "
            "package.module:function. Received an empty one."
        )
    if name.endswith((".keras", ".h5")) or pathlib.Path(name).exists():
        model = load_saved_model(name, safe_mode)
    elif ":" in name:
        model = user_function(name, **shape)(**shape)
        compat.check_graph_model(model)
    elif dataset.num_classes is None:
        raise ValueError(
            "Expected a saved model or package.module:function for labels that "
            f"are no classes. Received: {name!r}, and {dataset.name!r} has "
            "floating-point targets."
        )
    elif of_several(dataset.input_shape):
        raise ValueError(
            "Expected a saved model or package.module:function for several "
            f"inputs. Received: {name!r}, and {dataset.name!r} has inputs of "
            f"the shapes {dataset.input_shape}."
        )
    else:
        model = models.get(name)(**shape)
    if weights:
        models.import_npz(model, weights)
    return model


def load_saved_model(path, safe_mode=True):
    """Returns the saved Keras model at `path`.

    One that tensorflow-model-optimization hosts is loaded in its scope.

    Args:
        path, safe_mode: As for `compat.load_model`, which says what is raised.
    """
    if not _is_hosted_by_tfmot(path):
        return compat.load_model(path, safe_mode=safe_mode)
    with extras.needed("A model of the engine 'tfmot'"):
        from kure_tf.qat.tfmot import quantize_scope

    with quantize_scope():
        return compat.load_model(path, safe_mode=safe_mode)


def save_model(model, path):
    """Saves a Keras model: the old file or the new one, never half."""
    with replacing(path) as temporary:
        model.save(temporary)


def training_record(path, model):
    """Returns what `train` noted beside a saved model, if it is of it.

    Args:
        path: Where the model was saved, or any other name of a model.
        model: The model; what was noted of other weights is not returned.

    Returns:
        The content of training.json, or None.

    Raises:
        ValueError: If there is one that is damaged.
    """
    path = pathlib.Path(path).parent / "training.json"
    if not path.is_file():
        return None
    record = read_json(path)
    of_model = record.get("checkpoint_hash") == compat.array_hash(model)
    return record if of_model else None


def _is_hosted_by_tfmot(path):
    try:
        with zipfile.ZipFile(path) as archive:
            return b"HostWrapper" in archive.read("config.json")
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        return False
