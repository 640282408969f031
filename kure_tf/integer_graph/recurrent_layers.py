"""Recurrent layers in integer operators, one time step after the other."""

import numpy as np
import tensorflow as tf

from kure_tf import compat
from kure_tf.fake_quantized.taps import quantized
from kure_tf.integer_graph.activations import activate
from kure_tf.integer_graph.grids import quantization_of


def recurrent(call):
    """Adds a recurrent layer that computes one cell at each time step.

    The input of all steps is multiplied in one operator, the state in one for
    each step, with the same kernel. Gates, and what an LSTM carries on beside
    its output, have 8 bits.
    """
    return _unrolled(call, call.inner, "")


def bidirectional(call):
    """Adds two recurrent layers, of which one reads the steps backwards."""
    layer = call.inner
    merge = _MERGED.get(layer.merge_mode)
    if merge is None:
        call.refuse("its merge_mode is None, so it has two outputs.")
    forward = _unrolled(call, layer.forward_layer, "forward_")
    backward = _unrolled(call, layer.backward_layer, "backward_")
    return merge(call, [forward, backward])


def _concatenated(call, values):
    return call.add(
        "CONCATENATION", values, lambda *xs: tf.concat(xs, -1), axis=-1
    )


def _added(call, values):
    return call.add("ADD", values, tf.add)


def _multiplied(call, values):
    return call.add("MUL", values, tf.multiply)


def _mean(call, values):
    total = _added(call, values)
    return call.add("AFFINE", [total], lambda x: x / 2, gain=0.5, shift=0.0)


_MERGED = {
    "ave": _mean,
    "concat": _concatenated,
    "mul": _multiplied,
    "sum": _added,
}


def _unrolled(call, layer, prefix):
    """Adds the steps of `layer`; `prefix` starts the names of its tensors."""
    _check(call, layer)
    kind = _CELLS[type(layer.cell).__name__]
    cell = kind(call, layer.cell, prefix)
    inputs = cell.of_inputs()
    times = range(_length(call))
    if layer.go_backwards:
        times = times[::-1]
    outputs = []
    for time in times:
        x = _at_time(call, inputs, time)
        outputs.append(cell.step(x, outputs[-1] if outputs else None))
    if not layer.return_sequences:
        return outputs[-1]
    if prefix and layer.go_backwards:
        outputs.reverse()  # `Bidirectional` does, to put the times together.
    return _stacked(call, outputs)


def _check(call, layer):
    cell = getattr(layer, "cell", None)
    own = type(cell).__module__.partition(".")[0] in ("keras", "tf_keras")
    if not own or type(cell).__name__ not in _CELLS:
        call.refuse(
            f"its cell is {type(cell).__name__}. LiteRT's operators make one "
            f"of these: {sorted(_CELLS)}."
        )
    leaves = tf.nest.flatten((call.args, call.kwargs))
    given = [leaf for leaf in leaves if compat.is_symbolic(leaf)]
    if len(given) > 1 or getattr(given[0], "_keras_mask", None) is not None:
        call.refuse("it is given a mask, or a state to begin with.")
    if not getattr(cell, "reset_after", True):
        call.refuse("it multiplies its state by a gate. Use reset_after=True.")
    if layer.stateful or getattr(layer, "time_major", False):
        call.refuse("it is stateful, or has its time steps on the first axis.")
    if given[0].shape[-2] is None:
        call.refuse(
            "the number of its time steps is open. Give keras.Input the number."
        )


def _length(call):
    """Returns the number of time steps."""
    (x,) = filter(compat.is_symbolic, tf.nest.flatten((call.args, call.kwargs)))
    return x.shape[-2]


