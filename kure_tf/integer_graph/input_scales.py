"""Scaling of inputs, folded into the scale of their codes."""

import numpy as np

from kure_tf.integer_graph.graph import LINEAR, SAME_CODES


def fold_input_scales(operators, inputs, outputs):
    """Returns `Fused` operators without those that only scale an input.

    An input x that only linear operators read, as gain * x, has the codes of
    gain * x: the scale of its codes is divided by gain, and the gain goes into
    the scales of their kernels. So Rescaling(1 / 255) costs no operator, and
    images of whole numbers up to 255 are their own codes plus 128.

    Args:
        operators: The `Fused` operators, in order.
        inputs, outputs: The values that the graph is given and puts out.
    """
    for scaling in operators:
        if not _is_scaling(scaling, inputs):
            continue
        (x,) = scaling.inputs
        ends = _ends(scaling.output, operators, outputs)
        if len(_readers(x, operators)) == 1 and None not in ends:
            for end in ends:
                end.input_gain = float(scaling.gain)
            for reader in _readers(scaling.output, operators):
                reader.inputs = tuple(
                    x if value is scaling.output else value
                    for value in reader.inputs
                )
            operators = [one for one in operators if one is not scaling]
    return operators


def _is_scaling(fused, inputs):
    return (
        fused.kind == "AFFINE"
        and fused.inputs[0] in inputs
        and fused.activation == "NONE"
        and fused.output.quantization is None
        and np.ndim(fused.gain) == np.ndim(fused.shift) == 0
        and fused.gain > 0
        and fused.shift == 0
    )


def _readers(value, operators):
    return [one for one in operators if value in one.inputs]


def _ends(value, operators, outputs):
    """Returns the linear operators that read a value; None for all others.

    What only moves codes, such as padding, may be between.
    """
    found = [None] if value in outputs else []
    for reader in _readers(value, operators):
        if reader.kind in SAME_CODES:
            found += _ends(reader.output, operators, outputs)
        else:
            linear = reader.kind in LINEAR
            found.append(reader if linear else None)
    return found
