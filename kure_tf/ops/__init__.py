"""Numerics in TensorFlow and NumPy, without Keras."""

from kure_tf.ops.fake_quantize import fake_quantize
from kure_tf.ops.grid import GRIDS, Grid
from kure_tf.ops.kurtosis import kurtosis

__all__ = ["GRIDS", "Grid", "fake_quantize", "kurtosis"]
