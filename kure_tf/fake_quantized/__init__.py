"""Fake-quantized models: placement, the hosting layer, and what sets them."""

from kure_tf.fake_quantized.fold import fold_batch_norm
from kure_tf.fake_quantized.kept_state import kept_state
from kure_tf.fake_quantized.layer import FakeQuantized, kernels_in
from kure_tf.fake_quantized.model import (
    fake_quantize_model,
    operating_point_of,
    quantizers_of,
    set_operating_point,
    set_step_sizes,
)
from kure_tf.fake_quantized.placement import (
    SCHEMES,
    Placement,
    paper_placement,
    tflite_placement,
)

__all__ = [
    "SCHEMES",
    "FakeQuantized",
    "Placement",
    "fake_quantize_model",
    "fold_batch_norm",
    "kept_state",
    "kernels_in",
    "operating_point_of",
    "paper_placement",
    "quantizers_of",
    "set_operating_point",
    "set_step_sizes",
    "tflite_placement",
]
