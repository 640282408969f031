import importlib.util
import pathlib
import unittest

import numpy as np
import scipy.stats
import tensorflow as tf

from kure_tf import KurtosisMonitor, fake_quantize_model
from kure_tf.compat import keras
from kure_tf.fake_quantized import Placement


def _model(kernels=True):
    layers = keras.layers
    inner = keras.Sequential(
        [keras.Input((4,)), layers.Dense(4, name="deep")], name="inner"
    )
    stack = [layers.LayerNormalization(name="norm")]
    if kernels:
        stack += [inner, layers.Dense(2, name="last")]
    return _compiled(keras.Sequential([keras.Input((4,)), *stack]))


def _compiled(model):
    model.compile("sgd", "mse", run_eagerly=True)
    return model


def _fit(model, *callbacks, epochs=1):
    x = np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32)
    y = np.zeros((4, model.output_shape[-1]), np.float32)
    return model.fit(
        x, y, epochs=epochs, verbose=0, callbacks=list(callbacks)
    ).history


def _kurtosis(kernel):
    return scipy.stats.kurtosis(np.array(kernel).ravel(), fisher=False)


class _After(keras.callbacks.Callback):
    """Keeps the logs that callbacks behind the monitor see."""

    def on_epoch_end(self, epoch, logs=None):
        self.logs = dict(logs)


class KurtosisMonitorTest(tf.test.TestCase):
    def test_logs_each_kernel_and_the_mean_at_epoch_ends(self):
        model, after = _model(), _After()

        history = _fit(model, KurtosisMonitor(), after, epochs=2)

        expected = {
            "inner/deep/kernel": _kurtosis(
                model.get_layer("inner").get_layer("deep").kernel
            ),
            "last/kernel": _kurtosis(model.get_layer("last").kernel),
        }
        for path, value in expected.items():
            self.assertLen(history[f"kurtosis/{path}"], 2)
            self.assertAllClose(
                history[f"kurtosis/{path}"][-1], value, rtol=1e-4
            )
        mean = np.mean(list(expected.values()))
        self.assertAllClose(history["kurtosis"][-1], mean, rtol=1e-4)
        self.assertAllClose(after.logs["kurtosis"], mean, rtol=1e-4)

    def test_can_log_the_mean_alone(self):
        history = _fit(_model(), KurtosisMonitor(each_layer=False))
        self.assertIn("kurtosis", history)
        self.assertEmpty([name for name in history if "/" in name])

    def test_sees_the_kernels_of_a_fake_quantized_model(self):
        model = fake_quantize_model(_model(), Placement())
        history = _fit(_compiled(model), KurtosisMonitor())
        self.assertIn("kurtosis/inner/deep/kernel", history)

    def test_a_model_without_kernels_logs_nothing(self):
        history = _fit(_model(kernels=False), KurtosisMonitor())
        self.assertEqual(list(history), ["loss"])

    @unittest.skipUnless(
        importlib.util.find_spec("tensorboard"), "Needs TensorBoard."
    )
    def test_writes_summaries_for_tensorboard(self):
        folder = pathlib.Path(self.get_temp_dir()) / "logs"

        history = _fit(_model(), KurtosisMonitor(folder), epochs=2)

        written = {}
        for path in folder.rglob("events*"):
            for event in tf.compat.v1.train.summary_iterator(str(path)):
                for value in event.summary.value:
                    number = float(tf.make_ndarray(value.tensor))
                    written.setdefault(value.tag, []).append(
                        (event.step, number)
                    )
        self.assertEqual(
            sorted(written),
            ["kurtosis", "kurtosis/inner/deep/kernel", "kurtosis/last/kernel"],
        )
        steps, values = zip(*written["kurtosis"], strict=True)
        self.assertEqual(steps, (0, 1))
        self.assertAllClose(values, history["kurtosis"], rtol=1e-5)


if __name__ == "__main__":
    tf.test.main()
