"""The one module that knows Keras 3 from tf_keras.

The active Keras is the module that `tf.keras` resolves to. It is asked once,
when this module is first imported, and never read from the environment:
importing tensorflow-model-optimization changes `TF_USE_LEGACY_KERAS` behind
everybody's back while `tf.keras` stays what it was.
"""

import contextlib
import dataclasses
import json
import pathlib
import zipfile

import numpy as np
import tensorflow as tf

IS_KERAS_3 = not tf.keras.Model.__module__.startswith("tf_keras")

if IS_KERAS_3:
    import keras

    if keras.backend.backend() != "tensorflow":
        raise ImportError(
            "kure_tf needs Keras with the TensorFlow backend. Received the "
            f"backend {keras.backend.backend()!r}. Set the environment "
            "variable KERAS_BACKEND=tensorflow before Keras is imported."
        )
else:
    import tf_keras as keras

KERAS_NAME = "keras" if IS_KERAS_3 else "tf_keras"
KERAS_VERSION = keras.__version__

register_serializable = (
    keras.saving.register_keras_serializable
    if IS_KERAS_3
    else keras.utils.register_keras_serializable
)


def keras_of(thing) -> str | None:
    """Returns "keras" or "tf_keras", whichever `thing`'s class comes from.

    Returns None for an object of neither, such as a plain Python value.
    """
    for base in type(thing).__mro__:
        root = base.__module__.partition(".")[0]
        if root in ("keras", "tf_keras"):
            return root
    return None


def check_active_keras(thing, name="model"):
    """Raises a TypeError when `thing` belongs to the Keras not in use."""
    family = keras_of(thing)
    if family not in (None, KERAS_NAME):
        wanted = "0" if family == "keras" else "1"
        raise TypeError(
            f"Expected a {name} of {KERAS_NAME}, the Keras that `tf.keras` "
            f"resolves to in this process. Received a {name} of {family}: "
            f"{type(thing).__name__}. Set the environment variable "
            f"TF_USE_LEGACY_KERAS={wanted} before TensorFlow is imported, or "
            f"rebuild the {name} with {KERAS_NAME}."
        )


def is_graph_model(layer) -> bool:
    """Whether `layer` is a functional or sequential model."""
    if IS_KERAS_3:
        return isinstance(
            layer, (keras.Sequential, keras.src.models.Functional)
        )
    return isinstance(layer, keras.Model) and (
        isinstance(layer, keras.Sequential)
        or bool(getattr(layer, "_is_graph_network", False))
    )


def check_graph_model(model):
    """Raises unless `model` is a built functional or sequential model.

    Raises:
        TypeError: If `model` is no Keras model, one of the other Keras, or a
            subclassed model, whose graph of layers Keras does not know.
        ValueError: If `model` has no weights yet.
    """
    check_active_keras(model)
    if not isinstance(model, keras.Model):
        raise TypeError(
            "Expected a functional or sequential Keras model. Received: "
            f"{type(model).__name__}."
        )
    if not is_graph_model(model):
        raise TypeError(
            "Expected a functional or sequential Keras model, whose graph of "
            f"layers is known. Received the subclassed model "
            f"{type(model).__name__!r}. Write it with the functional API: "
            "`keras.Model(inputs, outputs)`."
        )
    if not model.built or not getattr(model, "inputs", None):
        raise ValueError(
            f"Expected a built model. Received the unbuilt model "
            f"{model.name!r}. Give its first layer an input shape, or call it "
            "once on a batch."
        )


def layers_of(model, prefix=""):
    """Yields `(path, layer)` for all but input layers, nested models opened.

    The order is that of the model's graph; a layer that is used more than once
    is listed once. A path joins the names of the models on the way with "/".
    """
    seen = set()

    def walk(parent, prefix):
        for layer in parent.layers:
            if id(layer) in seen:
                continue
            seen.add(id(layer))
            path = f"{prefix}{layer.name}"
            if is_graph_model(layer):
                yield from walk(layer, f"{path}/")
            elif not isinstance(layer, keras.layers.InputLayer):
                yield path, layer

    yield from walk(model, prefix)


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
    arguments = dict(config.config)
    for name in ("metrics", "weighted_metrics"):
        arguments[name] = _renewed(arguments[name])
    optimizer = source.optimizer
    if hasattr(optimizer, "inner_optimizer"):  # Compiling wraps it again.
        optimizer = optimizer.inner_optimizer
    options = optimizer.get_config()
    schedule = getattr(optimizer, "_learning_rate", None)
    if isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule):
        options["learning_rate"] = schedule  # Holds no state; not to register.
    arguments["optimizer"] = type(optimizer).from_config(options)
    target.compile(**arguments)


def _renewed(metrics):
    if isinstance(metrics, dict):
        return {name: _renewed(value) for name, value in metrics.items()}
    if isinstance(metrics, (list, tuple)):
        return type(metrics)(_renewed(value) for value in metrics)
    if isinstance(metrics, keras.metrics.Metric):
        return type(metrics).from_config(metrics.get_config())
    return metrics


@contextlib.contextmanager
def computing_with(layer, tensors, add_loss):
    """While open, `layer` computes with `tensors` in place of its weights.

    Args:
        layer: A built Keras layer.
        tensors: `{attribute name: tensor}`, each in the dtype and shape of the
            variable of that name.
        add_loss: Called with each loss that the layer adds meanwhile (Keras 3
            drops them otherwise).
    """
    if IS_KERAS_3:
        mapping = [(getattr(layer, name), t) for name, t in tensors.items()]
        with keras.StatelessScope(mapping, collect_losses=True) as scope:
            yield
        for loss in scope.losses:
            add_loss(loss)
        return
    variables = {name: getattr(layer, name) for name in tensors}
    try:
        for name, tensor in tensors.items():
            # Plain setattr would track the tensor as the layer's weight.
            object.__setattr__(
                layer, name, tf.cast(tensor, layer.compute_dtype)
            )
        yield
    finally:
        for name, variable in variables.items():
            object.__setattr__(layer, name, variable)


