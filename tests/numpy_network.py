"""Layers of image classifiers, written once more with NumPy sums."""

import numpy as np


class NumpyNetwork:
    """Computes in float64 with the weights of a Keras model's layers.

    Args:
        model: A built Keras model without nested models.
    """

    def __init__(self, model):
        self._layers = {layer.name: layer for layer in model.layers}

    def weights(self, name):
        """Returns the weights of the layer `name`."""
        return [
            np.array(w, np.float64) for w in self._layers[name].get_weights()
        ]

    def conv(self, x, name, stride=1):
        """A convolution that pads the same on every side, as torch does."""
        (kernel,) = self.weights(name)
        return sum(
            seen @ kernel[i, j] for i, j, seen in _windows(x, kernel, stride)
        )

    def depthwise(self, x, name, stride=1):
        """A depthwise convolution, padded as `conv` pads."""
        (kernel,) = self.weights(name)
        return sum(
            seen * kernel[i, j, :, 0]
            for i, j, seen in _windows(x, kernel, stride)
        )

    def norm(self, x, name):
        """Batch normalization by its moving statistics."""
        gamma, beta, mean, variance = self.weights(name)
        return (x - mean) / np.sqrt(variance + 1e-5) * gamma + beta

    def dense(self, x, name):
        """A dense layer."""
        kernel, bias = self.weights(name)
        return x @ kernel + bias


def _windows(x, kernel, stride):
    """Yields (i, j, what kernel[i, j] meets) for each place in the kernel."""
    size = kernel.shape[0]
    side = size // 2
    height, width = x.shape[1:3]
    x = np.pad(x, [(0, 0), (side, side), (side, side), (0, 0)])
    for i in range(size):
        for j in range(size):
            yield i, j, x[:, i : i + height : stride, j : j + width : stride]


def max_pool(x):
    """Maxima over 3 x 3 pixels at stride 2, padded with minus infinity."""
    height, width = x.shape[1:3]
    x = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)], constant_values=-np.inf)
    return np.max(
        [
            x[:, i : i + height : 2, j : j + width : 2]
            for i in range(3)
            for j in range(3)
        ],
        axis=0,
    )


def randomize(model):
    """Gives every weight, the batch statistics too, a random value."""
    rng = np.random.default_rng(1)
    model.set_weights(
        [
            rng.uniform(0.5, 1.5, w.shape)
            if w.ndim == 1
            else rng.normal(0, np.sqrt(1 / _inputs(w.shape)), w.shape)
            for w in model.get_weights()
        ]
    )


def _inputs(shape):
    """Returns how many inputs one output of a kernel sees."""
    depthwise = len(shape) == 4 and shape[-1] == 1
    return np.prod(shape[:2] if depthwise else shape[:-1])


def images(count, shape):
    """Returns float32 images of normal noise."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(count, *shape)).astype(np.float32)
