"""A callback that shows the kurtosis of each layer while training."""

import pathlib

import tensorflow as tf

from kure_tf import compat
from kure_tf.compat import keras
from kure_tf.fake_quantized import kernels_in
from kure_tf.ops.kurtosis import kurtosis


class KurtosisMonitor(keras.callbacks.Callback):
    """Logs the kurtosis of every kernel at the end of each epoch.

    The mean over the kernels joins the logs as `kurtosis`, where the progress
    line and other callbacks see it; each kernel's own as
    `kurtosis/<layer>/<kernel>`.

    Args:
        log_dir: Folder for TensorBoard summaries; None writes none.
        each_layer: Whether the logs hold each kernel, beside the mean.
    """

    def __init__(self, log_dir=None, *, each_layer=True):
        super().__init__()
        self._each_layer = each_layer
        self._writer = None
        if log_dir is not None:
            self._writer = tf.summary.create_file_writer(
                str(pathlib.Path(log_dir) / "kurtosis")
            )

    def on_epoch_end(self, epoch, logs=None):
        values = {
            path: float(kurtosis(compat.full_precision(kernel)))
            for path, kernel in kernels_in(self.model)
        }
        if not values:
            return
        mean = sum(values.values()) / len(values)
        if logs is not None:
            logs["kurtosis"] = mean
            if self._each_layer:
                logs.update({f"kurtosis/{k}": v for k, v in values.items()})
        if self._writer is not None:
            with self._writer.as_default(step=epoch):
                tf.summary.scalar("kurtosis", mean)
                for path, value in values.items():
                    tf.summary.scalar(f"kurtosis/{path}", value)
            self._writer.flush()
