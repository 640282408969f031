"""The progress bar of a training run."""

import sys
import threading
import time

from kure_tf.compat import keras


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
        # A log file gets a line now and then instead of ten a second.
        self._interval = 0.2 if sys.stderr.isatty() else 10.0
        self._shown_at = 0.0

    def on_epoch_begin(self, epoch, logs=None):
        import tqdm

        self._bar = tqdm.tqdm(
            total=self._steps,
            desc=f"Epoch {epoch + 1}/{self._epochs}",
            unit=" steps",
            file=sys.stderr,
            mininterval=self._interval,
        )

    def on_train_batch_end(self, batch, logs=None):
        with self._lock:  # Keras 3 may call from several threads.
            self._bar.update(1)
            if time.monotonic() - self._shown_at >= self._interval:
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
