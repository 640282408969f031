"""The copy of a model that is trained in its place."""

import copy

from kure_tf import compat
from kure_tf.compat import keras
from kure_tf.regularizers.gradient_l1 import GradientL1Model
from kure_tf.regularizers.sum import SumRegularizer
from kure_tf.training.distillation import DistillationModel
from kure_tf.training.random_state import reseed, restorable_randomness

# Constructor arguments that regularize a kernel, in both Kerases.
_KERNEL_REGULARIZERS = (
    "kernel_regularizer",
    "depthwise_regularizer",
    "pointwise_regularizer",
    "recurrent_regularizer",
)
_KERNELS = ("kernel", "recurrent_kernel")  # Ends of weight names.
# Where wrappers (also `FakeQuantized`) and recurrent layers hold others.
_NESTED = ("layer", "backward_layer", "cell", "cells")


def working_copy(model, recipe, teacher=None):
    """Returns a copy of `model` as `recipe` trains it.

    The weights are the same. Layers compute in the recipe's mixed precision,
    but for those that make the outputs; kernels have weight decay beside the
    regularizer they have already; random layers start from the recipe's seed.
    The training step has the gradients' L1 norm, or the term of the teacher, if
    the recipe asks for it.

    Raises:
        TypeError, ValueError: If recipe and teacher do not go together, or the
            teacher does not fit the model.
        ValueError: If weight decay is asked for, and a layer has a kernel but
            no argument for its regularizer.
    """
    check_teacher(recipe, teacher)
    outputs = {id(layer) for layer in _output_layers(model)}

    def make_layer(_, layer):
        config = copy.deepcopy(layer.get_config())
        if recipe.mixed_precision:
            policy = recipe.mixed_precision
            _set_policy(config, "float32" if id(layer) in outputs else policy)
        if recipe.weight_decay and not _decay(config, recipe.weight_decay):
            _check_without_kernel(layer)
        made = compat.copy_layer(layer, config)
        return made, made

    with restorable_randomness():
        working = compat.clone_model(model, make_layer)
    reseed(working, recipe.seed)
    if recipe.gradient_l1:
        return GradientL1Model(working, recipe.gradient_l1)
    if recipe.distillation:
        return DistillationModel(
            working,
            teacher,
            recipe.distillation,
            temperature=recipe.distillation_temperature,
        )
    return working


def transfer_weights(source, target):
    """Gives `target` the weights of `source`, a copy of it."""
    for (_, trained), (_, layer) in zip(
        compat.layers_of(source), compat.layers_of(target), strict=True
    ):
        if layer.weights:
            compat.copy_weights(trained, layer)


def check_teacher(recipe, teacher):
    """Raises a ValueError unless recipe and teacher go together."""
    if (recipe.distillation > 0) != (teacher is not None):
        raise ValueError(
            "Expected a teacher and a recipe with distillation above 0, or "
            f"neither. Received: teacher={teacher!r} and distillation="
            f"{recipe.distillation}. Give teacher= the model to learn from, or "
            "set distillation=0."
        )


def _output_layers(model):
    for layer in compat.output_layers(model):
        if (inside := compat.model_in(layer)) is not None:
            yield from _output_layers(inside)
        else:
            yield layer


def _configs(config):
    """Yields `config` and those of the layers nested in it."""
    yield config
    for name in _NESTED:
        nested = config.get(name)
        for item in nested if isinstance(nested, (list, tuple)) else [nested]:
            if isinstance(item, dict) and isinstance(item.get("config"), dict):
                yield from _configs(item["config"])


def _set_policy(config, policy):
    for layer in _configs(config):
        if "dtype" in layer:
            layer["dtype"] = policy


def _decay(config, weight_decay):
    """Adds weight decay to all kernel regularizers; returns if there is one."""
    found = False
    for layer in _configs(config):
        for name in _KERNEL_REGULARIZERS:
            if name in layer:
                added = SumRegularizer(
                    layer[name], keras.regularizers.L2(weight_decay / 2)
                )
                layer[name] = keras.regularizers.serialize(added)
                found = True
    return found


def _check_without_kernel(layer):
    names = [weight.name.split(":")[0] for weight in layer.weights]
    kernels = [
        name for name in names if name.rpartition("/")[2].endswith(_KERNELS)
    ]
    if kernels:
        raise ValueError(
            "Expected layers whose kernels take a regularizer, as the recipe "
            f"has weight_decay. Layer {layer.name!r} of class "
            f"{type(layer).__name__} has {kernels} but no argument "
            "'kernel_regularizer'. Give the class one (with get_config), or "
            "set weight_decay=0 and add the loss in the layer."
        )
