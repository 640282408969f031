"""Copies of models and layers."""

import contextlib

from kure_tf.compat.active import IS_KERAS_3, keras, keras_module
from kure_tf.compat.graph import is_graph_model


def clone_model(model, make_layer):
    """Returns a copy of `model`, each layer made by `make_layer`.

    The copy has the same graph, layer names, weights, `trainable` flags and
    compilation. `model` is not changed.

    Args:
        model: A built functional or sequential model; nested ones are opened.
        make_layer: Called with `(path, layer)` for every layer but the input
            layers. It returns `(outer, inner)`: the layer to put in the graph,
            and the layer in it that takes over the weights of `layer` (often
            the same one). `copy_layer` makes a plain copy.
    """
    pairs = []

    def clone(parent, prefix):
        def clone_function(layer):
            if not isinstance(layer, keras.layers.Layer):  # A Keras 3 op.
                return type(layer).from_config(layer.get_config())
            path = f"{prefix}{layer.name}"
            if is_graph_model(layer):
                copy = clone(layer, f"{path}/")
                copy.trainable = layer.trainable
                return copy
            if isinstance(layer, keras.layers.InputLayer):
                return type(layer).from_config(layer.get_config())
            outer, inner = make_layer(path, layer)
            pairs.append((layer, inner, outer))
            return outer

        with _uncompiled(parent):
            return keras.models.clone_model(
                parent, clone_function=clone_function
            )

    copy = clone(model, "")
    # Before the layers: a model hands its flag down to all of them.
    copy.trainable = model.trainable
    for original, inner, outer in pairs:
        outer.trainable = original.trainable
        if original.weights:
            inner.set_weights(original.get_weights())
        if hasattr(inner, "finalize_state"):
            inner.finalize_state()  # Normalization computes from copies.
    copy_compilation(model, copy)
    return copy


def copy_layer(layer, changes=None):
    """Returns a new layer with the configuration of `layer`, not built.

    Args:
        layer: A Keras layer.
        changes: `{entry of the configuration: what to set it to}`.

    Raises:
        TypeError: If the layer cannot be made from its own configuration.
    """
    options = {}
    if IS_KERAS_3 and isinstance(layer, keras.layers.Lambda):
        # Keras 3 distrusts functions in files; this one is in memory already.
        options["safe_mode"] = False
    try:
        config = {**layer.get_config(), **(changes or {})}
        return type(layer).from_config(config, **options)
    except Exception as error:
        raise TypeError(
            f"Layer {layer.name!r} of class {type(layer).__name__} cannot be "
            "copied, because it cannot be made from its own configuration. "
            "Give the class a `get_config` that returns all arguments of its "
            f"constructor. Keras says: {error}"
        ) from error


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
