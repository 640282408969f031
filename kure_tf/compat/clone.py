"""Copies of models and layers."""

import contextlib
import inspect

from kure_tf.compat.active import (
    IS_KERAS_3,
    keras,
    keras_module,
    knowing_all_layers,
)
from kure_tf.compat.first_values import values_at_hand
from kure_tf.compat.graph import (
    constants_of,
    is_graph_model,
    layers_of,
    model_in,
)
from kure_tf.compat.state import copy_weights
from kure_tf.compat.trained_alike import check_trained_alike


def clone_model(model, make_layer):
    """Returns a copy of `model`, each layer made by `make_layer`.

    The copy has the same graph, layer names, weights, `trainable` flags and
    compilation; a layer that nested models share stays one layer. `model` is
    not changed.

    Args:
        model: A built functional or sequential model; nested ones are opened,
            those inside `TimeDistributed`, too.
        make_layer: Called with `(path, layer)`, as `layers_of` yields them, for
            every layer. It returns `(outer, inner)`: the layer to put in the
            graph, and the layer in it that takes over the weights of `layer`
            (often the same one), by its method `take_weights(layer)` if it has
            one. `copy_layer` makes a plain copy.

    Raises:
        TypeError: If the copy would be trained in another way: see
            `check_trained_alike`; or if two layers share a weight; or if
            tf_keras cannot repeat the call of a layer with an array.
    """
    made, pairs, models = {}, [], []
    paths = {id(layer): path for path, layer in layers_of(model)}

    def clone(parent):
        def clone_function(layer):
            if not isinstance(layer, keras.layers.Layer):  # A Keras 3 op.
                return type(layer).from_config(layer.get_config())
            if isinstance(layer, keras.layers.InputLayer):
                return type(layer).from_config(layer.get_config())
            if id(layer) not in made:
                made[id(layer)] = copy_of(layer)
            return made[id(layer)]

        with _uncompiled(parent), _naming_constants(parent):
            return keras.models.clone_model(
                parent, clone_function=clone_function
            )

    def copy_of(layer):
        if (inside := model_in(layer)) is not None:
            copied = _wrapped_alike(layer, clone(inside))
            models.append((layer, copied))
            return copied
        # Keras may come to a shared layer by another way than `layers_of`.
        outer, inner = make_layer(paths[id(layer)], layer)
        begin_as(outer, layer)
        pairs.append((layer, inner, outer))
        return outer

    with values_at_hand() as begin_as:
        copy = clone(model)
    models.append((model, copy))
    # From outside in: a model hands its flag down to all that it has.
    for original, copied in reversed(models):
        _copy_flags(original, copied)
    for original, inner, outer in pairs:
        outer.trainable = original.trainable
        if original.weights:
            _hand_weights(original, inner)
        if hasattr(inner, "finalize_state"):
            inner.finalize_state()  # Normalization computes from copies.
    _check_tied(pairs)
    check_trained_alike(model, copy, [(old, new) for old, _, new in pairs])
    copy_compilation(model, copy)
    return copy


def _wrapped_alike(layer, model):
    """Returns `model` in wrappers like those of `layer` around its own model.

    They compute in the precision of the first layer that takes their input.
    """
    if is_graph_model(layer):
        return model
    inside = _wrapped_alike(layer.layer, model)
    config = keras.layers.Layer.get_config(layer)
    for _, first in list(layers_of(model))[:1]:
        config["dtype"] = keras.layers.Layer.get_config(first)["dtype"]
    return type(layer)(inside, **config)


def _copy_flags(model, copy):
    """Gives `trainable` to a copied model, and to the wrappers around it."""
    copy.trainable = model.trainable
    if not is_graph_model(model):
        _copy_flags(model.layer, copy.layer)


def _hand_weights(layer, inner):
    if hasattr(inner, "take_weights"):
        inner.take_weights(layer)
    else:
        copy_weights(layer, inner)


def copy_layer(layer, changes=None):
    """Returns a new layer with the configuration of `layer`, not built.

    Args:
        layer: A Keras layer.
        changes: `{entry of the configuration: what to set it to}`. What
            Keras 3 keeps in neither configuration nor weights is among them:
            the vocabulary or bins that `adapt` has found.

    Raises:
        TypeError: If the layer cannot be made from its own configuration.
    """
    if type(layer) is keras.layers.Lambda:
        return _copied_lambda(layer)
    try:
        config = layer.get_config()
        config = {
            **config,
            **_functions(layer, config),
            **_adapted(layer),
            **(changes or {}),
        }
        with knowing_all_layers(keras_module(layer)):
            copy = type(layer).from_config(config)
    except Exception as error:
        raise TypeError(
            f"Layer {layer.name!r} of class {type(layer).__name__} cannot be "
            "copied, because it cannot be made from its own configuration. "
            "Give the class a `get_config` that returns all arguments of its "
            f"constructor. Keras says: {error}"
        ) from error
    if "name" not in config:  # Of a class of `**kwargs` without `get_config`.
        setattr(copy, "name" if IS_KERAS_3 else "_name", layer.name)
    # In tf_keras most configurations leave it out.
    lost = copy.activity_regularizer is None
    if lost and layer.activity_regularizer is not None:
        copy.activity_regularizer = layer.activity_regularizer
    return copy


