"""What a layer that hosts quantizers says about them."""

import contextlib
import dataclasses

from kure_tf.quantizers import Quantizer, QuantizerState


@dataclasses.dataclass(frozen=True)
class HostedTensor:
    """One quantized tensor of a layer.

    Attributes:
        quantizer: Its `Quantizer`.
        state: Its variables.
        pinned_bits: Bit-width that operating points do not change, or None.
        variable: The kernel's variable; None for an activation.
        layer_path: Path of the layer that the tensor belongs to, where that is
            not the path of the hosting layer.
    """

    quantizer: Quantizer
    state: QuantizerState
    pinned_bits: int | None = None
    variable: object = None
    layer_path: str | None = None


class Observed:
    """What can hand the activations of its calls to an observer.

    It calls `observe` for each, before it is quantized.
    """

    _observer = None

    def observe(self, layer, tensor, values):
        if self._observer is not None:
            self._observer(layer, tensor, values)

    @contextlib.contextmanager
    def observed_by(self, observer):
        """While open, `observer(layer, tensor, values)` sees eager calls."""
        self._observer = observer
        try:
            yield
        finally:
            self._observer = None


def hosted_tensors(layer) -> dict[str, HostedTensor] | None:
    """Returns `{tensor: HostedTensor}` of a layer, None if it hosts none.

    A host is any layer with an attribute `kure_tf_tensors`, the dictionary; an
    attribute `layer`, the layer it computes; and, if an activation is among the
    tensors, a context manager `observed_by(observer)`. It calls its quantizers
    through `quantized`. `FakeQuantized` is one, the wrapper of
    tensorflow-model-optimization another.
    """
    return getattr(layer, "kure_tf_tensors", None)
