"""Trying step sizes on a model without leaving a trace."""

import contextlib
import dataclasses

from kure_tf import compat
from kure_tf.fake_quantized.model import quantizers_of


@contextlib.contextmanager
def kept_state(model):
    """Puts the quantizers' variables back when the block ends, however.

    Inside, `set_step_sizes` and `set_operating_point` may be called at will.

    Args:
        model: What `fake_quantize_model` returned.
    """
    variables = [
        getattr(tensor.state, field.name)
        for tensor in quantizers_of(model).values()
        for field in dataclasses.fields(tensor.state)
    ]
    values = [compat.to_numpy(variable) for variable in variables]
    try:
        yield
    finally:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
