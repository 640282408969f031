"""Rebuilding a Keras 3 model in tf_keras."""

import inspect

import tensorflow as tf

from kure_tf import compat, extras
from kure_tf.fake_quantized.same_outputs import check_same_outputs
from kure_tf.regularizers import KurtosisRegularizer, SumRegularizer

WITHOUT_TFMOT = (
    'Without tf_keras and tfmot: quantize_aware(model, engine="native").'
)


def to_tf_keras(model):
    """Returns a copy of a Keras 3 model that is made of tf_keras layers.

    The copy has the same graph, layer names, weights, `trainable` flags and
    regularizers; nested models stay nested, sequential ones become functional.
    It is not compiled: optimizers, losses and metrics belong to one Keras.

    Both models are run on one random batch in the end, and no copy is returned
    whose outputs or regularization losses differ.

    Regularizers and constraints of Keras itself are made anew in tf_keras. Any
    other one (`KurtosisRegularizer`, `SumRegularizer`, a function) is the same
    object in both models: it only has to compute with TensorFlow. Initializers
    are not carried over, since the weights are.

    Args:
        model: A built functional or sequential model of Keras 3.

    Raises:
        TypeError: If `model` is no such model, or if a layer cannot be carried
            over: one of a class that is not Keras's own, one that tf_keras has
            not or that has options there which it has not, or a Keras 3
            operation such as `x * 2` (the message names the first one); or
            if a training step, loss or metric of its own would be lost.
        ValueError: If `model` is unbuilt, or the outputs of both differ.
    """
    if compat.keras_of(model) == "tf_keras":
        raise TypeError(
            "Expected a model of Keras 3. Received the tf_keras model "
            f"{getattr(model, 'name', model)!r}: use it as it is."
        )
    compat.check_graph_model(model, any_keras=True)
    register_regularizers()
    copy = _Rebuilding().model(model)
    compat.check_trained_alike(model, copy)
    check_same_outputs(model, copy, losses=True, way_out=WITHOUT_TFMOT)
    return copy


def register_regularizers():
    """Makes tf_keras know kure_tf's regularizers in a Keras 3 process.

    It would otherwise copy a layer that has one to a layer that has only its
    name.
    """
    with extras.needed("A model of tf_keras"):
        import tf_keras

    register = tf_keras.utils.register_keras_serializable("kure_tf")
    for regularizer in (KurtosisRegularizer, SumRegularizer):
        register(regularizer)


class _Rebuilding:
    """One walk over a model; a layer that is met again is the same copy."""

    def __init__(self):
        self._made = {}  # {id of a layer: (it, its copy)}

    def model(self, model, path=""):
        import tf_keras

        inputs = [
            tf_keras.Input(
                batch_shape=tensor.shape,
                dtype=tensor.dtype,
                name=tensor._keras_history.operation.name,
            )
            for tensor in model.inputs
        ]

        def call(layer, args, kwargs):
            return self._call(f"{path}{layer.name}", layer, args, kwargs)

        outputs = compat.replay(model, inputs, call)
        structure = compat.functional_inputs(model)
        copy = tf_keras.Model(
            tf.nest.pack_sequence_as(structure, inputs),
            outputs,
            name=model.name,
        )
        copy.trainable = model.trainable
        for layer, made in self._made.values():
            made.trainable = layer.trainable
        return copy

    def _call(self, path, layer, args, kwargs):
        # Keras 3 notes masks and flags that nobody gave as None.
        kwargs = {k: v for k, v in kwargs.items() if v is not None}
        fresh = id(layer) not in self._made
        if fresh:
            self._made[id(layer)] = (layer, self._copy(path, layer))
        _, copy = self._made[id(layer)]
        try:
            outputs = copy(*args, **kwargs)
        except Exception as error:
            raise _refusal(
                path, layer, f"tf_keras cannot call it as Keras 3 does: {error}"
            ) from error
        if fresh and not compat.is_graph_model(layer):
            _copy_weights(path, layer, copy)
        return outputs

    def _copy(self, path, layer):
        if compat.is_graph_model(layer):
            return self.model(layer, f"{path}/")
        return _copy_layer(path, layer)


def _copy_layer(path, layer):
    import tf_keras

    name = type(layer).__name__
    if not type(layer).__module__.startswith("keras."):
        raise _refusal(path, layer, "its class is not one of Keras's own")
    if not isinstance(layer, compat.keras_module(layer).layers.Layer):
        raise _refusal(
            path,
            layer,
            "it is an operation on tensors, such as x * 2, and no layer; "
            "write it as a layer, such as Rescaling(2.0) or Add()",
        )
    layer_class = getattr(tf_keras.layers, name, None)
    if layer_class is None or name == "Lambda":
        why = (
            "its function may compute with Keras 3; write it as a layer"
            if name == "Lambda"
            else "tf_keras has no layer of that name"
        )
        raise _refusal(path, layer, why)
    try:
        return layer_class.from_config(_config(layer, layer_class))
    except _Unknown as error:
        raise _refusal(path, layer, str(error)) from None
    except Exception as error:
        said = str(error).rpartition("Exception encountered: ")[2]
        raise _refusal(path, layer, f"tf_keras says: {said}") from error


class _Unknown(Exception):
    """An option that tf_keras does not know, at another than its default."""


def _config(layer, layer_class):
    """Returns the configuration of `layer` as tf_keras writes it."""
    known = _arguments(layer_class)
    defaults = _arguments(type(layer))
    config = {}
    for name, value in layer.get_config().items():
        if name == "dtype":
            config[name] = layer.dtype_policy.name
        elif name.endswith("_initializer"):
            continue  # The weights are copied.
        elif name.endswith(("_regularizer", "_constraint")):
            config[name] = _carried_over(getattr(layer, name, None))
        elif name in known:
            config[name] = value
        elif value and value != defaults.get(name):
            raise _Unknown(
                f"tf_keras's {layer_class.__name__} has no option {name!r}, "
                f"which is {value!r}"
            )
    return {name: config[name] for name in config if name in known}


def _arguments(layer_class):
    """Returns {argument: default} of all constructors of a class."""
    found = {"name": None, "dtype": None, "trainable": True}
    for base in reversed(layer_class.__mro__):
        if "__init__" in vars(base):
            parameters = inspect.signature(base.__init__).parameters
            found.update({n: p.default for n, p in parameters.items()})
    return found


def _carried_over(function):
    """Returns a regularizer or constraint for tf_keras; see `to_tf_keras`."""
    import tf_keras

    if not type(function).__module__.startswith("keras."):
        return function
    name = type(function).__name__
    for module in (tf_keras.regularizers, tf_keras.constraints):
        if hasattr(module, name):
            return getattr(module, name).from_config(function.get_config())
    raise _Unknown(f"tf_keras has no {name}")


def _copy_weights(path, layer, copy):
    weights = layer.get_weights()
    before = [w.shape for w in weights]
    after = [tuple(w.shape) for w in copy.weights]
    if before != after:
        raise _refusal(
            path,
            layer,
            f"its weights have the shapes {before} in Keras 3 and {after} in "
            "tf_keras",
        )
    copy.set_weights(weights)
    if hasattr(copy, "finalize_state"):  # Normalization computes from copies.
        copy.finalize_state()


def _refusal(path, layer, why):
    return TypeError(
        "Expected a model whose layers tf_keras has too. Cannot carry over "
        f"{path!r} of class {type(layer).__name__}: {why}. Without tf_keras: "
        'quantize_aware(model, engine="native").'
    )
