"""Second moments of what a layer sees, in a network as it stands."""

import contextlib

import numpy as np
import tensorflow as tf

from kure_tf import compat
from kure_tf.fake_quantized import (
    norms_behind,
    quantizers_of,
    strip_quantizers,
    using_batch_statistics,
)
from kure_tf.ptq.rounding_search import SecondMoments

# Patches of more values than this are multiplied in several parts.
_VALUES = 1 << 24


class LayerMoments:
    """Measures `SecondMoments` of layers, in the order of the graph.

    Args:
        model: What `fake_quantize_model` returned; its float weights count.
        images: List of the batches.
        reestimated: Whether batch normalization uses batch statistics.
        several: Whether several networks are measured at each layer: the
            float inputs of all images then stay in memory meanwhile.
    """

    def __init__(self, model, images, reestimated, *, several=False):
        self.model, self._images = model, images
        self._reestimated = reestimated
        self._inputs = {
            id(tensor.layer): tensor
            for tensor in quantizers_of(model).values()
            if tensor.kind == "activation"
        }
        self._norms = norms_behind(model) if reestimated else {}
        self._float_model = strip_quantizers(model)
        self._float_layers = dict(compat.layers_of(self._float_model))
        self._several, self._path, self._wanted = several, None, None

    def norm_behind(self, host):
        """Returns the re-estimated batch normalization behind, or None."""
        return self._norms.get(host)

    def of(self, path, host, view, matrix, *, centered) -> SecondMoments:
        """Returns those of the network as it stands against the float one.

        Args:
            path: Path of the kernel.
            host: The layer that hosts it.
            view: Its `KernelMatrix`.
            matrix: Its float weights in that view.
            centered: Whether means over images and places are subtracted.
        """
        moments = SecondMoments(centered=centered)
        for batch, wanted in zip(
            self._images, self._float_inputs(path), strict=True
        ):
            with self._batch_norm():
                given = _inputs_of(self.model, host, batch.inputs)
            for x, own in zip(wanted, given, strict=True):
                own = self._quantized(host, own)
                for part in _parts(own, view, host.layer):
                    moments.add(
                        view.rows(own[part]), view.outputs(x[part], matrix)
                    )
        return moments

    def _float_inputs(self, path):
        """Returns the inputs of one layer of the float network, by batches."""
        layer = self._float_layers[path.rpartition("/")[0]]
        found = (
            _inputs_of(self._float_model, layer, batch.inputs)
            for batch in self._images
        )
        if not self._several:
            return found
        if path != self._path:
            self._path, self._wanted = path, None  # The old ones go first.
            self._wanted = list(found)
        return self._wanted

    def _batch_norm(self):
        if self._reestimated:
            return using_batch_statistics(self.model)
        return contextlib.nullcontext()

    def _quantized(self, host, inputs):
        tensor = self._inputs.get(id(host))
        if tensor is None:
            return inputs
        return tensor.quantizer(inputs, tensor.state)


class _Seen(BaseException):
    """Ends a forward pass once the wanted layer has its input.

    Keras catches each `Exception` to write the layer's arguments into it.
    """


def _inputs_of(model, layer, inputs):
    """Returns the inputs of all calls of `layer` in one forward pass."""
    seen = []
    own_call, calls = layer.call, _calls(model, layer)

    def call(x, *args, **kwargs):
        seen.append(tf.convert_to_tensor(x))
        if len(seen) == calls:
            raise _Seen
        return own_call(x, *args, **kwargs)

    with compat.calling(layer, call), contextlib.suppress(_Seen):
        model(inputs, training=False)
    return seen


def _calls(model, layer):
    """Returns how often a pass calls `layer`: None if it is nested."""
    graph = [consumer for _, consumer in compat.graph_edges(model)]
    return graph.count(layer) or None


def _parts(inputs, view, layer):
    """Yields slices of images whose patches fit into memory."""
    places = np.prod(inputs.shape[1:-1], dtype=int)
    if hasattr(layer, "strides") and "Transpose" in type(layer).__name__:
        places *= np.prod(layer.strides, dtype=int)
    images = max(1, _VALUES // int(places * view.row_values))
    for start in range(0, inputs.shape[0], images):
        yield slice(start, start + images)
