"""What a report says of a model and of the software that measured it."""

import platform
from importlib import metadata

import numpy as np

from kure_tf import compat
from kure_tf.evaluation import loss_of
from kure_tf.fake_quantized import kernels_in
from kure_tf.ops.kurtosis import kurtosis
from kure_tf.regularizers import KurtosisRegularizer
from kure_tf.sweeps.machine import machine_facts
from kure_tf.version import __version__

_PACKAGES = ("tensorflow", "keras", "tf_keras", "numpy", "ai-edge-litert")


def versions() -> dict:
    """Returns the versions of kure_tf, Python and what it computes with."""
    found = {"kure_tf": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    found["active Keras"] = f"{compat.KERAS_NAME} {compat.KERAS_VERSION}"
    return found


def model_facts(model) -> dict:
    """Returns what reports say of a model, the software and the machine."""
    return {
        "model": model.name,
        "checkpoint_hash": compat.array_hash(model),
        "versions": versions(),
        **machine_facts(),
    }


def measurement_facts(model, dataset, batch_norm=None, **calibration) -> dict:
    """Returns what reports say of model, data and software.

    Args:
        model, dataset: Those measured.
        batch_norm: What `batch_norm_facts` returned.
        **calibration: What to say beyond number and source of the images.
    """
    facts = {
        **model_facts(model),
        "data_set": dataset.name,
        "split": dataset.test.name,
        "images": dataset.test.count,
        "loss_name": loss_of(model, dataset.test.some_labels()).name,
        "calibration": {
            "images": dataset.calibration.count,
            "source": f"{dataset.calibration.name} (training images)",
            **calibration,
        },
    }
    return {**facts, "batch_norm": batch_norm} if batch_norm else facts


def weight_kurtosis(model) -> dict:
    """Returns `{kernel path: kurtosis}` of a built model, in graph order."""
    return {path: float(kurtosis(value)) for path, value in _kernels(model)}


def kurtosis_facts(model) -> dict:
    """Returns what a `Run` says of the kurtosis of a model as it came."""
    regularized = {
        f"{path}/{kernel.name}"
        for path, layer in compat.layers_of(model)
        for kernel in compat.kernels_of(layer)
        if kernel.regularizer and _is_kure(kernel.regularizer_in(layer))
    }
    return {
        path: {
            "before": None,
            "after": value,
            "regularized": path in regularized,
        }
        for path, value in weight_kurtosis(model).items()
    }


def _is_kure(regularizer):
    parts = getattr(regularizer, "regularizers", (regularizer,))
    return any(isinstance(part, KurtosisRegularizer) for part in parts)


def weight_histograms(model, paths, *, bins=101) -> dict:
    """Returns `{kernel path: {"edges", "counts"}}` for two or so kernels."""
    histograms = {}
    for path, value in _kernels(model):
        if path in paths:
            counts, edges = np.histogram(value, bins)
            histograms[path] = {
                "edges": [float(f"{edge:.6g}") for edge in edges],
                "counts": counts.tolist(),
            }
    return histograms


def _kernels(model):
    for path, variable in kernels_in(model):
        yield path, compat.to_numpy(variable).astype(np.float32)
