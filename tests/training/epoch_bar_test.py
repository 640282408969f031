import contextlib
import io

import tensorflow as tf
from absl.testing import parameterized

from kure_tf.training.epoch_bar import EpochBar


class EpochBarTest(tf.test.TestCase, parameterized.TestCase):
    def test_bar_shows_epoch_steps_and_metrics(self):
        stream = io.StringIO()
        stream.isatty = lambda: True
        with contextlib.redirect_stderr(stream):
            bar = EpochBar(epochs=3, steps=2)
            bar.on_epoch_begin(1)
            for step in range(2):
                bar.on_train_batch_end(step, {"loss": 1.5, "accuracy": 0.25})
            bar.on_epoch_end(1, {"loss": 1.25, "val_accuracy": 0.5})

        for words in ("Epoch 2/3", "2/2", "loss=1.2500", "val_accuracy=0.5000"):
            self.assertIn(words, stream.getvalue())

    def test_closing_without_an_epoch_does_nothing(self):
        EpochBar(epochs=1, steps=1).close()


if __name__ == "__main__":
    tf.test.main()
