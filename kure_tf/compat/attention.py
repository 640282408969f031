"""What attention multiplies inside of a call."""

import contextlib
import inspect

from kure_tf.compat.kernels import kind_of

_INPUTS = ("query", "key", "value")


def attention_products(layer) -> tuple[str, ...]:
    """Returns the names of what attention multiplies inside.

    The projected "query" and "key", whose product the scores are; the
    "probabilities" and the projected "value", whose product is the "context";
    and that, which the output projection takes. Fused attention shows no
    probabilities, a gate changes the context. () for other layers.
    """
    if kind_of(layer) not in ("MultiHeadAttention", "GroupQueryAttention"):
        return ()
    gated = getattr(layer, "_use_gate", getattr(layer, "use_gate", False))
    return (
        *_INPUTS,
        *(("probabilities",) if _shows_probabilities(layer) else ()),
        *(() if gated else ("context",)),
    )


def _shows_probabilities(layer):
    return not getattr(layer, "_flash_attention", False)


@contextlib.contextmanager
def changing_attention(layer, change):
    """While open, attention multiplies `change(name, tensor)`.

    Keras 3 then computes the two products one after the other, as it does
    whenever scores are asked for.
    """
    names = attention_products(layer)
    compute, softmax = layer._compute_attention, layer._masked_softmax
    signature = inspect.signature(compute)

    def changed(name, tensor):
        return change(name, tensor) if name in names else tensor

    def changed_softmax(*args, **kwargs):
        return changed("probabilities", softmax(*args, **kwargs))

    def changed_compute(query, key, value, *args, **kwargs):
        tensors = map(changed, _INPUTS, (query, key, value))
        call = signature.bind(*tensors, *args, **kwargs)
        if _shows_probabilities(layer):
            _ask_for_scores(layer, call)
        context, scores = compute(*call.args, **call.kwargs)
        return changed("context", context), scores

    # Past Keras' tracking of attributes.
    object.__setattr__(layer, "_compute_attention", changed_compute)
    object.__setattr__(layer, "_masked_softmax", changed_softmax)
    try:
        yield
    finally:
        object.__delattr__(layer, "_compute_attention")
        object.__delattr__(layer, "_masked_softmax")


def _ask_for_scores(layer, call):
    """Keeps Keras 3 from the fused operation; tf_keras has none."""
    if "return_attention_scores" in call.signature.parameters:
        call.arguments["return_attention_scores"] = True
    elif hasattr(layer, "_return_attention_scores"):
        layer._return_attention_scores = True  # Each call sets it anew.
