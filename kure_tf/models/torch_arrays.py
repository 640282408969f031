"""Published torch weights, as the arrays that `import_npz` reads."""

import numpy as np

# Of batch normalization; convolutions and dense layers call theirs `weight`.
_NORM = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}
_OTHER = {"weight": "kernel", "bias": "bias"}


def torch_arrays(state_dict):
    """Returns the weights of a torch model under Keras's names and shapes.

    Torch itself is not needed here. With it, once, where there is a network:

        weights = torchvision.models.resnet18(weights="IMAGENET1K_V1")
        arrays = torch_arrays(weights.state_dict())
        numpy.savez("resnet18.npz", **arrays)

    and then `import_npz(resnet18(), "resnet18.npz")`, or the tools' flag
    `--weights=resnet18.npz`.

    Kernels `[out, in, height, width]` become `[height, width, in, out]`,
    depthwise ones `[out, 1, height, width]` become `[height, width, out, 1]`,
    dense ones `[out, in]` become `[in, out]`. The counters of batch
    normalization are left out. (A kernel for one channel in is taken for a
    depthwise one; on grey images that can be wrong.)

    Args:
        state_dict: `{name: array}`, NumPy arrays or torch tensors on the CPU,
            of convolutions (plain, or depthwise with one channel out per
            channel in), dense layers and batch normalization.

    Returns:
        `{name: float array}`.

    Raises:
        ValueError: If a name or a shape is of none of these layers.
    """
    arrays = {
        name: np.asarray(value)
        for name, value in state_dict.items()
        if not name.endswith(".num_batches_tracked")
    }
    converted = {}
    for name, array in arrays.items():
        layer, _, kind = name.rpartition(".")
        is_norm = f"{layer}.running_mean" in arrays
        keras_name = (_NORM if is_norm else _OTHER).get(kind)
        if keras_name is None or not layer:
            raise ValueError(
                "Expected the state of convolutions, dense layers and batch "
                f"normalization. Received: {name!r}."
            )
        if keras_name == "kernel":
            array = _kernel(name, array)
        converted[f"{layer}.{keras_name}"] = array
    return converted


def _kernel(name, array):
    if array.ndim == 2:
        return array.T
    if array.ndim == 4 and array.shape[1] == 1:
        return array.transpose(2, 3, 0, 1)
    if array.ndim == 4:
        return array.transpose(2, 3, 1, 0)
    raise ValueError(
        "Expected a kernel of a convolution over two axes or of a dense layer "
        f"for {name!r}. Received the shape {list(array.shape)}."
    )
