"""The quantized tensors of a forward pass, for gradients by them."""

import contextlib
import contextvars

import tensorflow as tf

from kure_tf.fake_quantized.tensors import quantizers_of

_TAP = contextvars.ContextVar("kure_tf_tap", default=None)


# Its Python is to run as it is: tf_keras would convert all of it, which takes
# most of the time that making a model takes.
@tf.autograph.experimental.do_not_convert
def quantized(quantizer, x, state):
    """Returns `quantizer(x, state)`, shown to the tap, if one is open.

    Every host calls its quantizers through this.
    """
    result = quantizer(x, state)
    tap = _TAP.get()
    if tap is not None:
        tap(state, x, result)
    return result


def is_tapped() -> bool:
    """Whether a tap is open: it sees nothing of what is in a loop's body."""
    return _TAP.get() is not None


@contextlib.contextmanager
def tapping(model, tap):
    """While open, each tensor that `model` quantizes goes to `tap`.

    A graph that is traced meanwhile has what `tap` did in it, such as
    `tape.watch(after)`.

    Args:
        model: A fake-quantized model.
        tap: Called with (tensor path, tensor before, tensor after); once for
            each time that a shared layer is called.
    """
    paths = {
        id(tensor.state.step_size): path
        for path, tensor in quantizers_of(model).items()
    }

    def known(state, before, after):
        path = paths.get(id(state.step_size))
        if path is not None:
            tap(path, before, after)

    token = _TAP.set(known)
    try:
        yield
    finally:
        _TAP.reset(token)