def load_model(path, custom_objects=None):
    """Loads a saved Keras model of the active Keras, in safe mode.

    Args:
        path: A `.keras` or `.h5` file, or (tf_keras only) a SavedModel folder.
        custom_objects: As for `keras.models.load_model`.

    Raises:
        FileNotFoundError: If there is nothing at `path`.
        TypeError: If the file was saved by the other Keras.
        ValueError: If the file is truncated, foreign or of a format that the
            active Keras does not read.
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
        return keras.models.load_model(
            path, custom_objects=custom_objects, safe_mode=True
        )
    except Exception as error:
        raise ValueError(
            f"Cannot load {str(path)!r} as a model of {KERAS_NAME} "
            f"{KERAS_VERSION}: the file is truncated, not a saved model, or "
            f"needs classes that are not registered. Keras says: {error}"
        ) from error


def saved_keras(path) -> str | None:
    """Returns which Keras wrote a `.keras` file: "keras", "tf_keras" or None.

    None means that the file does not say (`.h5`, SavedModel, a foreign file).
    """
    path = pathlib.Path(path)
    if not path.is_file() or not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        try:
            metadata = json.loads(archive.read("metadata.json"))
        except (KeyError, ValueError):
            return None
    version = str(metadata.get("keras_version", ""))
    return "keras" if version.startswith("3") else "tf_keras"


@dataclasses.dataclass(frozen=True)
class Kernel:
    """Where a layer keeps one kernel.

    Attributes:
        attribute: Name of the layer's attribute that holds the variable.
        regularizer: Name of the constructor argument that regularizes it.
        channel_axes: Axes of the output channels, counted from the end:
            `(-1,)`, or `(-2, -1)` for depthwise kernels `[..., in,
            multiplier]`.
    """

    attribute: str
    regularizer: str
    channel_axes: tuple[int, ...] = (-1,)


def _kernel_table():
    layers = keras.layers
    depthwise = "kernel" if IS_KERAS_3 else "depthwise_kernel"
    plain = (Kernel("kernel", "kernel_regularizer"),)
    transposed = (Kernel("kernel", "kernel_regularizer", (-2,)),)
    in_depth = Kernel(depthwise, "depthwise_regularizer", (-2, -1))
    separable = (
        Kernel("depthwise_kernel", "depthwise_regularizer", (-2, -1)),
        Kernel("pointwise_kernel", "pointwise_regularizer"),
    )
    by_name = {
        # More derived classes first: tf_keras derives transposed, depthwise
        # and separable convolutions from the plain ones.
        "SeparableConv1D": separable,
        "SeparableConv2D": separable,
        "DepthwiseConv1D": (in_depth,),
        "DepthwiseConv2D": (in_depth,),
        "Conv1DTranspose": transposed,
        "Conv2DTranspose": transposed,
        "Conv3DTranspose": transposed,
        "Conv1D": plain,
        "Conv2D": plain,
        "Conv3D": plain,
        "EinsumDense": plain,
        "Dense": plain,
    }
    return {
        getattr(layers, name): kernels
        for name, kernels in by_name.items()
        if hasattr(layers, name)
    }


_KERNELS = _kernel_table()


def kernels_of(layer) -> tuple[Kernel, ...]:
    """Returns the kernels of a convolution or dense layer, () for others."""
    for layer_class, kernels in _KERNELS.items():
        if isinstance(layer, layer_class):
            return kernels
    return ()


def add_state(layer, name, shape, value, *, trainable=False):
    """Adds a float32 variable that mixed precision does not cast."""
    autocast = "autocast" if IS_KERAS_3 else "experimental_autocast"
    return layer.add_weight(
        name=name,
        shape=shape,
        initializer=keras.initializers.Constant(value),
        dtype="float32",
        trainable=trainable,
        **{autocast: False},
    )


def full_precision(variable):
    """Returns the variable's tensor, uncast even where layers autocast."""
    if IS_KERAS_3:
        return tf.convert_to_tensor(variable._value)
    return tf.convert_to_tensor(getattr(variable, "_variable", variable))


def to_numpy(variable):
    """Returns the variable's value as a NumPy array."""
    return np.array(variable)


def graph_edges(model):
    """Returns `[(producer, consumer), ...]` of the layers in one model's graph.

    Nested models count as one layer. A layer called n times appears as the
    consumer of n calls.
    """
    if IS_KERAS_3 and isinstance(model, keras.Sequential):
        model = model._functional
    edges = []
    for nodes in model._nodes_by_depth.values():
        for node in nodes:
            consumer = node.operation if IS_KERAS_3 else node.layer
            for parent in node.parent_nodes:
                producer = parent.operation if IS_KERAS_3 else parent.layer
                edges.append((producer, consumer))
    return edges


def output_layers(model):
    """Returns the layers that make the outputs of one model's graph."""
    if IS_KERAS_3 and isinstance(model, keras.Sequential):
        model = model._functional
    outputs = tf.nest.flatten(model.outputs)
    if IS_KERAS_3:
        return [tensor._keras_history.operation for tensor in outputs]
    return [tensor._keras_history.layer for tensor in outputs]


def output_shape(layer):
    """Returns the shape of the output of a layer or model."""
    if IS_KERAS_3 and not is_graph_model(layer):
        return tuple(layer.output.shape)
    return tuple(layer.output_shape)
