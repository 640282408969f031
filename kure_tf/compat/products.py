"""What layers multiply beside their inputs and kernels."""

import contextlib

from kure_tf.compat.attention import attention_products, changing_attention
from kure_tf.compat.recurrent import changing_recurrent, recurrent_products


def products_of(layer) -> tuple[str, ...]:
    """Returns the names of what a layer multiplies beside inputs and kernels.

    Of attention "query", "key", "value", "probabilities" and "context" (see
    `attention_products`), of a recurrent layer "state", and of stacked cells
    "cell_1_input" and so on (see `recurrent_products`). () for other layers.
    """
    return (*attention_products(layer), *recurrent_products(layer))


@contextlib.contextmanager
def changing_products(layer, change, *, unrolled=False):
    """While open, `layer` computes with `change(name, tensor)` of each product.

    Products are then computed one by one, in no fused operation, so that
    answers may differ in their last bits.

    Args:
        layer: A layer with `products_of`.
        change: Returns what is multiplied in place of a tensor.
        unrolled: Whether recurrent layers are unrolled meanwhile: what
            `change` is given in a loop's body is known in there alone.
    """
    with contextlib.ExitStack() as stack:
        if attention_products(layer):
            stack.enter_context(changing_attention(layer, change))
        if recurrent_products(layer):
            stack.enter_context(changing_recurrent(layer, change, unrolled))
        yield
