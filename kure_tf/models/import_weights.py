"""Weights from an `.npz` file of named arrays."""

import pathlib
import zipfile

import numpy as np

from kure_tf import compat
from kure_tf.files import existing


def import_npz(model, path):
    """Sets the weights of `model` from an `.npz` file, in place.

    Arrays are named `<layer>.<weight>`, dots within a layer's name standing
    for its underscores: `layer1.0.conv1.kernel` is the kernel of
    `layer1_0_conv1`. Shapes are those of Keras (kernels `[height, width, in,
    out]`, dense ones `[in, out]`). The kernel of a depthwise convolution may
    be called `kernel` (Keras 3) or `depthwise_kernel` (tf_keras) under both.
    Kernels, biases and batch normalization are set; weights of other kinds
    (embeddings, recurrent ones) stay as they are. `torch_arrays` gives arrays
    of this form for published torch weights.

    Args:
        model: A built model.
        path: The file. It is read without pickle.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no `.npz`, lacks an array, has one too many
            or one of another shape or kind. The model is unchanged then.
    """
    path = pathlib.Path(path)
    headers = _read(path, _headers)
    wanted = {
        f"{layer_path.replace('/', '_')}.{name}": variable
        for layer_path, layer in compat.layers_of(model)
        for name, variable in _named_weights(layer).items()
    }
    names = {_variable_name(name, wanted): name for name in headers}
    if set(names) != set(wanted):
        raise ValueError(
            f"Expected one array for each weight of {model.name!r}. In "
            f"{str(path)!r}, missing: {sorted(set(wanted) - set(names))}; not "
            f"in the model: {sorted(set(names) - set(wanted))}."
        )
    if len(names) < len(headers):
        raise ValueError(
            f"Expected one array for each weight of {model.name!r}. Two names "
            f"in {str(path)!r} mean the same weight: {sorted(headers)}."
        )
    for name, variable in wanted.items():
        shape, dtype = headers[names[name]]
        if dtype.kind not in "fiu":
            raise ValueError(
                f"Expected numbers for {name!r}. {str(path)!r} has "
                f"{dtype.name}."
            )
        if shape != tuple(variable.shape):
            raise ValueError(
                f"Expected {name!r} of shape {tuple(variable.shape)}. "
                f"{str(path)!r} has shape {shape}."
            )
    arrays = _read(path, _arrays)
    for name, variable in wanted.items():
        variable.assign(arrays[names[name]])


def _read(path, read):
    existing(path, "an .npz file of weights")
    try:
        return read(path)
    # zipfile, zlib and NumPy have a dozen kinds of errors for a broken file.
    except Exception as error:
        raise ValueError(
            f"Expected an .npz file of named arrays. Cannot read "
            f"{str(path)!r}: it is truncated or something else ({error})."
        ) from error


def _headers(path):
    """Returns `{name: (shape, dtype)}`; no array is unpacked.

    A file of a megabyte may unpack to many gigabytes.
    """
    headers = {}
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            with archive.open(member) as file:
                version = np.lib.format.read_magic(file)
                read = _READ_HEADER[version]
                shape, _, dtype = read(file)
            headers[member.removesuffix(".npy")] = shape, dtype
    return headers


def _arrays(path):
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


_READ_HEADER = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def _variable_name(array_name, wanted):
    layer, _, weight = array_name.rpartition(".")
    layer = layer.replace(".", "_")
    other = _OTHER_NAME.get(weight)
    if f"{layer}.{weight}" not in wanted and f"{layer}.{other}" in wanted:
        weight = other
    return f"{layer}.{weight}"


# The two Kerases do not agree about the kernel of a depthwise convolution.
_OTHER_NAME = {"kernel": "depthwise_kernel", "depthwise_kernel": "kernel"}


_WEIGHTS = (
    *("kernel", "depthwise_kernel", "pointwise_kernel", "bias"),
    *("gamma", "beta", "moving_mean", "moving_variance"),
)


def _named_weights(layer):
    own = {id(variable) for variable in layer.weights}
    named = {name: getattr(layer, name, None) for name in _WEIGHTS}
    return {name: v for name, v in named.items() if id(v) in own}
