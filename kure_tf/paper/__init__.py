"""The paper: its theory, experiments and reference code, beside ours."""

from kure_tf.paper.reference_bias_correction import reference_bias_correction
from kure_tf.paper.reference_parity import reference_parity
from kure_tf.paper.weight_shape import weight_shape

__all__ = ["reference_bias_correction", "reference_parity", "weight_shape"]
