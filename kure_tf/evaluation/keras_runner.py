"""A Keras model as a `Runner`."""

import tensorflow as tf

from kure_tf import compat
from kure_tf.data.ports import input_ports, input_signature, output_ports
from kure_tf.evaluation.runner import Runner


def keras_runner(model) -> Runner:
    """Returns what a model answers in inference, compiled once.

    Variables may change in between, such as those of an operating point:
    nothing is traced again. Outputs of less than float32 are widened to it.

    Args:
        model: A built functional or sequential model, plain or fake-quantized.

    Raises:
        TypeError, ValueError: If `model` is subclassed, unbuilt or of the
            other Keras.
    """
    compat.check_graph_model(model)

    @tf.function(input_signature=[input_signature(model)], autograph=False)
    def run(inputs):
        outputs = model(inputs, training=False)
        return [_widened(one) for one in tf.nest.flatten(outputs)]

    ports = input_ports(model)

    def answer(inputs):
        outputs = run(tf.nest.pack_sequence_as(ports, inputs))
        return [one.numpy() for one in outputs]

    return Runner(
        model.name,
        ports,
        output_ports(model),
        answer,
        tf.nest.flatten(ports)[0].shape[0],
        model=model,
    )


def _widened(output):
    if output.dtype.is_floating and output.dtype.size < 4:
        return tf.cast(output, tf.float32)
    return output
