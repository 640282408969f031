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
