"""Fake-quantized models: placement, the hosting layer, and what sets them."""

from kure_tf.fake_quantized.apply import (
    apply,
    operating_point_of,
    set_batch_norm_statistics,
    set_operating_point,
    set_step_sizes,
)
from kure_tf.fake_quantized.batch_norm import (
    batch_norm_statistics,
    using_batch_statistics,
)
from kure_tf.fake_quantized.equalize import equalize
from kure_tf.fake_quantized.first_steps import (
    FIRST_BITS,
    check_step_sizes,
    initial_step_sizes,
)
from kure_tf.fake_quantized.fold import (
    fold_batch_norm,
    gain_and_shift,
    norms_behind,
)
from kure_tf.fake_quantized.host import HostedTensor, hosted_tensors
from kure_tf.fake_quantized.integer_weights import (
    IntegerTensor,
    integer_weights,
    integers_of,
)
from kure_tf.fake_quantized.layer import FakeQuantized, kernels_in
from kure_tf.fake_quantized.layer_pairs import LayerPair, layer_pairs
from kure_tf.fake_quantized.model import fake_quantize_model
from kure_tf.fake_quantized.observation import Observation, observe_inputs
from kure_tf.fake_quantized.placement import (
    PLACEMENTS,
    Placement,
    paper_placement,
    tflite_placement,
)
from kure_tf.fake_quantized.quantized_share import (
    QuantizedShare,
    quantized_share,
)
from kure_tf.fake_quantized.restore import keeping
from kure_tf.fake_quantized.strip import strip_quantizers
from kure_tf.fake_quantized.taps import quantized, tapping
from kure_tf.fake_quantized.tensors import in_rows, prepared_rows, quantizers_of
from kure_tf.fake_quantized.unwrap import unwrap_spectral_normalization

__all__ = [
    "FIRST_BITS",
    "FakeQuantized",
    "HostedTensor",
    "IntegerTensor",
    "LayerPair",
    "Observation",
    "Placement",
    "PLACEMENTS",
    "apply",
    "batch_norm_statistics",
    "check_step_sizes",
    "equalize",
    "fake_quantize_model",
    "fold_batch_norm",
    "gain_and_shift",
    "hosted_tensors",
    "in_rows",
    "initial_step_sizes",
    "integer_weights",
    "integers_of",
    "keeping",
    "kernels_in",
    "layer_pairs",
    "norms_behind",
    "observe_inputs",
    "operating_point_of",
    "paper_placement",
    "prepared_rows",
    "quantized",
    "QuantizedShare",
    "quantized_share",
    "quantizers_of",
    "set_batch_norm_statistics",
    "set_operating_point",
    "set_step_sizes",
    "strip_quantizers",
    "tapping",
    "tflite_placement",
    "unwrap_spectral_normalization",
    "using_batch_statistics",
]
