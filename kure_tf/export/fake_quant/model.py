"""An integer graph as a model that TFLite's converter understands."""

from kure_tf.compat import keras
from kure_tf.export.fake_quant.fake_quant import FakeQuant
from kure_tf.export.fake_quant.fake_quant_linear import HIGHEST, FakeQuantLinear
from kure_tf.export.fake_quant.float_operator import FloatOperator
from kure_tf.export.fake_quant.storable import storable
from kure_tf.integer_graph import check_graph
from kure_tf.integer_graph.graph import SAME_CODES

_NOT_CONVERTED = ("BATCH_MATMUL", "ELU", "FLOAT", "GATHER", "RSQRT")


def fake_quant_model(graph):
    """Returns a Keras model that TFLite's converter turns into our codes.

    The model has TensorFlow's FakeQuant operators wherever the graph has a
    tensor. From them the user's own converter takes every scale and zero
    point, without a representative data set:

        >>> graph = to_integer_graph(model, calibration)
        >>> converter = tf.lite.TFLiteConverter.from_keras_model(
        ...     fake_quant_model(graph)
        ... )
        >>> converter.optimizations = [tf.lite.Optimize.DEFAULT]
        >>> content = converter.convert()
        >>> check_converted_file(content, graph)

    The file has the codes, scales and biases of the graph. Where the graph
    computes a value a second time for a second grid, the file rounds it from
    one to the other, as the converter knows no other way; LiteRT's kernels do
    that in 8 bits after the point.

    Args:
        graph: An `IntegerGraph`, of PTQ or of training, with either engine.
            In `with_container(graph, 4)`, kernels whose codes are within -7..7
            are stored in half the bytes.

    Returns:
        A functional model with float inputs of the graph's names: a dictionary
        of them if there are several. It can be saved; loading needs
        `kure_tf.export` imported.

    Raises:
        TypeError: If `graph` is something else.
        ValueError: If the converter would not take an operator as it is; its
            kernel is named.
    """
    check_graph(graph)
    _check_operators(graph)
    return _Model(graph).model


def _check_operators(graph):
    paths = [weights.path for weights in graph.weights.values()]
    for operator in graph.operators:
        if operator.kind in _NOT_CONVERTED:
            raise ValueError(
                "Expected operators that TFLite's converter turns into just "
                "these integer ones. It is not known to for "
                f"{operator.output!r}, {operator.kind}. Write the file by "
                "write(graph)."
            )
        if (weights := operator.weights) is None:
            continue
        if weights.container not in HIGHEST:
            _refuse(
                weights,
                f"it is stored in {weights.container} bits. Use a container "
                "of 8 or 4.",
            )
        if paths.count(weights.path) > 1:
            _refuse(
                weights,
                "it is used more than once, and the converter chooses a scale "
                "of its own for such a kernel. Give each use a layer.",
            )
        if operator.kind == "TRANSPOSE_CONV" and weights.scales.size > 1:
            _refuse(
                weights,
                "the converter takes one scale for it, and here each channel "
                "has its own (a step per channel, or batch normalization "
                "behind). Quantize it per tensor.",
            )


def _refuse(weights, why):
    raise ValueError(
        "Expected kernels that TFLite's converter takes as they are. Received: "
        f"{weights.path!r}: {why}"
    )


class _Model:
    """Puts a FakeQuant operator behind whatever makes a tensor.

    Two in a row would be one too many for the converter.
    """

    def __init__(self, graph):
        self._graph, self._made, self._sums = graph, {}, {}
        self._activations = {o.output: o.activation for o in graph.operators}
        inputs = {name: self._input(name) for name in graph.inputs}
        for operator in graph.operators:
            self._made[operator.output] = self._output(operator)
        outputs = [self._made[name] for name in graph.outputs]
        self.model = keras.Model(
            inputs if len(inputs) > 1 else next(iter(inputs.values())),
            outputs if len(outputs) > 1 else outputs[0],
            name=graph.name,
        )

    def _input(self, name):
        x = keras.Input(self._graph.tensors[name].shape, name=name)
        self._made[name] = self._rounded(x, name)
        return x

    def _rounded(self, x, name, again=False):
        quantization = self._graph.quantization(name)
        name = f"{_layer_name(name)}_{'again' if again else 'codes'}"
        return FakeQuant.on(quantization, again=again, name=name)(x)

    def _output(self, operator):
        """Returns the symbolic tensor of an operator's output."""
        name = operator.output
        x = [self._made[one] for one in operator.inputs]
        if operator.kind == "MAXIMUM":  # FakeQuant has clipped.
            return x[0]
        if operator.kind in SAME_CODES:
            return self._layer(operator, operator.kind)(x)
        base, done = self._base_of(operator)
        if base is None:
            return self._rounded(self._layer(operator, operator.kind)(x), name)
        if operator.activation in ("NONE", done):
            return self._rounded(self._made[base], name, again=True)
        y = self._layer(operator, "IDENTITY")(self._made[base])
        return self._rounded(y, name)

    def _base_of(self, operator):
        """Returns what is computed anew for another grid, with an activation.

        That is the name of the tensor, or None, and its activation so far.
        """
        if operator.options.get("by") == 1:
            (name,) = operator.inputs
            return name, self._activations.get(name, "NONE")
        if operator.kind == "ADD":
            first = self._sums.setdefault(operator.inputs, operator)
            if first is not operator:
                return first.output, first.activation
        return None, None

    def _layer(self, operator, kind):
        """Returns the layer that computes an operator, as `kind`."""
        shape = self._graph.tensors[operator.output].shape
        common = {
            "activation": operator.activation,
            "name": _layer_name(operator.output),
        }
        if operator.weights is None:
            return FloatOperator(kind, operator.options, shape, **common)
        return self._linear(operator, shape, common)

    def _linear(self, operator, shape, common):
        (name,) = operator.inputs
        x = self._graph.tensors[name]
        weights = storable(operator.weights, x.quantization.scale)
        layer = FakeQuantLinear(
            operator.kind,
            operator.options,
            shape,
            weights.codes.shape,
            weights.scales.size,
            weights.container,
            **common,
        )
        layer.build((None, *x.shape))
        layer.set_values(weights, x.quantization.scale)
        return layer


def _layer_name(tensor_name):
    return tensor_name.replace("/", ".")
