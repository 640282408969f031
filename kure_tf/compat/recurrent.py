"""What recurrent layers multiply step by step."""

import contextlib
import functools

import tensorflow as tf

from kure_tf.compat.batch_norm import calling
from kure_tf.compat.kernel import part_of
from kure_tf.compat.kernels import kernels_of

# Where Keras asks whether to leave the cell out for a fused operation.
_FUSED = ("use_cudnn", "_could_use_gpu_kernel")


def recurrent_products(layer) -> tuple[str, ...]:
    """Returns the names of what cells multiply beside a layer's own input.

    "state", the output of the step before (of a GRU also what it carries on,
    which is one tensor). A GRU with `reset_after=False` multiplies the state
    by a gate first: it has none here. A cell of a user's own has one if its
    `kure_tf_kernels` name a "recurrent_kernel". Of stacked cells each but the
    first has an "input", too: the output of the one before. All with the
    prefix of the kernel.
    """
    return (*_states_of(layer), *_inputs_of_cells(layer))


def _states_of(layer):
    """Returns `{name: cell}` of the states that kernels are multiplied by."""
    return {
        f"{kernel.prefix}state": cell
        for cell, kernel in _recurrent(layer)
        if getattr(cell, "reset_after", True)
    }


def _recurrent(layer):
    """Yields each cell that has a state, and its recurrent kernel."""
    for kernel in kernels_of(layer):
        if kernel.attribute == "recurrent_kernel":
            cell = kernel.owner_in(layer)
            if hasattr(cell, "state_size"):
                yield cell, kernel


def _inputs_of_cells(layer):
    """Returns `{name: cell}` of stacked cells that read what another made."""
    found = {}
    for kernel in kernels_of(layer):
        for place, key in enumerate(kernel.owner):
            before, stacked, _ = kernel.prefix.partition(f"cell_{key}_")
            if stacked and key:
                cell = _inside(layer, kernel.owner[: place + 1])
                found[f"{before}{stacked}input"] = cell
    return found


def _inside(layer, owner):
    return functools.reduce(part_of, owner, layer)


@contextlib.contextmanager
def changing_recurrent(layer, change, unrolled):
    """While open, cells compute with `change(name, tensor)` of each product.

    Args:
        layer: A layer with `recurrent_products`.
        change: Returns what a cell is given in place of a tensor.
        unrolled: See `changing_products`.
    """
    with contextlib.ExitStack() as stack:
        for change_call, cells in (
            (_with_state, _states_of(layer)),
            (_with_input, _inputs_of_cells(layer)),
        ):
            for name, cell in cells.items():
                call = change_call(cell, functools.partial(change, name))
                stack.enter_context(calling(cell, call))
        stack.enter_context(step_by_step(layer, unrolled))
        yield


@contextlib.contextmanager
def step_by_step(layer, unrolled):
    """While open, a recurrent layer calls its cells, in no fused operation.

    Args:
        layer: Any layer; others than recurrent ones are left alone.
        unrolled: Whether it does so in no loop (but ConvLSTM in tf_keras).
    """
    with contextlib.ExitStack() as stack:
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


def _with_input(cell, change):
    own = cell.call

    @tf.autograph.experimental.do_not_convert
    def call(inputs, *args, **kwargs):
        return own(change(inputs), *args, **kwargs)

    return call


def _loops(layer):
    """Yields the layers that call cells, step by step."""
    for part in getattr(layer, "_flatten_layers", tuple)():
        if hasattr(part, "unroll"):
            yield part


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
