"""Putting a fake-quantized model back to how it stood."""

import contextlib
import dataclasses

from kure_tf import compat
from kure_tf.fake_quantized.layer import kernels_in
from kure_tf.fake_quantized.tensors import quantizers_of


@contextlib.contextmanager
def keeping_quantizers(model):
    """Puts the quantizers of `model` back when it closes.

    Step sizes, what they are calibrated for, bits, step scales and rounding
    modes: trained step sizes survive a search, and the operating point a
    sweep, however the block ended. Kernels are not looked at.

    Args:
        model: A fake-quantized model; one without quantizers is left alone.
    """
    kept = []
    for tensor in quantizers_of(model).values():
        for field in dataclasses.fields(tensor.state):
            variable = getattr(tensor.state, field.name)
            kept.append((variable, compat.to_numpy(variable)))
    try:
        yield
    finally:
        for variable, value in kept:
            variable.assign(value)


@contextlib.contextmanager
def keeping_kernels(model):
    """Puts the kernels of `model` back when it closes.

    Those of its convolutions and dense layers, quantized or not, whatever the
    block wrote into them, and however it ended.
    """
    kept = [
        (variable, compat.to_numpy(variable))
        for _, variable in kernels_in(model)
    ]
    try:
        yield
    finally:
        for variable, value in kept:
            variable.assign(value)
