"""Regression and segmentation through calibration, sweep, report and page."""

import pathlib

import numpy as np
import tensorflow as tf

from kure_tf import OperatingPoint, fake_quantize_model, ptq, run_sweep
from kure_tf.compat import keras
from kure_tf.evaluation import Evaluator, mean_absolute_error, mean_iou
from kure_tf.measurements import Report
from kure_tf.pages import save_report, to_markdown

_COUNT = 48


def _dataset(x, y, weights):
    data = tf.data.Dataset.from_tensor_slices((x, y, weights))
    return data.batch(20)  # The last batch is smaller.


def _regression():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 6, 2))
    x = keras.layers.Conv2D(4, 3, activation="relu")(inputs)
    x = keras.layers.Conv2D(4, 3, activation="relu")(x)
    outputs = keras.layers.Dense(1)(keras.layers.Flatten()(x))
    return keras.Model(inputs, outputs, name="regression")


def _segmentation():
    keras.utils.set_random_seed(1)
    inputs = keras.Input((6, 6, 2))
    x = inputs
    for filters in (4, 4, 3):
        x = keras.layers.Conv2D(filters, 3, padding="same")(x)
    return keras.Model(inputs, x, name="segmentation")


class TasksTest(tf.test.TestCase):
    def setUp(self):
        super().setUp()
        random = np.random.default_rng(0)
        self.x = random.normal(size=(_COUNT, 6, 6, 2)).astype(np.float32)
        self.weights = random.uniform(0.5, 2.0, _COUNT).astype(np.float32)
        self.random = random

    def _sweep(self, model, y, metric):
        """Returns the report of float, 8/8 and 2/FP, and its page's text."""
        data = _dataset(self.x, y, self.weights)
        quantized = fake_quantize_model(model)
        calibration = ptq.calibrate(quantized, data, progress=False)
        report = run_sweep(
            quantized,
            ["FP/FP", "8/8", "2/FP"],
            evaluate=Evaluator(data, [metric]),
            setting_for=ptq.settings_for(calibration, ptq.minmax),
            ptq="minmax",
            progress=False,
        )
        page = save_report(report, self.get_temp_dir())
        self.assertEqual(Report.load(self.get_temp_dir()), report)
        return report.runs[0].rows, pathlib.Path(page).read_text()

    def test_a_regression_model_is_measured_by_its_weighted_error(self):
        model = _regression()
        y = self.random.normal(size=_COUNT).astype(np.float32)

        rows, page = self._sweep(model, y, mean_absolute_error)

        in_float = rows[0]
        errors = np.abs(np.asarray(model(self.x))[:, 0] - y)
        self.assertEqual(in_float.point, OperatingPoint())
        self.assertEqual(in_float.metric, "mean_absolute_error")
        self.assertFalse(in_float.higher_is_better)
        self.assertEqual(in_float.examples, _COUNT)
        self.assertAllClose(
            in_float.value,
            np.average(errors.astype(np.float64), weights=self.weights),
            rtol=1e-5,
        )
        # Eight bits are nearly float; two bits on two layers are not.
        self.assertAllClose(rows[1].value, in_float.value, rtol=0.05)
        self.assertNotAllClose(rows[2].value, in_float.value, rtol=0.01)
        self.assertIn("mean absolute error", page)
        self.assertNotIn("top-1", page)

    def test_a_segmentation_model_is_measured_by_its_weighted_iou(self):
        model = _segmentation()
        y = self.random.integers(0, 3, (_COUNT, 6, 6))

        rows, page = self._sweep(model, y, mean_iou)

        found = np.argmax(np.asarray(model(self.x)), -1)
        ious = []
        for label, answer in zip(y, found, strict=True):
            each = [
                np.sum((label == c) & (answer == c))
                / np.sum((label == c) | (answer == c))
                for c in range(3)
                if np.any((label == c) | (answer == c))
            ]
            ious.append(np.mean(each))
        self.assertEqual(rows[0].metric, "mean_iou")
        self.assertTrue(rows[0].higher_is_better)
        self.assertAllClose(
            rows[0].value, np.average(ious, weights=self.weights), rtol=1e-6
        )
        self.assertIn("mean iou", page.lower())
        self.assertNotIn("top-1", page)

    def test_their_tables_name_the_metric_and_its_direction(self):
        y = self.random.normal(size=_COUNT).astype(np.float32)
        self._sweep(_regression(), y, mean_absolute_error)
        text = to_markdown(Report.load(self.get_temp_dir()))
        self.assertIn("mean absolute error", text.lower())
        self.assertIn("lower is better", text.lower())


if __name__ == "__main__":
    tf.test.main()
