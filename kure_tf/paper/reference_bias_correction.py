"""The bias correction of the paper's reference code, for comparison only."""

import contextlib
import dataclasses

import numpy as np

from kure_tf import compat
from kure_tf.fake_quantized import (
    apply,
    keeping,
    quantizers_of,
    set_operating_point,
)
from kure_tf.quantizers import shared_axes
from kure_tf.settings import Setting


@contextlib.contextmanager
def reference_bias_correction(model, point, step_sizes):
    """While open, quantized weights have the channel means of the float ones.

        W' = Q(W) + mean(W) - mean(Q(W))    for each output channel

    What the reference code of the KURE paper calls bias correction, which its
    Fig. 4a-b and parts of A.1 use. It is NOT deployable: W' is on no grid, so
    that no integer device can run it. `bias_correction` is the form that can.

    The weights are those of `point` inside, although the model then stands at
    float weights: do not move it to another operating point.

    Args:
        model: What `fake_quantize_model` returned. All of it is put back in
            the end.
        point: `OperatingPoint` of weights and activations.
        step_sizes: `StepSizes` for it, as a PTQ method returns them.

    Raises:
        ValueError: As `apply`.
    """
    with keeping(model):
        apply(model, Setting(point, step_sizes=step_sizes))
        changed = [
            (tensor.variable, _shifted(tensor))
            for tensor in quantizers_of(model).values()
            if tensor.kind == "weight"
        ]
        for variable, value in changed:
            variable.assign(value)
        set_operating_point(
            model,
            dataclasses.replace(point, weight_bits=None, step_scale=1.0),
        )
        yield


def _shifted(tensor):
    kernel = compat.to_numpy(tensor.variable).astype(np.float32)
    quantized = np.asarray(tensor.quantizer(kernel, tensor.state))
    attribute = tensor.path.rpartition("/")[2]
    (channels,) = (
        kernel.channel_axes
        for kernel in compat.kernels_of(tensor.layer.layer)
        if kernel.name == attribute
    )
    axes = shared_axes(
        compat.channel_shape(kernel.shape, channels), kernel.ndim
    )
    error = kernel.astype(np.float64) - quantized
    return (quantized + error.mean(axis=axes, keepdims=True)).astype(np.float32)
