"""What is inside wrappers that compute another layer as it is."""

from kure_tf.compat.active import keras_module
from kure_tf.compat.spectral_normalization import is_normalized


def without_wrappers(layer):
    """Returns `(layer, depth)`: what wrappers compute, and at how many axes.

    `SpectralNormalization` computes in inference what the layer in it does,
    `TimeDistributed` calls one for each entry of an axis; `depth` counts
    these. A subclass of the latter may compute something else.
    """
    depth = 0
    while True:
        if type(layer) is keras_module(layer).layers.TimeDistributed:
            depth += 1
        elif not is_normalized(layer):
            return layer, depth
        layer = layer.layer
