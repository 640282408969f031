"""The states that recurrent layers multiply by their kernels."""

import contextlib
import dataclasses
import functools

import tensorflow as tf

from kure_tf.compat.batch_norm import calling
from kure_tf.compat.kernels import kernels_of

# Where Keras asks whether to leave the cell out for a fused operation.
_FUSED = ("use_cudnn", "_could_use_gpu_kernel")


def states_of(layer) -> dict:
    """Returns `{name: cell}` of the states that kernels are multiplied by.

    That is the output of the step before (of a GRU also what it carries on,
    which is one tensor). A GRU with `reset_after=False` multiplies the state
    by a gate first: it has none here. A cell of a user's own has one if its
    `kure_tf_kernels` name a "recurrent_kernel".
    """
    return {
        name: cell
        for name, cell, _ in _recurrent(layer)
        if getattr(cell, "reset_after", True)
    }


def _recurrent(layer):
    """Yields name of the state, cell, and the way to it, of each cell."""
    for kernel in kernels_of(layer):
        if kernel.attribute == "recurrent_kernel":
            cell = kernel.owner_in(layer)
            if hasattr(cell, "state_size"):
                yield f"{kernel.prefix}state", cell, kernel


@contextlib.contextmanager
def changing_states(layer, change, unrolled):
    """While open, each step is given `change(name, state)`.

    Args:
        layer: A layer with `states_of`.
        change: Returns what a step is given in place of a state.
        unrolled: See `changing_products`.
    """
    with contextlib.ExitStack() as stack:
        for name, cell in states_of(layer).items():
            call = _with_state(cell, functools.partial(change, name))
            stack.enter_context(calling(cell, call))
        for loop in _loops(layer):
            flags = {name: False for name in _FUSED if hasattr(loop, name)}
            flags |= {"unroll": True} if unrolled else {}
            stack.enter_context(_having(loop, flags))
        yield


def _with_state(cell, change):
    own = cell.call

    # Autograph of tf_keras is not for what is around the cell.
    @tf.autograph.experimental.do_not_convert
    def call(inputs, states, *args, **kwargs):
        if not isinstance(states, (list, tuple)):
            return own(inputs, change(states), *args, **kwargs)
        first, *others = states
        return own(inputs, [change(first), *others], *args, **kwargs)

    return call


def _loops(layer):
    """Yields the layers that call the cells, step by step."""
    seen = set()
    for _, _, kernel in _recurrent(layer):
        for length in range(len(kernel.owner)):
            outer = dataclasses.replace(kernel, owner=kernel.owner[:length])
            loop = outer.owner_in(layer)
            if hasattr(loop, "unroll") and id(loop) not in seen:
                seen.add(id(loop))
                yield loop


@contextlib.contextmanager
def _having(layer, flags):
    before = {name: getattr(layer, name) for name in flags}
    try:
        for name, value in flags.items():
            setattr(layer, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(layer, name, value)
