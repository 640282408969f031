"""The cells of recurrent layers in integer operators."""

import numpy as np
import tensorflow as tf

from kure_tf import compat
from kure_tf.integer_graph.activations import activate
from kure_tf.integer_graph.linear_layers import pair
from kure_tf.integer_graph.masks import held


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
        self._call, self._cell, self.prefix = call, cell, prefix
        self._first, self._before = {}, None
        self._carried = None  # Beside the output: c of an LSTM.

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
        y = self._call.affine(x, gain, shift, like=self._first.get(role))
        self._first.setdefault(role, y)
        return y

    def biases(self):
        """Returns those of the product of the input and of the state."""
        if not self._cell.use_bias:
            return 0.0, 0.0
        return np.float64(compat.to_numpy(self._cell.bias)), 0.0

    axes = 1
    """How many axes a value of one time step has."""

    @property
    def _units(self):
        return self._cell.units

    def of_inputs(self, x, count):
        """Adds the product of the layer's input, at `count` steps at once."""
        return self.of_input(x, "input")

    def of_input(self, x, name):
        """Adds the product of an input, with the quantizer of that name."""
        return self._linear(x, "kernel", name, self.biases()[0])

    def step(self, x, *mask):
        """Adds a time step; returns its output.

        Args:
            x: The product of its input.
            *mask: The mask of this step, and its inverse; none if it counts
                for all examples.
        """
        before, carried = self._before, self._carried
        self._before = self._step(x, before)
        if mask:
            self._before = held(self._call, self._before, before, *mask)
        if mask and self._carried is not None:
            self._carried = held(self._call, self._carried, carried, *mask)
        return self._before

    def _of_state(self, state):
        """Adds the product of a state."""
        return self._linear(state, "recurrent_kernel", None, self.biases()[1])

    def _linear(self, x, attribute, reads, bias):
        name = self.prefix + attribute
        y = self._product_with(x, attribute, name, reads)
        if not np.any(bias):
            return y
        return self._affine(f"{name} and bias", y, 1.0, bias)

    def _product_with(self, x, attribute, name, reads):
        """Adds the product with a kernel."""

        def compute(x):
            kernel = compat.full_precision(getattr(self._cell, attribute))
            kernel = self._call.rounded(name, kernel)
            return self._call.rounded(reads, x) @ kernel

        return self._add(
            name, "FULLY_CONNECTED", [x], compute, kernel=name, reads=reads
        )

    def _state(self, output):
        """Adds what the next time step reads of an output."""
        return self._call.quantize(output, f"{self.prefix}state")

    def _parts(self, z, count):
        """Adds slices of the cell's units each."""
        return [self._part(z, self._units * i) for i in range(count)]

    def _part(self, z, first):
        end, begin = first + self._units, (*[0] * self.axes, first)
        return self._call.add(
            "SLICE", [z], lambda x: x[..., first:end], begin=begin
        )

    def _opened(self, x):
        """Adds the activation of a gate."""
        return activate(self._call, x, self._cell.recurrent_activation)

    def _activated(self, x):
        return activate(self._call, x, self._cell.activation)


class _Simple(_Cell):
    """h = activation(x W + b + h U)."""

    def _step(self, x, before):
        if before is not None:
            x = self._sum("sum", x, self._of_state(self._state(before)))
        return self._activated(x)


class _LSTM(_Cell):
    """c = f c + i activation(new);  h = o activation(c)."""

    def _step(self, x, before):
        if before is not None:
            x = self._sum("sum", x, self._of_state(self._state(before)))
        i, f, new, o = self._parts(x, 4)
        role = "carried" if before is None else "new"
        c = self._product(role, self._opened(i), self._activated(new))
        if before is not None:
            kept = self._product("kept", self._opened(f), self._carried)
            c = self._sum("carried", kept, c)
        self._carried = c
        return self._product("output", self._opened(o), self._activated(c))


class _ConvLSTM(_LSTM):
    """Likewise with convolutions of pictures, or of rows."""

    def __init__(self, call, cell, prefix):
        super().__init__(call, cell, prefix)
        self._one_axis = len(cell.kernel_size) == 1
        self.axes = 1 + len(cell.kernel_size)

    @property
    def _units(self):
        return self._cell.filters

    def of_inputs(self, x, count):
        """Time steps are examples of one convolution."""
        call = self._call
        x = call.add(
            "RESHAPE", [x], lambda x: tf.reshape(x, [-1, *x.shape[2:]])
        )
        y = self.of_input(x, "input")
        return call.add(
            "RESHAPE", [y], lambda y: tf.reshape(y, [-1, count, *y.shape[1:]])
        )

    def _product_with(self, x, attribute, name, reads):
        cell = self._cell
        strides, padding, dilation = (1, 1), "SAME", (1, 1)
        if attribute == "kernel":
            strides, dilation = pair(cell.strides), pair(cell.dilation_rate)
            padding = cell.padding.upper()

        def compute(x):
            kernel = compat.full_precision(getattr(cell, attribute))
            kernel = self._call.rounded(name, kernel)
            if self._one_axis:
                kernel = kernel[tf.newaxis]
            x = self._call.rounded(reads, x)
            return tf.nn.conv2d(x, kernel, strides, padding, dilations=dilation)

        if self._one_axis:
            x = self._call.add("RESHAPE", [x], lambda x: x[:, tf.newaxis])
        y = self._add(
            name,
            "CONV_2D",
            [x],
            compute,
            kernel=name,
            reads=reads,
            strides=strides,
            padding=padding,
            dilation=dilation,
        )
        if not self._one_axis:
            return y
        return self._call.add("RESHAPE", [y], lambda y: y[:, 0])


class _GRU(_Cell):
    """h = new + z (h - new);  new = activation(x W + r (h U))."""

    def biases(self):
        """What the reset gate does not multiply goes to the input."""
        if not self._cell.use_bias:
            return 0.0, 0.0
        of_input, of_state = np.float64(compat.to_numpy(self._cell.bias))
        gates = np.arange(of_state.size) < 2 * self._cell.units
        return of_input + of_state * gates, of_state * ~gates

    def _step(self, x, before):
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


CELLS = {
    "ConvLSTMCell": _ConvLSTM,
    "GRUCell": _GRU,
    "LSTMCell": _LSTM,
    "SimpleRNNCell": _Simple,
}
"""`{class of Keras: class with a method `step`}`."""
