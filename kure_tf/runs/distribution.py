"""Strategies of `tf.distribute` by name."""

import functools
import os
import sys

import tensorflow as tf

from kure_tf.ops.checks import check_choice

STRATEGIES = ("none", "mirrored", "multi_worker", "tpu")


def strategy_named(name) -> tf.distribute.Strategy:
    """Returns a `tf.distribute` strategy; call it before anything is computed.

    Args:
        name: "none", one device; "mirrored", all GPUs of this machine (without
            a GPU: its CPUs, of which there is one unless the process has made
            logical ones), the same strategy at every call; "multi_worker", the
            processes that the environment variable TF_CONFIG names; "tpu",
            those of the environment variable TPU_NAME, else of this machine
            (not tried where there are TPUs).

    Raises:
        ValueError: If there is no such strategy, TF_CONFIG is missing, or there
            are no TPUs.
    """
    check_choice("distribution", name, STRATEGIES)
    if name == "mirrored":
        return _mirrored()
    if name == "multi_worker":
        _check_tf_config()
        return _said(tf.distribute.MultiWorkerMirroredStrategy())
    if name == "tpu":
        return _said(_tpu_strategy())
    return tf.distribute.get_strategy()


# Two strategies number their sums alike, and TensorFlow mixes these up.
@functools.cache
def _mirrored():
    return _said(tf.distribute.MirroredStrategy(_devices()))


def _devices():
    gpus = tf.config.list_logical_devices("GPU")
    found = gpus or tf.config.list_logical_devices("CPU")
    return [device.name for device in found]


def _check_tf_config():
    if not os.environ.get("TF_CONFIG"):
        raise ValueError(
            "distribution='multi_worker' needs the environment variable "
            "TF_CONFIG, which tells each process of the others: "
            '\'{"cluster": {"worker": ["host0:2222", "host1:2222"]}, '
            '"task": {"type": "worker", "index": 0}}\'. On one machine: '
            "distribution='mirrored'."
        )


def _tpu_strategy():
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(
            os.environ.get("TPU_NAME", "local")
        )
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (ValueError, RuntimeError, tf.errors.OpError) as error:
        raise ValueError(
            "distribution='tpu' needs a machine with TPUs. TensorFlow finds "
            f"none: {error} Elsewhere: distribution='mirrored'."
        ) from error
    return tf.distribute.TPUStrategy(resolver)


def _said(strategy):
    replicas = strategy.num_replicas_in_sync
    print(
        f"{type(strategy).__name__}: {replicas} replica"
        f"{'s' if replicas > 1 else ''}.",
        file=sys.stderr,
    )
    return strategy
