"""Making a fake-quantized model."""

import sys

import numpy as np

from kure_tf import compat
from kure_tf.fake_quantized import placement as placements
from kure_tf.fake_quantized.first_steps import set_first_weight_steps
from kure_tf.fake_quantized.fold import fold_batch_norm, norms_behind
from kure_tf.fake_quantized.layer import FakeQuantized
from kure_tf.fake_quantized.quantized_share import say_share
from kure_tf.fake_quantized.tensors import quantizers_of


def fake_quantize_model(model, placement="paper", *, verbose=False):
    """Returns a copy of `model` whose tensors can be fake-quantized.

    The copy has the same weights and compilation and runs in float until
    `set_operating_point` says otherwise. The steps of its weights are those of
    their largest absolute value; activations need calibration
    (`set_step_sizes`) before they leave float. `model` is not changed. On a
    CPU both hold their weights in the same memory until one of them gets
    other values.

    Args:
        model: A built functional or sequential model; nested ones are opened,
            also those that `TimeDistributed` calls at each step.
            Quantized are convolutions, dense and recurrent layers,
            embeddings, attention, and a layer of your own that has a method
            `kure_tf_kernels` (see `compat.Kernel`); others stay as they are.
            A warning names what stays in float if that is more than a tenth
            of the parameters or multiply-adds (see `quantized_share`).
        placement: A `Placement`, or the name of one: "paper" or "tflite".
        verbose: Whether to print what is quantized and what is not, and why,
            to the standard error stream.

    Raises:
        TypeError, ValueError: If `model` is unbuilt, subclassed or of the
            other Keras, has nothing to quantize, has NaN or infinity in a
            kernel or no floating-point variable for one, or a training step
            of its own that the copy would lose.
    """
    compat.check_graph_model(model)
    placement = placements.get(placement)
    model, chosen = choose_layers(model, placement)
    if verbose:
        print(chosen, file=sys.stderr)

    def make_layer(path, layer):
        return _wrapped(layer, path, placement, chosen)

    copy = compat.clone_model(model, make_layer)
    set_first_weight_steps(copy)
    say_share(copy, verbose=verbose)
    return copy


def choose_layers(model, placement):
    """Returns `(model, chosen)`: folded if the placement says so, and checked.

    Raises:
        ValueError: If the model has nothing to quantize, NaN or infinity in a
            kernel, or no floating-point variable for one.
    """
    compat.check_kernels(model)
    _check_kernels_finite(model)
    if placement.fold_batch_norm and norms_behind(model):
        model = fold_batch_norm(model)
    chosen = placement.chosen(model)
    if not chosen.quantized:
        if quantizers_of(model):
            raise ValueError(
                f"Expected a float model. {model.name!r} is fake-quantized "
                "already: `set_operating_point` changes its bits. For other "
                "quantizers start from the float model, which "
                "`fake_quantized.strip_quantizers` gives back."
            )
        raise ValueError(
            "Expected a model with something to quantize. In "
            f"{model.name!r}, nothing is left: {chosen.skipped}. Quantized are "
            "layers with kernels that are not pinned to float."
        )
    return model, chosen


def _wrapped(layer, path, placement, chosen):
    """Returns (the layer for the graph, the copy of `layer` in it)."""
    copy = compat.copy_layer(layer)
    if path not in chosen.quantized:
        return copy, copy
    wrapper = FakeQuantized(
        copy,
        placement.weights_of(layer),
        placement.activations,
        chosen.quantized[path],
    )
    return wrapper, copy


def _check_kernels_finite(model):
    for path, layer in compat.layers_of(model):
        for kernel in compat.kernels_of(layer):
            value = compat.to_numpy(kernel.variable_in(layer))
            value = value.astype(np.float32, copy=False)
            bad = value.size - np.count_nonzero(np.isfinite(value))
            if bad:
                raise ValueError(
                    f"Expected finite kernels. Layer {path!r} has {bad} NaN "
                    f"or infinite values of {value.size} in "
                    f"{kernel.name!r}. Training has diverged: go back to "
                    "an earlier checkpoint."
                )
