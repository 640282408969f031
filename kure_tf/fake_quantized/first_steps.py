"""The step sizes that quantizers start from, and whether they have lost any."""

import numpy as np

from kure_tf import compat
from kure_tf.fake_quantized.apply import set_step_sizes
from kure_tf.fake_quantized.tensors import prepared_rows, quantizers_of
from kure_tf.quantizers import SMALLEST_STEP
from kure_tf.settings import StepSizes, TensorStep

FIRST_BITS = 8
"""Steps are first set for 8 bits; other bits keep the clip."""


def set_first_weight_steps(model):
    """Sets the steps of the weights, for 8 bits; see `initial_step_sizes`."""
    bits = dict.fromkeys(("weight", "activation"), FIRST_BITS)
    set_step_sizes(model, initial_step_sizes(model, bits))


def initial_step_sizes(model, bits, observations=None) -> StepSizes:
    """Returns the step sizes that a model's quantizers start from.

    Those that clip nothing, or what a quantizer of quantization-aware training
    asks for: see `Quantizer.initial_step_size`.

    Args:
        model: A fake-quantized model.
        bits: `{"weight": bits, "activation": bits}`; pinned tensors have their
            own.
        observations: What `observe_inputs` returned; None for kernels alone.
    """
    steps = {}
    for path, tensor in quantizers_of(model).items():
        width = tensor.pinned_bits or bits[tensor.kind]
        if tensor.kind == "weight":
            rows = prepared_rows(tensor)
            lowest, highest = rows.min(axis=1), rows.max(axis=1)
        elif observations is not None:
            seen = observations[path]
            rows = seen.sample()[np.newaxis]
            lowest, highest = np.array([seen.lowest]), np.array([seen.highest])
        else:
            continue
        step_size = tensor.quantizer.initial_step_size(
            rows, lowest, highest, width
        )
        largest = tensor.quantizer.largest_step(lowest, highest, width)
        steps[path] = TensorStep(
            step_size.reshape(tuple(tensor.state.step_size.shape)),
            width,
            tensor.quantizer.origin_for(
                step_size.flat[0], lowest.min(), largest[0]
            ),
        )
    return StepSizes(steps)


def check_step_sizes(model):
    """Raises unless every step size is finite and has not collapsed.

    Raises:
        ValueError: If a step size is NaN, infinite, or at the smallest value
            that training allows; the message names the tensors.
    """
    bad = {}
    for path, tensor in quantizers_of(model).items():
        step_size = compat.to_numpy(tensor.state.step_size)
        if not np.isfinite(step_size).all():
            bad[path] = "NaN or infinite"
        elif (step_size <= SMALLEST_STEP).any():
            bad[path] = f"{float(step_size.min()):g}, as good as zero"
    if bad:
        listed = "; ".join(f"{path} is {what}" for path, what in bad.items())
        raise ValueError(
            "Expected step sizes that are finite and positive. Training has "
            f"lost some: {listed}. Go back to an earlier checkpoint and lower "
            "the learning rate, or start the steps from more calibration "
            "images."
        )
