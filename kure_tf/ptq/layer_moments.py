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
from kure_tf.ptq.layer_walk import LayerWalk
from kure_tf.ptq.rounding_search import SecondMoments

# Patches of more values than this are multiplied in several parts.
_VALUES = 1 << 24


class LayerMoments:
    """Measures `SecondMoments` of layers, in the order of the graph.

    Args:
        model: What `fake_quantize_model` returned; its float weights count.
        images: List of the batches.
        reestimated: Whether batch normalization uses batch statistics.
        networks: Names of the networks that are measured at each layer. If
            there are several, the float inputs of all images stay in memory
            meanwhile.
    """

    def __init__(self, model, images, reestimated, *, networks=("",)):
        self.model, self._reestimated = model, reestimated
        self._inputs = {
            id(tensor.layer): tensor
            for tensor in quantizers_of(model).values()
            if tensor.kind == "activation"
        }
        self._norms = norms_behind(model) if reestimated else {}
        float_model = strip_quantizers(model)
        self._float_layers = dict(compat.layers_of(float_model))
        inputs = [  # As tensors, which all networks share.
            tf.nest.map_structure(tf.convert_to_tensor, batch.inputs)
            for batch in images
        ]
        self._float_walk = LayerWalk(float_model, inputs)
        self._walks = {name: LayerWalk(model, inputs) for name in networks}
        self._path, self._wanted = None, None

    def norm_behind(self, host):
        """Returns the re-estimated batch normalization behind, or None."""
        return self._norms.get(host)

    def of(
        self, path, host, view, matrix, *, centered, network=""
    ) -> SecondMoments:
        """Returns those of the network as it stands against the float one.

        The layers come in the order of the graph; those before, and their
        batch normalization, no longer change.

        Args:
            path: Path of the kernel.
            host: The layer that hosts it.
            view: Its `KernelMatrix`.
            matrix: Its float weights in that view.
            centered: Whether means over images and places are subtracted.
            network: The name of the network that the model stands for now.
        """
        moments = SecondMoments(centered=centered)
        given = self._walks[network].inputs_of(host)
        with self._batch_norm():  # Of the quantized network alone.
            for wanted, own in zip(
                self._float_inputs(path), given, strict=True
            ):
                for x, seen in zip(wanted, own, strict=True):
                    quantized = self._quantized(host, seen)
                    for part in _parts(quantized, view, host.layer):
                        moments.add(
                            view.rows(quantized[part]),
                            view.outputs(x[part], matrix),
                        )
        return moments

    def _float_inputs(self, path):
        """Returns the inputs of one layer of the float network, by batches."""
        layer = self._float_layers[path.rpartition("/")[0]]
        if len(self._walks) == 1:
            return self._float_walk.inputs_of(layer)
        if path != self._path:
            self._path, self._wanted = path, None  # The old ones go first.
            self._wanted = list(self._float_walk.inputs_of(layer))
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


def _parts(inputs, view, layer):
    """Yields slices of images whose patches fit into memory."""
    places = np.prod(inputs.shape[1:-1], dtype=int)
    if hasattr(layer, "strides") and "Transpose" in type(layer).__name__:
        places *= np.prod(layer.strides, dtype=int)
    images = max(1, _VALUES // int(places * view.row_values))
    for start in range(0, inputs.shape[0], images):
        yield slice(start, start + images)
