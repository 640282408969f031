"""The flag of what is measured."""

from absl import flags

METRIC = flags.DEFINE_string(
    "metric",
    None,
    "What to measure: a metric of kure_tf.evaluation, such as top_5 or "
    "cross_entropy; or package.module:function of (labels, outputs), marked by "
    "kure_tf.evaluation.metric. Default: accuracy; of targets the loss.",
)


def metric():
    """Returns the metric that the flag names, None for none."""
    from kure_tf import runs

    return METRIC.value and runs.load_metric(METRIC.value)
