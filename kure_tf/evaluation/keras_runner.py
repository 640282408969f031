"""A Keras model as a `Runner`."""

import tensorflow as tf

from kure_tf import compat
from kure_tf.data.ports import input_ports, input_signature, output_ports
from kure_tf.evaluation.runner import Runner


def keras_runner(model) -> Runner:
    """Returns what a model answers in inference, compiled once.

    Variables may change in between, such as those of an operating point:
    nothing is traced again. Outputs of less than float32 are widened to it.

    Made in the scope of a `tf.distribute` strategy, it has each replica of this
    process answer a part of every batch. Examples do not depend on each other:
    the answers are those of one device, but for the last bits where a kernel's
    sums depend on the size of the batch.

    Args:
        model: A built functional or sequential model, plain or fake-quantized.

    Raises:
        TypeError, ValueError: If `model` is subclassed, unbuilt or of the
            other Keras.
    """
    compat.check_graph_model(model)

    def answers(inputs):
        outputs = model(inputs, training=False)
        return [_widened(one) for one in tf.nest.flatten(outputs)]

    ports = input_ports(model)
    size = tf.nest.flatten(ports)[0].shape[0]
    # A model of one batch size takes no parts of it.
    if size is None and tf.distribute.has_strategy():
        answers = _spread(answers, tf.distribute.get_strategy())
    run = tf.function(
        answers, input_signature=[input_signature(model)], autograph=False
    )

    def answer(inputs):
        outputs = run(tf.nest.pack_sequence_as(ports, inputs))
        return [one.numpy() for one in outputs]

    return Runner(
        model.name,
        ports,
        output_ports(model),
        answer,
        size,
        model=model,
    )


def _spread(answers, strategy):
    """Returns `answers`, computed by all replicas of this process."""
    replicas = len(strategy.extended.worker_devices)

    def of_own_part(inputs):
        context = tf.distribute.get_replica_context()
        number = context.replica_id_in_sync_group % replicas

        def own(x):
            count = tf.shape(x)[0]
            begin, end = (count * k // replicas for k in (number, number + 1))
            return x[begin:end]

        return answers(tf.nest.map_structure(own, inputs))

    def of_all(inputs):
        return [
            tf.concat(strategy.experimental_local_results(parts), 0)
            for parts in strategy.run(of_own_part, args=(inputs,))
        ]

    return of_all


def _widened(output):
    if output.dtype.is_floating and output.dtype.size < 4:
        return tf.cast(output, tf.float32)
    return output
