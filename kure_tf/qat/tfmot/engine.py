"""Quantization-aware training in tensorflow-model-optimization's wrappers."""

import sys

import tf_keras

from kure_tf import compat
from kure_tf.fake_quantized import placement as placements
from kure_tf.fake_quantized.first_steps import set_first_weight_steps
from kure_tf.fake_quantized.model import choose_layers
from kure_tf.fake_quantized.quantized_share import say_share
from kure_tf.fake_quantized.same_outputs import check_same_outputs
from kure_tf.qat.tfmot.annotation import Annotation
from kure_tf.qat.tfmot.configs import HostedQuantizeConfig
from kure_tf.qat.tfmot.flatten import flatten
from kure_tf.qat.tfmot.imported import tfmot
from kure_tf.qat.tfmot.scheme import KureQuantizeScheme
from kure_tf.qat.tfmot.scope import quantize_scope
from kure_tf.qat.to_tf_keras import WITHOUT_TFMOT


def quantize_with_tfmot(model, placement="paper", *, verbose=False):
    """Returns a fake-quantized copy of a tf_keras model, hosted by tfmot.

    It is what `fake_quantize_model` returns, with the wrappers of
    tensorflow-model-optimization around the layers: same weights, compilation,
    regularizers and tensor paths; it runs in float until `set_operating_point`
    says otherwise. Models nested in `model` are opened (see `flatten`).
    `model` is not changed. Save and load the copy within `quantize_scope()`.

    Args:
        model: A built functional or sequential model of tf_keras.
        placement: A `Placement`, or the name of one: "paper" or "tflite".
        verbose: Whether to print what is quantized and what is not, and why,
            to the standard error stream.

    Raises:
        TypeError: If `model` is one of Keras 3 or subclassed, or has a layer
            that cannot be made from its own configuration.
        ValueError: If `model` is unbuilt, has nothing to quantize or layers
            with kernels that tfmot cannot host, has NaN or infinity in a
            kernel, or cannot be copied faithfully.
    """
    _check(model)
    placement = placements.get(placement)
    if placement.fold_batch_norm:
        compat.check_active_keras(model)  # Folding makes layers of its own.
    model, chosen = choose_layers(model, placement)
    _check_hosted(model, chosen)
    if verbose:
        print(chosen, file=sys.stderr)
    annotated = _annotated(model, placement, chosen)
    check_same_outputs(model, annotated, losses=False, way_out=WITHOUT_TFMOT)
    quantized = _applied(annotated)
    compat.check_trained_alike(model, quantized)
    if not model.trainable:  # True would be handed down to frozen layers.
        quantized.trainable = False
    compat.copy_compilation(model, quantized)
    set_first_weight_steps(quantized)
    say_share(quantized, verbose=verbose)
    return quantized


def _check(model):
    ways_out = (
        "Rebuild it in tf_keras first (kure_tf.qat.to_tf_keras(model)), or use "
        'kure_tf\'s own engine: quantize_aware(model, engine="native").'
    )
    if compat.keras_of(model) == "keras":
        raise TypeError(
            "Expected a model of tf_keras, the only layers that "
            "tensorflow-model-optimization wraps. Received a model of Keras 3: "
            f"{getattr(model, 'name', model)!r}. {ways_out}"
        )
    compat.check_graph_model(model, any_keras=True)
    added = [
        layer.name
        for layer in model.layers
        if type(layer).__name__ in ("AddLoss", "AddMetric")
    ]
    if added or compat.training_methods_of(model):
        raise TypeError(
            "Expected a model without losses or metrics that were added to it "
            "and without a training step of its own, which tfmot's copy would "
            f"lose. {model.name!r}, a {type(model).__name__}, has "
            f"{[*added, *compat.training_methods_of(model)]}. Without tfmot: "
            'quantize_aware(model, engine="native").'
        )


def _check_hosted(model, chosen):
    layers = dict(compat.layers_of(model))
    others = [
        f"{path} ({type(layers[path]).__name__})"
        for path in chosen.quantized
        if not compat.is_linear(layers[path])
    ]
    if others:
        raise ValueError(
            "Expected convolutions and dense layers, whose kernels tfmot's "
            f"wrapper replaces. It cannot host: {', '.join(others)}. Pin them "
            'to float (Placement(pinned=...)), or leave tfmot: engine="native".'
        )


def _annotated(model, placement, chosen):
    def make_layer(path, copy):
        if path not in chosen.quantized:
            return copy
        config = HostedQuantizeConfig(
            placement.weights_of(copy),
            placement.activations,
            pinned_bits=chosen.quantized[path],
            path=path,
        )
        annotated = Annotation(copy, quantize_config=config)
        # Its own precision would be the global one.
        annotated._set_dtype_policy(copy._dtype_policy)
        return annotated

    return flatten(model, make_layer)


def _applied(annotated):
    with quantize_scope():
        applied = tfmot.quantization.keras.quantize_apply(
            annotated,
            scheme=KureQuantizeScheme(),
            quantized_layer_name_prefix="",
        )
        # tfmot leaves layers in two graphs at once; `layer.output` would then
        # belong to the one that nobody has.
        quantized = tf_keras.models.clone_model(applied)
    compat.copy_weights(applied, quantized)
    for layer in quantized.layers:
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()
    return quantized
