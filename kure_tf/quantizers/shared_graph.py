"""One graph for all quantizers that are equal."""

import dataclasses
import functools

import tensorflow as tf

from kure_tf.compat import handle_of
from kure_tf.ops.sums import is_large


def quantize_in_shared_graph(quantizer, x, state):
    """Returns `quantizer.quantize(x, state)`, computed by one shared function.

    A network has dozens of quantized tensors and two or three quantizers that
    differ. Each call becomes one operation of the caller's graph; what is
    behind it is traced, differentiated and optimized once for all tensors of
    one rank and dtype. It has to follow from the quantizer's class, grid and
    `get_config`, which is what makes quantizers equal. Bits and what else is
    not trained are read in there too: six operations less for each tensor.

    Args:
        quantizer: A `Quantizer`.
        x: Floating-point tensor.
        state: Its `QuantizerState`.
    """
    x = tf.convert_to_tensor(x)
    sizes_of = _all_sizes if is_large(x) else _shared_sizes
    arguments = [
        _argument(field.name, getattr(state, field.name), sizes_of)
        for field in dataclasses.fields(state)
    ]
    specs = tuple(argument.spec for argument in arguments)
    function = _function(quantizer, type(state), _any_sizes(x), specs)
    y = function(x, *(argument.tensor for argument in arguments))
    y.set_shape(x.shape)
    return y


@dataclasses.dataclass(frozen=True)
class _Spec:
    """What is known of a value; `held`: its variable's handle is passed."""

    value: tf.TensorSpec
    held: bool

    @property
    def passed(self):
        return tf.TensorSpec([], tf.resource) if self.held else self.value

    def read(self, tensor):
        if not self.held:
            return tensor
        value = tf.raw_ops.ReadVariableOp(
            resource=tensor, dtype=self.value.dtype
        )
        value.set_shape(self.value.shape)
        return value


@dataclasses.dataclass(frozen=True)
class _Argument:
    tensor: tf.Tensor
    spec: _Spec


def _argument(name, value, sizes_of):
    # Tapes watch step sizes, trained or not: they have to see the read.
    watched = name == "step_size" or getattr(value, "trainable", False)
    handle = None if watched else handle_of(value)
    if handle is None:
        value = tf.convert_to_tensor(value)
        return _Argument(value, _Spec(sizes_of(value), held=False))
    return _Argument(handle, _Spec(sizes_of(value), held=True))


def _any_sizes(x):
    if is_large(x):
        return _all_sizes(x)
    rank = x.shape.rank
    return tf.TensorSpec(None if rank is None else [None] * rank, x.dtype)


def _all_sizes(value):
    """Keeps all sizes: what is done to large tensors, few, depends on them."""
    return tf.TensorSpec(value.shape, value.dtype)


def _shared_sizes(value):
    """Keeps sizes of 1: along those axes a step size is shared."""
    sizes = [size if size == 1 else None for size in value.shape]
    return tf.TensorSpec(sizes, value.dtype)


@functools.cache
def _function(quantizer, state_class, x_spec, specs):
    return tf.function(
        # Of functions that share their code TensorFlow would count the traces
        # together, and warn of too many.
        functools.partial(_quantize, quantizer, state_class, specs),
        input_signature=[x_spec, *(spec.passed for spec in specs)],
        autograph=False,
        # Inlined, it would be optimized again for each tensor.
        experimental_attributes={"_noinline": True},
    )


def _quantize(quantizer, state_class, specs, x, *tensors):
    values = map(_Spec.read, specs, tensors)
    return quantizer.quantize(x, state_class(*values))
