"""One graph for all quantizers that are equal."""

import dataclasses
import functools

import tensorflow as tf


def quantize_in_shared_graph(quantizer, x, state):
    """Returns `quantizer.quantize(x, state)`, computed by one shared function.

    A network has dozens of quantized tensors and two or three quantizers that
    differ. Each call becomes one operation of the caller's graph; what is
    behind it is traced, differentiated and optimized once for all tensors of
    one rank and dtype. It has to follow from the quantizer's class, grid and
    `get_config`, which is what makes quantizers equal.

    Args:
        quantizer: A `Quantizer`.
        x: Floating-point tensor.
        state: Its `QuantizerState`.
    """
    x = tf.convert_to_tensor(x)
    fields = [field.name for field in dataclasses.fields(state)]
    tensors = [tf.convert_to_tensor(getattr(state, name)) for name in fields]
    specs = (_any_sizes(x), *map(_shared_sizes, tensors))
    y = _function(quantizer, type(state), specs)(x, *tensors)
    y.set_shape(x.shape)
    return y


def _any_sizes(x):
    rank = x.shape.rank
    return tf.TensorSpec(None if rank is None else [None] * rank, x.dtype)


def _shared_sizes(tensor):
    """Keeps sizes of 1: along those axes a step size is shared."""
    sizes = [size if size == 1 else None for size in tensor.shape]
    return tf.TensorSpec(sizes, tensor.dtype)


@functools.cache
def _function(quantizer, state_class, specs):
    @tf.function(
        input_signature=specs,
        autograph=False,
        # Inlined, it would be optimized again for each tensor.
        experimental_attributes={"_noinline": True},
    )
    def quantize(x, *tensors):
        return quantizer.quantize(x, state_class(*tensors))

    return quantize
