"""From a model at an operating point to its integer graph."""

import tensorflow as tf

from kure_tf import compat
from kure_tf.data.batches import batches_of
from kure_tf.fake_quantized import hosted_tensors, kernels_in
from kure_tf.fake_quantized.tensors import some_quantizers_of
from kure_tf.integer_graph.fusing import fuse
from kure_tf.integer_graph.graph import IntegerGraph
from kure_tf.integer_graph.input_scales import fold_input_scales
from kure_tf.integer_graph.layer_call import NoIntegerOperatorError
from kure_tf.integer_graph.layers import (
    BETTER_IN_FLOAT,
    read_layer,
)
from kure_tf.integer_graph.lost_features import warn_of_lost_features
from kure_tf.integer_graph.lower import Lowering
from kure_tf.integer_graph.masks import check_use
from kure_tf.integer_graph.steps import measure
from kure_tf.integer_graph.steps_of import steps_of
from kure_tf.settings.operating_point import FP

_CALIBRATION_BATCH = 32  # Larger ones gain little, and need more memory.


def to_integer_graph(model, calibration, *, allow_float=False) -> IntegerGraph:
    """Returns a fake-quantized model as operators on int8 tensors.

    Kernels become exactly the codes of their quantizers, and inputs of
    convolutions and dense layers lie exactly on the grids of theirs. Batch
    normalization goes into scales and biases, which changes no code but the
    sign of channels with a negative gain. Biases become int32 in units of
    input scale times weight scale. What has no quantizer (sums, means, the
    input, the logits) gets 8 bits over the range seen on the calibration
    images. So the graph computes what the model computes, up to the rounding
    of those tensors and of the biases, which the model leaves in float.

    Args:
        model: What `fake_quantize_model` or `quantize_aware` returned, of
            either engine, at an operating point without floats: all weights
            and activations at 8 bits or fewer, no layer pinned to "float".
        calibration: Images like those of training, some hundred: whatever
            `data.batches.batches_of` takes, such as a `Split`.
        allow_float: Whether layers without an integer operator, and those that
            are in float at this point, stay in float, between conversions
            from and to int8, and so do LayerNormalization and
            RMSNormalization, whose variance has 8 bits otherwise. They are the
            graph's `float_layers`.

    Returns:
        An `IntegerGraph`: `write` makes a file of it, `simulate` its answers.

    Raises:
        TypeError: If `model` is subclassed or one of the other Keras, or
            `calibration` is nothing that batches can be read from.
        ValueError: If `model` has no quantizers or a tensor in float; if a
            grid does not fit int8 codes, as mid-rise ones of 8 bits; if a
            layer has no integer operator (it is named); if indices are made
            by a layer, or read as values, too; if int32 would overflow; if
            there are no calibration images.
    """
    compat.check_graph_model(model)
    model = compat.in_float32(model)
    tensors = some_quantizers_of(model)
    if not allow_float:
        _check_quantized(model, tensors)
    kernels = {id(tensor.state): tensor for tensor in tensors.values()}
    steps = steps_of(model, _read_or_leave if allow_float else read_layer)
    batches = batches_of(
        calibration,
        model,
        "calibration examples",
        batch_size=_CALIBRATION_BATCH,
        finite=True,
    )
    measure(steps, (tf.nest.flatten(batch.inputs) for batch in batches))
    operators, outputs = fuse(steps)
    operators = fold_input_scales(operators, steps.inputs, outputs)
    lowering = Lowering(operators, steps.inputs, outputs, kernels)
    graph = lowering.graph(model.name)
    for value, name in zip(steps.inputs, graph.inputs, strict=True):
        warn_of_lost_features(value, graph.quantization(name))
    return graph


def _read_or_leave(call):
    """Adds the steps of a layer, in float where it has no others."""
    states = [tensor.state for tensor in call.hosted.values()]
    in_float = FP in [compat.to_numpy(state.bits) for state in states]
    better = type(call.inner).__name__ in BETTER_IN_FLOAT
    if better or in_float or compat.kernels_of(call.inner) and not states:
        return _left_in_float(call)
    try:
        return read_layer(call)
    except NoIntegerOperatorError:
        if compat.model_in(call.inner) is not None:
            raise  # A whole model is not left in float.
        return _left_in_float(call)


def _left_in_float(call):
    """Leaves a layer in float that neither reads a mask nor keeps a state."""
    check_use(call)
    if getattr(call.inner, "stateful", False):
        call.refuse("an exact file keeps no state. Use stateful=False.")
    return call.leave_in_float()


def _check_quantized(model, tensors):
    """Raises unless all kernels, and inputs of their layers, are in codes."""
    in_float = [path for path, _ in kernels_in(model) if path not in tensors]
    for layer_path, layer in compat.layers_of(model):
        hosted = hosted_tensors(layer)
        has_input = hosted and compat.inputs_of(layer.layer)
        if has_input and not {"input", "output"} & set(hosted):
            in_float.append(f"{layer_path}/input")
    for path, tensor in tensors.items():
        if compat.to_numpy(tensor.state.bits) == FP:
            in_float.append(path)
    if in_float:
        raise ValueError(
            "Expected a model whose weights and activations are quantized, at "
            f"an operating point such as '4/8'. Received: {model.name!r} with "
            f"{len(in_float)} tensors in float: {', '.join(in_float[:5])}"
            f"{', ...' if len(in_float) > 5 else ''}. Set bits for both "
            "(set_operating_point), and pin no layer to 'float', as the "
            "placement 'paper' does: give fake_quantize_model or "
            'quantize_aware placement="tflite", or '
            "paper_placement(first_layer=8, last_layer=8). Or pass "
            "allow_float=True, which leaves them in float, or write codes of "
            'weights alone: to_tflite(mode="weight_only").'
        )
