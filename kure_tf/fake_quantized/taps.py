"""The quantized tensors of a forward pass, for gradients by them."""

import contextlib
import contextvars

from kure_tf.fake_quantized.tensors import quantizers_of

_WATCH = contextvars.ContextVar("kure_tf_watch", default=None)


def quantized(quantizer, x, state):
    """Returns `quantizer(x, state)`, shown to whoever watches.

    Every host calls its quantizers through this.
    """
    result = quantizer(x, state)
    watch = _WATCH.get()
    if watch is not None:
        watch(state, x, result)
    return result


@contextlib.contextmanager
def watching_quantized(model, watch):
    """While open, each tensor that `model` quantizes goes to `watch`.

    A graph that is traced meanwhile has what `watch` did in it, such as
    `tape.watch(after)`.

    Args:
        model: A fake-quantized model.
        watch: Called with (tensor path, tensor before, tensor after); once for
            each time that a shared layer is called.
    """
    paths = {
        id(tensor.state.step_size): path
        for path, tensor in quantizers_of(model).items()
    }

    def known(state, before, after):
        path = paths.get(id(state.step_size))
        if path is not None:
            watch(path, before, after)

    token = _WATCH.set(known)
    try:
        yield
    finally:
        _WATCH.reset(token)