def _copied_lambda(layer):
    """Returns a layer of the same function: a configuration has but its code.

    What the function names around it, such as a global, would be lost.
    """
    plain = keras.layers.Layer.get_config(layer)
    return keras.layers.Lambda(
        layer.function,
        output_shape=layer._output_shape,
        mask=layer.mask,
        arguments=layer.arguments,
        **plain,
    )


def _functions(layer, config):
    """Returns the activations of a layer that are functions, as they are.

    Of one that is not registered the configuration has but the name.
    """
    found = {
        name: getattr(layer, name, None)
        for name in config
        if name.endswith("activation")
    }
    return {name: f for name, f in found.items() if inspect.isfunction(f)}


def _check_tied(pairs):
    """Raises if layers that share a weight would have one each."""
    twins = {}
    for original, inner, _ in pairs:
        copied = getattr(inner, "weights", ())
        if len(copied) != len(original.weights):
            continue  # Folded, for instance; its own are checked by outputs.
        for before, after in zip(original.weights, copied, strict=True):
            if twins.setdefault(id(before), after) is not after:
                raise TypeError(
                    "Expected layers with weights of their own. "
                    f"{original.name!r} shares one of shape "
                    f"{tuple(before.shape)} with another layer; the copy would "
                    "have two that part in training. Compute both in one "
                    "layer that is called twice."
                )


def _adapted(layer):
    """Returns what a Keras 3 layer has learned by `adapt`, as configuration."""
    layers = keras.layers
    if not IS_KERAS_3:  # Weights, there.
        return {}
    if isinstance(layer, layers.Discretization):
        return {"bin_boundaries": layer.bin_boundaries, "num_bins": None}
    if isinstance(layer, layers.TextVectorization):
        return _table_of(layer, layer._lookup_layer)
    if isinstance(layer, (layers.StringLookup, layers.IntegerLookup)):
        return _table_of(layer, layer)
    return {}


def _table_of(layer, lookup):
    words = layer.get_vocabulary(include_special_tokens=False)
    adapted = {"vocabulary": words}
    if lookup.output_mode == "tf_idf":
        # The weight of unknown words is made from the others.
        weights = lookup.idf_weights.numpy()
        adapted["idf_weights"] = weights[len(weights) - len(words) :]
    return adapted


@contextlib.contextmanager
def _uncompiled(model):
    # Keras 3 would serialize the compilation, which fails for a plain function
    # given as loss; `copy_compilation` hands the objects over instead.
    compiled = getattr(model, "compiled", False)
    if IS_KERAS_3 and compiled:
        model.compiled = False
        try:
            yield
        finally:
            model.compiled = compiled
    else:
        yield


@contextlib.contextmanager
def _naming_constants(model):
    """Explains a failed copy of a tf_keras graph that calls with arrays.

    tf_keras notes them as plain lists, which not all layers take.
    """
    try:
        yield
    except Exception as error:
        if IS_KERAS_3 or not (given := constants_of(model)):
            raise
        raise TypeError(
            "Expected calls that tf_keras can repeat. It notes an array in a "
            "call as a plain list, and this failed in the copy of "
            f"{model.name!r}, which has arrays as "
            + ", ".join(f"{name!r} of {layer!r}" for layer, name in given)
            + ". Make such a value in the graph: mask = "
            "keras.layers.Lambda(lambda x: tf.constant(value))(x). "
            f"Keras says: {error}"
        ) from error


def copy_compilation(source, target):
    """Compiles `target` as `source` is, with an optimizer of its own.

    Losses and plain functions are shared; optimizers and metrics, which hold
    state, are made anew from their configuration.
    """
    config = getattr(source, "_compile_config", None)
    if config is None or not getattr(source, "optimizer", None):
        return
    keras = keras_module(source)
    arguments = dict(config.config)
    for name in ("metrics", "weighted_metrics"):
        arguments[name] = _renewed(arguments[name], keras)
    optimizer = source.optimizer
    if hasattr(optimizer, "inner_optimizer"):  # Compiling wraps it again.
        optimizer = optimizer.inner_optimizer
    options = optimizer.get_config()
    schedule = getattr(optimizer, "_learning_rate", None)
    if isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule):
        options["learning_rate"] = schedule  # Holds no state; not to register.
    arguments["optimizer"] = type(optimizer).from_config(options)
    target.compile(**arguments)


def _renewed(metrics, keras):
    if isinstance(metrics, dict):
        return {name: _renewed(m, keras) for name, m in metrics.items()}
    if isinstance(metrics, (list, tuple)):
        return type(metrics)(_renewed(value, keras) for value in metrics)
    if isinstance(metrics, keras.metrics.Metric):
        return type(metrics).from_config(metrics.get_config())
    return metrics
