"""Making a model that is trained with quantization in the loop."""

import sys

from kure_tf import compat, extras
from kure_tf.fake_quantized import (
    FIRST_BITS,
    fake_quantize_model,
    initial_step_sizes,
    observe_inputs,
    set_operating_point,
    set_step_sizes,
)
from kure_tf.fake_quantized import placement as placements
from kure_tf.qat import methods
from kure_tf.settings.operating_point import OperatingPoint

ENGINES = ("native", "tfmot")


def quantize_aware(
    model,
    method="lsq",
    weight_bits=4,
    activation_bits=4,
    *,
    placement="paper",
    calibration=None,
    engine=None,
    verbose=True,
    **options,
):
    """Returns a copy of `model` to be trained with quantization in the loop.

    The copy has the same weights, regularizers and compilation, and stands at
    the operating point `<weight_bits>/<activation_bits>`: forward passes
    quantize, gradients reach the float weights behind (and, with LSQ, the step
    sizes). `set_operating_point`, `run_sweep` and `integer_weights` take it as
    they take what `fake_quantize_model` returns. `model` is not changed.

    To train with KURE as well, attach it first (`regularize_kurtosis`): it acts
    on the float weights.

    Args:
        model: A built functional or sequential model, normally a trained one;
            nested ones are opened. What has no kernels stays as it is.
        method: "lsq" (Esser et al. 2020), "dorefa" (Zhou et al. 2016),
            "nested_lsq" (one 8-bit code, read at many widths), or a function
            of a `Placement` that puts quantizers of your own in it.
        weight_bits: Bits of the weights; None leaves them in float.
        activation_bits: Bits of the activations; None leaves them in float.
        placement: A `Placement` or the name of one, "paper" (first and
            last layer in float) or "tflite". It says which tensors, on which
            grid, per tensor or per channel; the method puts its quantizers in.
        calibration: Batches of training images, or of (images, labels); a few
            hundred images are enough. Activations get their first step sizes
            (LSQ) or clip (DoReFa) from them. Needed unless `activation_bits`
            is None.
        engine: "native": kure_tf's own layer, for both Kerases. "tfmot": the
            wrapper of tensorflow-model-optimization, for tf_keras models (see
            `to_tf_keras`), of convolutions and dense layers only, not inside
            `TimeDistributed`. None: tfmot for tf_keras models that have no
            other layers with kernels, else native.
        verbose: Whether to print what is quantized and what is not, and why,
            to the standard error stream.
        **options: Options of the method, such as `rescale=False` for "dorefa".

    Raises:
        TypeError, ValueError: If `model` is unbuilt, subclassed or of the other
            Keras, has nothing to quantize or NaN in a kernel; if there is no
            such method or engine; if bits do not exist on the grid; if
            activations are to be quantized without calibration images.
    """
    point = OperatingPoint(weight_bits, activation_bits)
    method = methods.get(method)
    placement = method(placements.get(placement), **options)
    placement.check_point(point)
    if calibration is None and activation_bits is not None:
        raise ValueError(
            "Expected calibration images, from which activations get their "
            "first step sizes. Received none. Pass calibration= some batches "
            "of training images, such as dataset.calibration.batches(128), or "
            "leave activations in float: activation_bits=None."
        )
    make = _engine(engine, model)
    quantized = make(model, placement, verbose=verbose)
    _set_first_steps(quantized, point, calibration, verbose)
    set_operating_point(quantized, point)
    if verbose:
        print(f"The operating point is {point}.", file=sys.stderr)
    return quantized


def _engine(name, model):
    if name is None:
        tf_keras = compat.keras_of(model) == "tf_keras"
        name = "tfmot" if tf_keras and _tfmot_hosts(model) else "native"
    if name == "native":
        return fake_quantize_model
    if name == "tfmot":
        with extras.needed("engine='tfmot'"):
            from kure_tf.qat.tfmot import quantize_with_tfmot

        return quantize_with_tfmot
    raise ValueError(
        f"Expected an engine, one of {ENGINES}, or None. Received: {name!r}."
    )


def _tfmot_hosts(model):
    """Whether tfmot's wrapper can hold the kernels of all layers."""
    return (
        compat.is_graph_model(model)
        and not compat.repeats_models(model)
        and all(
            compat.is_linear(layer) or not compat.kernels_of(layer)
            for _, layer in compat.layers_of(model)
        )
    )


def _set_first_steps(model, point, calibration, verbose):
    observations = None
    if calibration is not None:
        set_operating_point(model, OperatingPoint())
        observations, _ = observe_inputs(model, calibration, verbose)
    # A tensor that stays in float gets the steps of 8 bits: a later sweep may
    # quantize it.
    bits = {
        "weight": point.weight_bits or FIRST_BITS,
        "activation": point.activation_bits or FIRST_BITS,
    }
    set_step_sizes(model, initial_step_sizes(model, bits, observations))
