"""From a model and data to a report in one call."""

import functools
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized
from small_run import make_dataset, make_model

import kure_tf
from kure_tf import evaluation, ptq
from kure_tf.compat import keras


@functools.cache
def model():
    keras.utils.set_random_seed(0)
    made = make_model()
    made.compile(
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    return made


DATASET = make_dataset()
TEST = DATASET.test.arrays()
TRAIN = DATASET.train.arrays()
evaluate = functools.partial(kure_tf.evaluate_robustness, progress=False)


class Sequence(keras.utils.Sequence):
    """The test images as Keras' own kind of data set."""

    def __len__(self):
        return 2

    def __getitem__(self, index):
        part = slice(10 * index, 10 * index + 10)
        return TEST[0][part], TEST[1][part]


def accuracy(found):
    """Returns the accuracy of a model, by NumPy."""
    return np.mean(np.argmax(found(TEST[0]), -1) == TEST[1])


def accuracy_at(point, calibration):
    """Returns the accuracy at a point, put together by hand."""
    quantized = kure_tf.fake_quantize_model(model())
    calibrated = ptq.calibrate(quantized, calibration, progress=False)
    point = kure_tf.OperatingPoint.parse(point)
    kure_tf.apply(
        quantized,
        kure_tf.Setting(point, step_sizes=ptq.minmax(calibrated, point)),
    )
    return accuracy(quantized)


class EvaluateRobustnessTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.named_parameters(
        ("arrays", TEST),
        ("stream", tf.data.Dataset.from_tensor_slices(TEST).batch(7)),
        ("sequence", Sequence()),
        ("data_set", DATASET),
    )
    def test_takes_any_data_and_measures_what_the_parts_do(self, data):
        report = evaluate(
            model(), data, calibration=TRAIN, points=["W4A8"], ptq="minmax"
        )

        in_float, row = report.runs[0].rows
        self.assertAllClose(in_float.value, accuracy(model()))
        self.assertAllClose(row.value, accuracy_at("4/8", TRAIN))
        self.assertEqual((row.ptq, row.examples), ("minmax", 20))

    @pytest.mark.one_keras
    def test_without_calibration_the_weights_alone_are_quantized(self):
        report = evaluate(model(), TEST, ptq="minmax")

        points = [str(row.point) for row in report.runs[0].rows]
        expected = [f"{bits}/FP" for bits in range(8, 1, -1)]
        self.assertEqual(points, ["FP/FP", *expected])
        self.assertAllClose(
            report.runs[0].rows[-1].value, accuracy_at("2/FP", None)
        )

    @pytest.mark.one_keras
    def test_a_data_set_brings_its_calibration(self):
        report = evaluate(model(), DATASET, points="8/8", ptq="minmax")

        self.assertAllClose(
            report.runs[0].rows[1].value,
            accuracy_at("8/8", DATASET.calibration),
        )
        self.assertEqual(report.runs[0].rows[1].split, "test")

    @pytest.mark.one_keras
    def test_a_metric_of_ones_own_is_what_rows_are_about(self):
        report = evaluate(
            model(), TEST, points="8/FP", metric=evaluation.cross_entropy
        )

        self.assertEqual(report.runs[0].rows[1].metric, "cross_entropy")

    @pytest.mark.one_keras
    def test_a_path_gets_the_page(self):
        folder = pathlib.Path(self.get_temp_dir())

        evaluate(
            model(), TEST, points=("4/FP", "sensitivity: 3/FP"), path=folder
        )

        page = (folder / "report.html").read_text()
        self.assertIn("Robustness of tiny", page)
        self.assertTrue((folder / "report.json").is_file())

    @parameterized.parameters(
        ({"points": "4/8"}, "lp_norm p=2 at 4/8 chooses.*'{8..2}/FP'"),
        ({"ptq": "lapq"}, "calibration=.*lapq at 8/FP"),
        ({"points": "lp_norm + adaround: 4/FP"}, "measure_robustness"),
        ({"ptq": "trained"}, "with quantizers.*Name a method"),
    )
    @pytest.mark.one_keras
    def test_what_needs_more_is_refused(self, options, message):
        with self.assertRaisesRegex(ValueError, message):
            evaluate(model(), TEST, **options)

    @pytest.mark.one_keras
    def test_run_sweep_searches_where_it_is_given_calibration(self):
        quantized = kure_tf.fake_quantize_model(model())
        sweep = functools.partial(
            kure_tf.run_sweep,
            quantized,
            ["3/8"],
            evaluate=DATASET.test,
            progress=False,
        )

        (row,) = sweep(ptq="minmax", calibration=TRAIN).runs[0].rows

        self.assertAllClose(row.value, accuracy_at("3/8", TRAIN))
        with self.assertRaisesRegex(ValueError, "'lapq'.*calibration= some"):
            sweep(ptq="lapq")
        with self.assertRaisesRegex(ValueError, "name of a PTQ method"):
            sweep(calibration=TRAIN)


if __name__ == "__main__":
    tf.test.main()
