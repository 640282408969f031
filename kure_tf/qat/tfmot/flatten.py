"""Opening nested models."""

import tensorflow as tf
import tf_keras

from kure_tf import compat
from kure_tf.qat.to_tf_keras import register_regularizers


def flatten(model, make_layer=None):
    """Returns a copy of a tf_keras model as one flat functional model.

    Models nested in `model` are opened, since tfmot refuses them. Outputs,
    weights, `trainable` flags and the structure of inputs and outputs are the
    same; a layer that is used more than once stays one layer.

    A layer at the path "block/conv" is named "block.conv" in the copy, because
    not every file format takes "/" in names; should that be the name of another
    layer, underscores follow.

    Args:
        model: A built functional or sequential model of tf_keras.
        make_layer: Called with `(path, copy)` for each layer but input layers,
            `path` its path in `model`. It returns what to put in the graph in
            place of `copy`, such as a wrapper around it.

    Raises:
        TypeError: If a layer cannot be made from its own configuration, or a
            nested model is called with a mask or inside `TimeDistributed`.
    """
    _check_not_repeated(model)
    register_regularizers()
    return _Flattening(model, make_layer or (lambda path, copy: copy)).model


def _check_not_repeated(model):
    if compat.repeats_models(model):
        raise TypeError(
            "Expected nested models that are called as they are. Received "
            f"{model.name!r}, which calls one inside TimeDistributed: a flat "
            "model has no place for it. Without tfmot: quantize_aware(model, "
            'engine="native").'
        )


class _Flattening:
    def __init__(self, model, make_layer):
        self._paths = {
            id(layer): path for path, layer in compat.layers_of(model)
        }
        self._make_layer = make_layer
        self._made = {}  # {id of a layer: (its copy, what is in the graph)}
        self._names = set(model.input_names)
        inputs = tf.nest.map_structure(
            new_input, compat.functional_inputs(model)
        )
        outputs = self._replay(model, inputs, model.trainable, None)
        self.model = tf_keras.Model(inputs, outputs, name=model.name)

    def _replay(self, model, inputs, trainable, training):
        def call(layer, args, kwargs):
            if compat.is_graph_model(layer):
                return self._open(layer, args, kwargs, trainable, training)
            return self._call(layer, args, kwargs, trainable, training)

        return compat.replay(model, inputs, call)

    def _open(self, model, args, kwargs, trainable, training):
        if kwargs.get("mask") is not None:
            raise TypeError(
                f"Expected nested models that are called without a mask. "
                f"Received one for {model.name!r}. Without tfmot: "
                'quantize_aware(model, engine="native").'
            )
        inputs = args[0] if args else kwargs["inputs"]
        if kwargs.get("training") is not None:
            training = kwargs["training"]
        return self._replay(
            model, inputs, trainable and model.trainable, training
        )

    def _call(self, layer, args, kwargs, trainable, training):
        if training is not None and layer._expects_training_arg:
            kwargs = {"training": training, **kwargs}
        fresh = id(layer) not in self._made
        if fresh:
            self._made[id(layer)] = self._copy(layer, trainable)
        copy, outer = self._made[id(layer)]
        outputs = outer(*args, **kwargs)
        if fresh and layer.weights:
            compat.copy_weights(layer, copy)
        if fresh and hasattr(copy, "finalize_state"):
            copy.finalize_state()  # Normalization computes from copies.
        return outputs

    def _copy(self, layer, trainable):
        path = self._paths[id(layer)]
        copy = compat.copy_layer(layer, {"name": self._new_name(path)})
        _check_regularizers(path, copy)
        outer = self._make_layer(path, copy)
        # A model that is frozen freezes what is in it.
        copy.trainable = trainable and layer.trainable
        return copy, outer

    def _new_name(self, path):
        name = path.replace("/", ".")
        while name in self._names:
            name += "_"
        self._names.add(name)
        return name


def _check_regularizers(path, layer):
    for name, value in vars(layer).items():
        # tf_keras puts the name of what it does not know in its place.
        if name.endswith("_regularizer") and isinstance(value, str):
            raise TypeError(
                f"Expected regularizers that tf_keras can copy. The {name} "
                f"{value!r} of {path!r} is not registered with it: decorate "
                "the class with tf_keras.utils.register_keras_serializable()."
            )


def new_input(tensor):
    """Returns a new symbolic input like the one of a tf_keras model."""
    layer = tensor._keras_history.layer
    return type(layer).from_config(layer.get_config()).output
