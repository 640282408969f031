"""The one package that knows Keras 3 from tf_keras."""

from kure_tf.compat.active import (
    IS_KERAS_3,
    KERAS_NAME,
    KERAS_VERSION,
    check_active_keras,
    is_stock,
    keras,
    keras_module,
    keras_of,
    register_serializable,
)
from kure_tf.compat.arguments import (
    build_for_call,
    by_name,
    call_like,
    distinct_inputs,
    inputs_of,
    with_arguments,
)
from kure_tf.compat.attention import zeroes_the_unseeing
from kure_tf.compat.batch_norm import batch_norms_of, calling
from kure_tf.compat.clone import (
    clone_model,
    copy_compilation,
    copy_layer,
)
from kure_tf.compat.compiled_loss import compiled_loss_of, output_losses_of
from kure_tf.compat.compiled_metrics import binary_threshold_of
from kure_tf.compat.float32 import in_float32
from kure_tf.compat.graph import (
    check_graph_model,
    check_kernels,
    check_one_input_and_output,
    check_one_output,
    graph_edges,
    is_graph_model,
    layers_of,
    model_in,
    output_layers,
    output_names,
    output_shape,
    repeats_models,
)
from kure_tf.compat.kernel import Kernel, channel_shape
from kure_tf.compat.kernels import is_linear, kernels_of, why_no_kernels
from kure_tf.compat.last_activation import (
    check_returns_logits,
    last_activations,
)
from kure_tf.compat.masks import (
    lose_mask_like,
    masks_of_calls,
    with_mask_of,
)
from kure_tf.compat.moments import make_twice_differentiable
from kure_tf.compat.multiply_adds import (
    WITHOUT_KERNEL,
    is_elementwise,
    multiply_adds_of,
)
from kure_tf.compat.products import changing_products, products_of
from kure_tf.compat.recurrent import step_by_step
from kure_tf.compat.replay import (
    Call,
    calls_of,
    functional_inputs,
    input_values,
    is_symbolic,
    note_values,
    replay,
    with_values,
)
from kure_tf.compat.saved import load_model, saved_keras
from kure_tf.compat.spectral_normalization import (
    is_normalized,
    normalized_first,
)
from kure_tf.compat.state import (
    add_state,
    array_hash,
    as_weight,
    computing_with,
    copy_weights,
    full_precision,
    handle_of,
    tf_variable,
    to_numpy,
)
from kure_tf.compat.trained_alike import (
    check_trained_alike,
    training_methods_of,
)
from kure_tf.compat.wrappers import without_wrappers

__all__ = [
    "without_wrappers",
    "why_no_kernels",
    "is_linear",
    "is_normalized",
    "model_in",
    "repeats_models",
    "normalized_first",
    "products_of",
    "changing_products",
    "with_mask_of",
    "lose_mask_like",
    "masks_of_calls",
    "zeroes_the_unseeing",
    "with_arguments",
    "inputs_of",
    "call_like",
    "distinct_inputs",
    "build_for_call",
    "by_name",
    "IS_KERAS_3",
    "KERAS_NAME",
    "KERAS_VERSION",
    "Call",
    "Kernel",
    "WITHOUT_KERNEL",
    "is_elementwise",
    "multiply_adds_of",
    "add_state",
    "array_hash",
    "copy_weights",
    "as_weight",
    "batch_norms_of",
    "binary_threshold_of",
    "calling",
    "calls_of",
    "input_values",
    "note_values",
    "with_values",
    "channel_shape",
    "check_active_keras",
    "check_graph_model",
    "check_kernels",
    "check_one_input_and_output",
    "check_one_output",
    "check_returns_logits",
    "check_trained_alike",
    "clone_model",
    "compiled_loss_of",
    "computing_with",
    "copy_compilation",
    "copy_layer",
    "full_precision",
    "handle_of",
    "functional_inputs",
    "graph_edges",
    "in_float32",
    "is_graph_model",
    "is_stock",
    "is_symbolic",
    "keras",
    "keras_module",
    "keras_of",
    "kernels_of",
    "last_activations",
    "layers_of",
    "load_model",
    "make_twice_differentiable",
    "output_layers",
    "output_losses_of",
    "output_names",
    "output_shape",
    "register_serializable",
    "replay",
    "saved_keras",
    "step_by_step",
    "tf_variable",
    "to_numpy",
    "training_methods_of",
]
