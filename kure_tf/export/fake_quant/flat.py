"""A fake-quantized model as a flat one of FakeQuant operators."""

import tensorflow as tf

from kure_tf import compat
from kure_tf.compat import keras
from kure_tf.export.fake_quant.affine import affine, is_affine
from kure_tf.export.fake_quant.copies import (
    Copies,
    Names,
    new_input,
    port_name,
)
from kure_tf.export.fake_quant.linear import linears_of
from kure_tf.export.fake_quant.operators import in_float, kind_of, refuse
from kure_tf.fake_quantized import hosted_tensors, norms_behind


def flat_model(model, container="int8", allow_others=False):
    """Returns `model` with FakeQuant operators in place of its quantizers.

    Its outputs are those of `model`, up to rounding. Nested models are opened,
    batch normalization is folded, activation functions are layers of their
    own, and layers without effect in inference are left out.

    Args:
        model: A fake-quantized model at its operating point.
        container: "int8", or "int4" for kernels whose codes fit.
        allow_others: Whether the converter may choose for other layers.

    Raises:
        ValueError: If the converter has no integer operator for a layer, or
            int8 does not hold a grid that is in force.
    """
    return _Flattening(model, container, allow_others).model


class _Flattening:
    def __init__(self, model, container, allow_others):
        self._allow_others = allow_others
        before = compat.functional_inputs(model)
        self._names = Names(map(port_name, tf.nest.flatten(before)))
        self._name = {
            id(layer): self._names.free(path.replace("/", "."))
            for path, layer in compat.layers_of(model)
        }
        self._linears = linears_of(model, container, allow_others)
        self._norms = {
            id(norm): layer for layer, norm in norms_behind(model).items()
        }
        self._copies, self._used = Copies(), set()
        inputs = tf.nest.map_structure(new_input, before)
        outputs = compat.replay(model, inputs, self._call)
        self.model = keras.Model(inputs, outputs, name=model.name)

    def _call(self, layer, args, kwargs):
        if compat.is_graph_model(layer):
            return compat.replay(layer, args[0], self._call)
        if kwargs.get("training"):
            refuse(
                layer, "the graph calls it with training=True. Call it without."
            )
        if id(layer) in self._linears:
            return self._linear(layer, args[0])
        in_front = self._norms.get(id(layer))
        if id(in_front) in self._linears or kind_of(layer) == "drops":
            return args[0]
        name = self._name.get(id(layer), layer.name)
        if in_front is None and is_affine(layer, args[0]):
            return affine(layer, args[0], name, self._names)
        if not self._allow_others:
            _check_integer(layer, args[0])
        hosting = hosted_tensors(layer) is not None
        inner = layer.layer if hosting else layer
        return self._copies.call(inner, name, args, kwargs)

    def _linear(self, layer, x):
        if id(layer) in self._used:
            refuse(
                layer.layer,
                "it is used more than once, and the converter chooses a scale "
                "of its own for such a kernel. Give each use a layer.",
            )
        self._used.add(id(layer))
        name = self._name[id(layer)]

        def activate(y):
            return self._activated(y, layer.layer.activation, name)

        return self._linears[id(layer)](x, activate, name, self._names)

    def _activated(self, x, function, name):
        name = self._names.free(f"{name}_activation")
        if isinstance(function, keras.layers.Layer):
            activation = compat.copy_layer(function, {"name": name})
        else:
            activation = keras.layers.Activation(
                function, name=name, dtype="float32"
            )
        if kind_of(activation) == "drops":
            return x
        if not self._allow_others:
            _check_integer(activation, x)
        return activation(x)


def _check_integer(layer, inputs):
    kind = kind_of(layer)
    if kind == "makes" and isinstance(inputs, list) and len(inputs) > 2:
        refuse(
            layer,
            f"it takes {len(inputs)} tensors at once, and what is between "
            "would be in float. Take two at a time.",
        )
    if kind is not None:
        return
    if compat.kernels_of(layer):
        raise in_float(repr(layer.name))
    if "tensorflow_model_optimization" in type(layer).__module__:
        refuse(
            layer,
            "it is one of tensorflow-model-optimization's own. Quantize with "
            "quantize_apply(model, scheme=KureQuantizeScheme()).",
        )
    refuse(
        layer,
        "the converter computes it in float. Replace it, or leave it to the "
        "converter: allow_others=True.",
    )
