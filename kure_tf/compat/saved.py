"""Saved models."""

import json
import pathlib
import zipfile

from kure_tf.compat.active import (
    IS_KERAS_3,
    KERAS_NAME,
    KERAS_VERSION,
    keras,
    knowing_all_layers,
)
from kure_tf.compat.saved_code import code_in

_WAY_OUT = (
    "If you trust whoever made it, safe_mode=False (tools: --allow_code) runs "
    "that code"
)


def load_model(path, custom_objects=None, safe_mode=True):
    """Loads a saved Keras model of the active Keras.

    Args:
        path: A `.keras` or `.h5` file, or (tf_keras only) a SavedModel folder.
        custom_objects: As for `keras.models.load_model`.
        safe_mode: Whether to refuse a file that brings Python code along, in
            whichever of the formats. With False, loading it runs the code.

    Raises:
        FileNotFoundError: If there is nothing at `path`.
        TypeError: If the file was saved by the other Keras.
        ValueError: If the file is truncated, foreign, of a format that the
            active Keras does not read, or refused in safe mode.
    """
    path = pathlib.Path(path)
    if not path.exists():
        raise FileNotFoundError(f"No saved model at {str(path)!r}.")
    family = saved_keras(path)
    if family is not None and family != KERAS_NAME:
        wanted = "0" if family == "keras" else "1"
        raise TypeError(
            f"{str(path)!r} was saved by {family}, but `tf.keras` is "
            f"{KERAS_NAME} in this process. Set the environment variable "
            f"TF_USE_LEGACY_KERAS={wanted} before TensorFlow is imported "
            f"(tools: --keras={'keras3' if wanted == '0' else 'tf_keras'})."
        )
    if path.is_dir() and IS_KERAS_3:
        raise ValueError(
            "Keras 3 does not load SavedModels. Received the folder "
            f"{str(path)!r}. Save the model as a '.keras' file, or use "
            "tf_keras."
        )
    try:
        _metadata(path)
        layers = code_in(path) if safe_mode else []
        if not layers:
            with knowing_all_layers(keras):
                return keras.models.load_model(
                    path, custom_objects=custom_objects, safe_mode=safe_mode
                )
    except Exception as error:
        raise ValueError(
            f"Cannot load {str(path)!r} as a model of {KERAS_NAME} "
            f"{KERAS_VERSION}: the file is truncated, not a saved model, "
            "needs classes that are not registered, or has Python code in it "
            f"({_WAY_OUT}). Keras says: {error}"
        ) from error
    raise ValueError(
        "Expected a saved model without Python code of its own. Received "
        f"{str(path)!r}, in which these layers have some: {layers}. {_WAY_OUT}."
    )


def saved_keras(path) -> str | None:
    """Returns which Keras wrote a `.keras` file: "keras", "tf_keras" or None.

    None means that the file does not say (`.h5`, SavedModel, a foreign file).
    """
    try:
        version = str(_metadata(pathlib.Path(path)).get("keras_version", ""))
    except ValueError:
        return None
    if not version:
        return None
    return "keras" if version.startswith("3") else "tf_keras"


def _metadata(path):
    """Returns what a `.keras` file says of itself; {} of another format.

    Raises:
        ValueError: If the file says nothing, or not what Keras writes there.
    """
    if not path.is_file() or not zipfile.is_zipfile(path):
        return {}
    try:
        with zipfile.ZipFile(path) as archive:
            metadata = json.loads(archive.read("metadata.json"))
    except (KeyError, ValueError, RecursionError, zipfile.BadZipFile) as error:
        raise ValueError(f"its metadata is damaged: {error}") from error
    if not isinstance(metadata, dict):
        raise ValueError(f"its metadata is no JSON object: {metadata!r:.60}")
    return metadata
