"""Recurrent layers in integer operators, one time step after the other."""

import tensorflow as tf

from kure_tf import compat
from kure_tf.integer_graph.masks import at_time, held, mask_of
from kure_tf.integer_graph.recurrent_cells import CELLS


def recurrent(call):
    """Adds a recurrent layer: its cell, or a stack of them, at each time step.

    The input of all steps is multiplied in one operator, the state in one for
    each step, with the same kernel. Gates, and what an LSTM carries on beside
    its output, have 8 bits.
    """
    return _unrolled(call, call.inner, "")


def bidirectional(call):
    """Adds two recurrent layers, of which one reads the steps backwards."""
    layer = call.inner
    forward = _unrolled(call, layer.forward_layer, "forward_")
    backward = _unrolled(call, layer.backward_layer, "backward_")
    return _MERGED[layer.merge_mode](call, [forward, backward])


def _concatenated(call, values):
    return call.add(
        "CONCATENATION", values, lambda *xs: tf.concat(xs, -1), axis=-1
    )


def _added(call, values):
    return call.add("ADD", values, tf.add)


def _multiplied(call, values):
    return call.add("MUL", values, tf.multiply)


def _mean(call, values):
    return call.affine(_added(call, values), 0.5)


_MERGED = {
    "ave": _mean,
    "concat": _concatenated,
    "mul": _multiplied,
    "sum": _added,
}


def _unrolled(call, layer, prefix):
    """Adds the steps of `layer`; `prefix` starts the names of its tensors."""
    first, *others = _cells_of(call, layer, prefix)
    count, outputs, mask = _checked_length(call, layer), [], mask_of(call)
    inputs, times = first.of_inputs(call.inputs[0], count), range(count)
    for time in times[::-1] if layer.go_backwards else times:
        seen = () if mask is None else _seen(call, mask, time, first.axes)
        x = first.step(_at_time(call, inputs, time, first.axes), *seen)
        for cell in others:
            x = cell.step(cell.of_input(x, f"{cell.prefix}input"), *seen)
        if seen and layer.zero_output_for_mask:
            x = held(call, x, None, *seen)
        outputs.append(x)
    if not layer.return_sequences:
        return outputs[-1]
    if prefix and layer.go_backwards:
        outputs.reverse()  # `Bidirectional` does, to put the times together.
    return _stacked(call, outputs)


def _cells_of(call, layer, prefix):
    """Returns what adds the steps of each cell."""
    if not hasattr(layer.cell, "cells"):
        return [_cell_of(call, layer.cell, prefix)]
    return [
        _cell_of(call, cell, f"{prefix}cell_{index}_")
        for index, cell in enumerate(layer.cell.cells)
    ]


def _cell_of(call, cell, prefix):
    own = type(cell).__module__.partition(".")[0] in ("keras", "tf_keras")
    if not own or type(cell).__name__ not in CELLS:
        call.refuse(
            f"its cell is {type(cell).__name__}. LiteRT's operators make one "
            f"of these: {sorted(CELLS)}. Or leave the layer in float: "
            "allow_float=True."
        )
    if not getattr(cell, "reset_after", True):
        call.refuse(
            "it multiplies its state by a gate. Train it with "
            "reset_after=True, or leave it in float: allow_float=True."
        )
    return CELLS[type(cell).__name__](call, cell, prefix)


def _checked_length(call, layer):
    """Returns the number of time steps."""
    leaves = tf.nest.flatten((call.args, call.kwargs))
    x, *others = filter(compat.is_symbolic, leaves)
    if len(others) > (mask_of(call) in call.inputs):
        call.refuse("it is given a state, which no operator takes.")
    if layer.stateful:
        call.refuse("an exact file keeps no state. Use stateful=False.")
    if getattr(layer, "time_major", False):
        call.refuse("its time steps come first. Use time_major=False.")
    count = x.shape[1 + len(call.times)]
    if count is None:
        call.refuse(
            "the number of its time steps is open. Give keras.Input the "
            "number, or leave the layer in float: allow_float=True."
        )
    return count


def _seen(call, mask, time, axes):
    """Adds the mask of one time step, and its inverse."""
    return [at_time(call, one, time, axes) for one in (mask, mask.inverse)]


def _at_time(call, value, time, axes):
    """Adds a slice of one time step, which has so many axes."""
    begin = (0, time, *[0] * axes)
    row = call.add(
        "SLICE", [value], lambda x: x[:, time : time + 1], begin=begin
    )
    return call.add("RESHAPE", [row], lambda x: x[:, 0])


def _stacked(call, values):
    """Adds what makes one value of those of all steps, time by time."""
    rows = [
        call.add("RESHAPE", [value], lambda x: x[:, tf.newaxis])
        for value in values
    ]
    if len(rows) == 1:
        return rows[0]
    return call.add("CONCATENATION", rows, lambda *xs: tf.concat(xs, 1), axis=1)