def _at_time(call, value, time):
    """Adds a slice of one time step."""
    row = call.add(
        "SLICE", [value], lambda x: x[:, time : time + 1], begin=(0, time, 0)
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


class _Cell:
    """The steps of one cell.

    What it makes at each time step has one range, and so mostly the same codes:
    a device looks a function up in one table.

    Args:
        call: The `LayerCall` that gets them.
        cell: The cell of Keras.
        prefix: Starts the names of its kernels and of its state.
    """

    def __init__(self, call, cell, prefix):
        self._call, self._cell, self._prefix = call, cell, prefix
        self._first = {}

    def _add(self, role, kind, inputs, compute, **options):
        """Adds a step; `role` is what its value is at each time step."""
        like = self._first.get(role)
        y = self._call.add(kind, inputs, compute, like=like, **options)
        self._first.setdefault(role, y)
        return y

    def _sum(self, role, one, other):
        return self._add(role, "ADD", [one, other], tf.add)

    def _product(self, role, one, other):
        return self._add(role, "MUL", [one, other], tf.multiply)

    def _difference(self, role, one, other):
        return self._add(role, "SUB", [one, other], tf.subtract)

    def _affine(self, role, x, gain, shift):
        return self._add(
            role,
            "AFFINE",
            [x],
            lambda x: x * np.float32(gain) + np.float32(shift),
            gain=gain,
            shift=shift,
        )

    def biases(self):
        """Returns those of the product of the input and of the state."""
        if not self._cell.use_bias:
            return 0.0, 0.0
        return np.float64(compat.to_numpy(self._cell.bias)), 0.0

    def of_inputs(self):
        """Adds the products of the input at all time steps."""
        (x,), (bias, _) = self._call.inputs, self.biases()
        return self._linear(x, "kernel", "input", bias)

    def _of_state(self, state):
        """Adds the product of a state."""
        return self._linear(state, "recurrent_kernel", None, self.biases()[1])

    def _linear(self, x, attribute, reads, bias):
        name = self._prefix + attribute

        def compute(x):
            kernel = compat.full_precision(getattr(self._cell, attribute))
            return self._rounded(reads, x) @ self._rounded(name, kernel)

        y = self._add(
            name, "FULLY_CONNECTED", [x], compute, kernel=name, reads=reads
        )
        if not np.any(bias):
            return y
        return self._affine(f"{name} and bias", y, 1.0, bias)

    def _rounded(self, name, tensor):
        """Returns a tensor as its quantizer rounds it, if it has one."""
        if (hosted := self._call.hosted.get(name)) is None:
            return tensor
        return quantized(hosted.quantizer, tensor, hosted.state)

    def _state(self, output):
        """Adds what the next time step reads of an output."""
        name = f"{self._prefix}state"
        if (hosted := self._call.hosted.get(name)) is None:
            return output
        return self._add(
            "state",
            "QUANTIZED",
            [output],
            lambda x: self._rounded(name, x),
            quantization=quantization_of(hosted, self._call.layer.name),
        )

    def _parts(self, z, count):
        """Adds slices of the cell's units each."""
        return [self._part(z, self._cell.units * i) for i in range(count)]

    def _part(self, z, first):
        end = first + self._cell.units
        return self._call.add(
            "SLICE", [z], lambda x: x[:, first:end], begin=(0, first)
        )

    def _opened(self, x):
        """Adds the activation of a gate."""
        return activate(self._call, x, self._cell.recurrent_activation)

    def _activated(self, x):
        return activate(self._call, x, self._cell.activation)


class _Simple(_Cell):
    """h = activation(x W + b + h U)."""

    def step(self, x, before):
        """Adds a time step; `before` is the output of the one before, if any.

        Args:
            x: The product of its input.
        """
        if before is not None:
            x = self._sum("sum", x, self._of_state(self._state(before)))
        return self._activated(x)


class _LSTM(_Cell):
    """c = f c + i activation(new);  h = o activation(c)."""

    def step(self, x, before):
        if before is not None:
            x = self._sum("sum", x, self._of_state(self._state(before)))
        i, f, new, o = self._parts(x, 4)
        c = self._product("new", self._opened(i), self._activated(new))
        if before is not None:
            kept = self._product("kept", self._opened(f), self._carried)
            c = self._sum("carried", kept, c)
        self._carried = c
        return self._product("output", self._opened(o), self._activated(c))


class _GRU(_Cell):
    """h = new + z (h - new);  new = activation(x W + r (h U))."""

    def biases(self):
        """What the reset gate does not multiply goes to the input."""
        if not self._cell.use_bias:
            return 0.0, 0.0
        of_input, of_state = np.float64(compat.to_numpy(self._cell.bias))
        gates = np.arange(of_state.size) < 2 * self._cell.units
        return of_input + of_state * gates, of_state * ~gates

    def step(self, x, before):
        z, r, new = self._parts(x, 3)
        if before is None:
            return self._first_step(z, r, new)
        state = self._state(before)
        of_z, of_r, of_new = self._parts(self._of_state(state), 3)
        r = self._opened(self._sum("reset", r, of_r))
        new = self._sum("new", new, self._product("of_state", r, of_new))
        new = self._activated(new)
        z = self._opened(self._sum("update", z, of_z))
        change = self._difference("difference", state, new)
        return self._sum("output", new, self._product("change", z, change))

    def _first_step(self, z, r, new):
        """Adds the step of a state of 0: h U is what there is of a bias."""
        bias = np.broadcast_to(self.biases()[1], 3 * self._cell.units)
        bias = bias[2 * self._cell.units :]
        if bias.any():
            of_state = self._affine("of_state", self._opened(r), bias, 0.0)
            new = self._sum("new", new, of_state)
        new = self._activated(new)
        change = self._product("change", self._opened(z), new)
        return self._difference("output", new, change)


_CELLS = {"GRUCell": _GRU, "LSTMCell": _LSTM, "SimpleRNNCell": _Simple}
