"""The progress bar of a training run."""

import threading
import time

from kure_tf.compat import keras
from kure_tf.progress import ProgressBar

_SECONDS = 0.2  # Between two looks at the metrics.


class EpochBar(keras.callbacks.Callback):
    """Shows one bar per epoch, with the metrics so far, on standard error."""

    # Both tell Keras that it need not wait for each step's metrics.
    _supports_tf_logs = True
    async_safe = True

    def __init__(self, epochs, steps):
        super().__init__()
        self._epochs = epochs
        self._steps = steps
        self._bar = None
        self._lock = threading.Lock()
        self._shown_at = 0.0

    def on_epoch_begin(self, epoch, logs=None):
        self._bar = ProgressBar(
            what=f"Epoch {epoch + 1}/{self._epochs}",
            total=self._steps,
            unit=" steps",
            leave=True,
        )

    def on_train_batch_end(self, batch, logs=None):
        with self._lock:  # Keras 3 may call from several threads.
            self._bar.update(1)
            if time.monotonic() - self._shown_at >= _SECONDS:
                self._shown_at = time.monotonic()
                self._show(logs, ("loss", "accuracy"), refresh=False)

    def on_epoch_end(self, epoch, logs=None):
        names = ("loss", "accuracy", "val_loss", "val_accuracy", "kurtosis")
        self._show(logs, names)
        self.close()

    def close(self):
        """Ends the bar of the current epoch, if there is one."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _show(self, logs, names, *, refresh=True):
        values = {
            name: f"{float(logs[name]):.4f}"
            for name in names
            if name in (logs or {})
        }
        self._bar.set_postfix(values, refresh=refresh)
