"""The flag of many devices."""

from absl import flags

DISTRIBUTION = flags.DEFINE_enum(
    "distribution",
    "none",
    ["none", "mirrored", "multi_worker", "tpu"],
    "The tf.distribute strategy. mirrored: all GPUs of this machine; "
    "multi_worker: the processes of TF_CONFIG, each started with the same "
    "command (training alone); tpu. --batch_size is that of all replicas "
    "together, and --learning_rate is used as it is.",
)


def strategy():
    """Returns the strategy that the flag names; before anything is computed."""
    from kure_tf import runs

    return runs.strategy_named(DISTRIBUTION.value)


def scope():
    """Returns the scope of that strategy, for a whole run of a tool.

    All replicas train the model and answer with it; what calibrates or searches
    looks at the first one.
    """
    if DISTRIBUTION.value == "multi_worker":
        raise ValueError(
            "Expected --distribution=none, mirrored or tpu. Received: "
            "multi_worker, which is for tools/train.py, where workers wait for "
            "each other. The points of tools/sweep.py do not: give each "
            "machine a part of them, --shard=0/2 and --shard=1/2."
        )
    return strategy().scope()
