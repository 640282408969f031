"""What is inside wrappers that compute another layer as it is."""

from kure_tf.compat.graph import is_time_distributed
from kure_tf.compat.spectral_normalization import is_normalized


def without_wrappers(layer):
    """Returns `(layer, depth)`: what wrappers compute, and at how many axes.

    `SpectralNormalization` computes in inference what the layer in it does,
    `TimeDistributed` calls one for each entry of an axis; `depth` counts
    these.
    """
    depth = 0
    while True:
        if is_time_distributed(layer):
            depth += 1
        elif not is_normalized(layer):
            return layer, depth
        layer = layer.layer
