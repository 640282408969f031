"""The parts of a batch that the replicas of a `tf.distribute` strategy get."""

import math

import tensorflow as tf

from kure_tf import compat


def is_chief(strategy) -> bool:
    """Returns whether this process is the one that writes files.

    Of several workers it is the one that `TF_CONFIG` calls chief, else the
    first one.
    """
    resolver = strategy.cluster_resolver
    if resolver is None or resolver.task_type is None:
        return True
    if resolver.task_type == "chief":
        return True
    chiefs = resolver.cluster_spec().as_dict().get("chief")
    return not chiefs and resolver.task_id == 0


def check_shares(strategy, batch_size, splits):
    """Raises a ValueError unless each replica has a share of each batch.

    Args:
        strategy: A `tf.distribute.Strategy`.
        batch_size: Images per step, of all replicas together.
        splits: `Split`s that are gone through in such batches.
    """
    replicas = strategy.num_replicas_in_sync
    if replicas == 1:
        return
    if batch_size % replicas:
        raise ValueError(
            "Expected a batch_size, which is that of all replicas together, "
            f"to be a multiple of their number, {replicas}. Received: "
            f"{batch_size}. The next one is "
            f"{math.ceil(batch_size / replicas) * replicas}."
        )
    for split in splits:
        last = split.count % batch_size
        # Keras 3 takes no first batch whose parts differ in size.
        if split.count < batch_size or 0 < last < replicas:
            raise ValueError(
                f"Expected of the split {split.name!r} a full first batch, and "
                f"a last one with an image for each of {replicas} replicas. "
                f"It has {split.count} images, in batches of {batch_size}: "
                "choose another batch_size."
            )


def check_workers(strategy):
    """Raises a ValueError if the Keras in use cannot train on this strategy."""
    several = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
    if several and compat.IS_KERAS_3:
        raise ValueError(
            "Training on several workers needs tf_keras: the `fit` of Keras 3 "
            "takes strategies of one process. Set the environment variable "
            "TF_USE_LEGACY_KERAS=1 before TensorFlow is imported (tools: "
            "--keras=tf_keras)."
        )


def distributed(batches, strategy, *, weighted):
    """Returns `batches` cut into one part for each replica.

    Of b images replica r of n gets those from b r // n to b (r + 1) // n.
    Keras takes the mean loss of each part and then the mean of the parts: with
    the weights n * part / b that is the mean over the batch, also where the
    parts differ in size.

    Every process goes through all images, so that their order is that of one
    process, and keeps the parts of its own replicas.

    Args:
        batches: Data set of (images, labels).
        strategy: A `tf.distribute.Strategy`.
        weighted: Whether elements have these weights as a third member.
    """

    def parts(context):
        replicas = context.num_replicas_in_sync
        own = replicas // context.num_input_pipelines
        first = context.input_pipeline_id * own

        def cut(images, labels):
            count = tf.shape(labels, tf.int64)[0]
            classes = labels.dtype.is_integer

            def part(replica):
                begin = count * replica // replicas
                end = count * (replica + 1) // replicas
                element = tf.nest.map_structure(
                    lambda one: one[begin:end], (images, labels)
                )
                if not weighted:
                    return element
                weight = replicas * (end - begin) / count
                weights = tf.fill([end - begin], tf.cast(weight, tf.float32))
                # Keras 3 wants as many axes as the loss of class numbers has.
                for _ in range(labels.shape.rank - 1 if classes else 0):
                    weights = weights[..., tf.newaxis]
                return *element, weights

            return tf.data.Dataset.range(first, first + own).map(part)

        return batches.flat_map(cut).prefetch(2 * own)

    return strategy.distribute_datasets_from_function(parts)
