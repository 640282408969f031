"""Python code within saved models: found without running it."""

import json
import pathlib

import h5py
from tensorflow.core.protobuf import saved_model_pb2

# In the older formats Keras runs it, whatever `safe_mode` says.
_MARK = "lambda"


def code_in(path) -> list[str]:
    """Returns the names of the layers whose Python code a file brings along.

    Code is what Keras serializes of a lambda: its bytecode. What is told by
    a name (a function, a class) is no code. The format is told by content.

    Args:
        path: An HDF5 file or the folder of a SavedModel, whatever its name.
            Any other file gives []: Keras' own safe mode sees to `.keras`.

    Raises:
        OSError, ValueError: If the file is damaged.
    """
    path = pathlib.Path(path)
    return sorted(
        name for config in _configs(path) for name in _names(config, "model")
    )


def _configs(path):
    if path.is_dir():
        return _configs_of_saved_model(path)
    return _configs_of_hdf5(path) if h5py.is_hdf5(path) else ()


def _configs_of_hdf5(path):
    with h5py.File(path, "r") as file:
        return [json.loads(file.attrs.get("model_config", "{}"))]


def _configs_of_saved_model(path):
    graph = saved_model_pb2.SavedModel()
    graph.ParseFromString((path / "saved_model.pb").read_bytes())
    nodes = graph.meta_graphs[0].object_graph_def.nodes
    # Before TensorFlow 2.5 the configurations stood in the graph itself.
    texts = [node.user_object.metadata for node in nodes]
    metadata = path / "keras_metadata.pb"
    if metadata.exists():
        from tf_keras.protobuf import saved_metadata_pb2

        saved = saved_metadata_pb2.SavedMetadata()
        saved.ParseFromString(metadata.read_bytes())
        texts += [node.metadata for node in saved.nodes]
    return [json.loads(text) for text in texts if text.startswith("{")]


def _names(value, name):
    """Yields the name of each layer that holds code, as deep as it lies."""
    if isinstance(value, list):
        for item in value:
            yield from _names(item, name)
    if not isinstance(value, dict):
        return
    name = value.get("name", name)
    marks = [v for k, v in value.items() if k.endswith("_type")]
    if _MARK in marks or value.get("class_name") == "__lambda__":
        yield name
    else:
        for item in value.values():
            yield from _names(item, name)
