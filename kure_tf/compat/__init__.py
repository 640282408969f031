"""The one package that knows Keras 3 from tf_keras."""

from kure_tf.compat.active import (
    IS_KERAS_3,
    KERAS_NAME,
    KERAS_VERSION,
    check_active_keras,
    keras,
    keras_of,
    register_serializable,
)
from kure_tf.compat.clone import (
    clone_model,
    copy_compilation,
    copy_layer,
)
from kure_tf.compat.graph import (
    check_graph_model,
    graph_edges,
    is_graph_model,
    layers_of,
    output_layers,
    output_shape,
)
from kure_tf.compat.kernels import (
    Kernel,
    kernels_of,
)
from kure_tf.compat.saved import (
    load_model,
    saved_keras,
)
from kure_tf.compat.state import (
    add_state,
    computing_with,
    full_precision,
    tf_variable,
    to_numpy,
)

__all__ = [
    "IS_KERAS_3",
    "KERAS_NAME",
    "KERAS_VERSION",
    "Kernel",
    "add_state",
    "check_active_keras",
    "check_graph_model",
    "clone_model",
    "computing_with",
    "copy_compilation",
    "copy_layer",
    "full_precision",
    "graph_edges",
    "is_graph_model",
    "keras",
    "keras_of",
    "kernels_of",
    "layers_of",
    "load_model",
    "output_layers",
    "output_shape",
    "register_serializable",
    "saved_keras",
    "tf_variable",
    "to_numpy",
]
