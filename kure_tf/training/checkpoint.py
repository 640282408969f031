"""The file that lets a killed training run continue."""

import dataclasses
import json
import re

import numpy as np
import tensorflow as tf

from kure_tf import compat
from kure_tf.settings.array_file import read_arrays, write_arrays
from kure_tf.training.random_state import random_variables

_FORMAT = "kure_tf training checkpoint 2"


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """Everything that training needs to go on after an epoch.

    Attributes:
        identity: What the run is: plain values, see `run_identity`.
        progress: How far it is: plain values.
        arrays: Values of variables, by group and in order.
    """

    identity: dict
    progress: dict
    arrays: dict[str, list[np.ndarray]]

    def save(self, path):
        """Writes the checkpoint to `path`, in one step."""
        content = {
            "identity": self.identity,
            "progress": json.dumps(self.progress),  # A loss may be NaN.
            "arrays": {
                name: [np.asarray(array) for array in group]
                for name, group in self.arrays.items()
            },
        }
        write_arrays(path, _FORMAT, content, compressed=False)

    @classmethod
    def load(cls, path) -> "Checkpoint":
        """Reads the checkpoint at `path`.

        Raises:
            FileNotFoundError: If there is none.
            ValueError: If the file is truncated or something else.
        """
        try:
            content = read_arrays(path, _FORMAT)
        except ValueError as error:
            raise ValueError(
                f"{str(path)!r} is truncated or foreign. Delete it to start "
                f"over, or give another workdir. {error}"
            ) from error
        progress = json.loads(content["progress"])
        return cls(content["identity"], progress, content["arrays"])

    def check_identity(self, identity, path):
        """Raises a ValueError unless the checkpoint is of this very run."""
        there, here = self.identity, json.loads(json.dumps(identity))
        if there == here:
            return
        differing = "; ".join(_differences("", there, here))
        raise ValueError(
            f"The workdir of another run cannot be continued: {str(path)!r} "
            f"belongs to the recipe {there.get('recipe')}. This run's recipe "
            f"is {here['recipe']}. What differs: {differing}. Give another "
            "workdir, or delete the file to start over."
        )


def run_identity(model, dataset, recipe, teacher=None) -> dict:
    """Returns what a run is, as plain values: recipe, data and model.

    Two runs with the same identity give the same weights if they start from
    the same. Numbers that Keras appends to names ("conv2d_3") do not count.
    """
    return {
        "keras": compat.KERAS_NAME,
        "recipe": {**dataclasses.asdict(recipe), "augment": [*recipe.augment]},
        "dataset": {
            "name": dataset.name,
            "train": dataset.train.count,
            "validation": dataset.validation and dataset.validation.count,
        },
        "layers": [
            {"class": type(layer).__name__, **_plain(layer.get_config())}
            for _, layer in compat.layers_of(model)
        ],
        "weights": [
            f"{_unnumbered(weight.name)} {list(weight.shape)}"
            for weight in model.weights
        ],
        "teacher": None if teacher is None else compat.array_hash(teacher),
    }


def read_variables(model, optimizer) -> dict[str, list[np.ndarray]]:
    """Returns the values of all that training changes, by group."""
    return {
        name: [_array(variable) for variable in group]
        for name, group in _groups(model, optimizer).items()
    }


def write_variables(arrays, model, optimizer, path):
    """Puts the values that `read_variables` returned back.

    Raises:
        ValueError: If number or shapes differ; nothing is changed then.
    """
    groups = _groups(model, optimizer)
    for name, variables in groups.items():
        there = [array.shape for array in arrays.get(name, [])]
        here = [tuple(variable.shape) for variable in variables]
        if there != here:
            raise ValueError(
                f"{str(path)!r} does not fit this model: its {name} variables "
                f"have the shapes {there}, here they are {here}. Give another "
                "workdir, or delete the file to start over."
            )
    for name, variables in groups.items():
        for variable, array in zip(variables, arrays[name], strict=True):
            variable.assign(tf.cast(array, variable.dtype))


def _array(variable):
    array = compat.to_numpy(variable)
    # A file of arrays does not know bfloat16; every one is a float32.
    return array if array.dtype.kind in "biuf" else array.astype(np.float32)


def _groups(model, optimizer):
    if not compat.IS_KERAS_3 and hasattr(optimizer, "inner_optimizer"):
        # tf_keras keeps the loss scale apart from the optimizer's variables.
        scale = [
            optimizer._loss_scale.current_loss_scale,
            optimizer._loss_scale.counter,
        ]
    else:
        scale = []
    return {
        "model": list(model.weights),
        "random": random_variables(model),
        "optimizer": [*optimizer.variables, *scale],
    }


def _plain(config):
    """Returns a layer's configuration, without names and initial values."""

    def strip(value):
        if isinstance(value, dict):
            if str(value.get("class_name")).endswith("Policy"):
                return value["config"]
            return {
                str(key): strip(item)
                for key, item in value.items()
                if key not in ("name", "seed", "shared_object_id")
                and not str(key).endswith("_initializer")
            }
        if isinstance(value, (list, tuple)):
            return [strip(item) for item in value]
        return value

    return json.loads(json.dumps(strip(config), default=_plain_value))


def _plain_value(value):
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    return type(value).__name__


def _unnumbered(name):
    return re.sub(r"_\d+(?=/|:|$)", "", name)


def _differences(name, there, here):
    """Yields what differs between two plain values, part by part."""
    if there == here:
        return
    if isinstance(there, dict) and isinstance(here, dict):
        for key in sorted(set(there) | set(here)):
            part = f"{name}.{key}" if name else key
            yield from _differences(part, there.get(key), here.get(key))
    elif (
        isinstance(there, list)
        and isinstance(here, list)
        and len(there) == len(here)
    ):
        for i, pair in enumerate(zip(there, here, strict=True)):
            yield from _differences(f"{name}[{i}]", *pair)
    else:
        yield f"{name} is {_shown(there)} there and {_shown(here)} here"


def _shown(value, limit=500):
    text = json.dumps(value)
    return text if len(text) <= limit else f"{text[:limit]}..."
