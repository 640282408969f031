import dataclasses
import pathlib

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from kure_tf import data, ptq
from kure_tf.compat import keras
from kure_tf.report import Report
from kure_tf.sweeps import SweepPlan, measure_robustness
from kure_tf.sweeps import robustness as robustness_module

PLAN = SweepPlan(
    weights_only=(4, 2),
    both=(3,),
    ratio_bits=(4,),
    ratios=(0.9, 1.1),
    power_of_two_bits=(4,),
    ptq={"minmax": ptq.minmax, "lp_norm p=2": ptq.lp_norm},
)
POINTS = (
    *("FP/FP", "4/FP", "2/FP"),  # The first method: weights only.
    *("4/FP", "2/FP", "3/3"),
    *("4/FP x0.9", "4/FP x1.1", "4/FP pow2", "4/FP pow2-up"),
)


def _dataset(seed=0):
    def pair(seed, count=30):
        rng = np.random.default_rng(seed)
        images = rng.integers(0, 255, (count, 4, 4, 1)).astype(np.uint8)
        return images, rng.integers(3, size=count)

    return data.from_arrays(
        pair(seed), pair(seed + 1), num_classes=3, calibration_count=20
    )


def _model(seed=0):
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            layers.Conv2D(2, 3, activation="relu", name="a"),
            layers.Conv2D(2, 2, activation="relu", name="b"),
            layers.Flatten(),
            layers.Dense(3, name="c"),
        ],
        name="tiny",
    )
    rng = np.random.default_rng(seed)
    model.set_weights(
        [rng.normal(0, 0.4, w.shape) for w in model.get_weights()]
    )
    return model


def _measure(model, folder=None, dataset=None, **options):
    report = measure_robustness(
        model,
        dataset or _dataset(),
        PLAN,
        name="tiny",
        folder=folder,
        progress=False,
        **options,
    )
    (run,) = report.runs
    return run


class _Counted:
    """Stands in for `Evaluator`; may be interrupted."""

    calls = 0
    limit = None
    real = robustness_module.Evaluator

    def __init__(self, *args, **kwargs):
        self._evaluate = self.real(*args, **kwargs)

    def __call__(self, model):
        if type(self).calls == type(self).limit:
            raise KeyboardInterrupt
        type(self).calls += 1
        return self._evaluate(model)


class MeasureRobustnessTest(tf.test.TestCase):
    def setUp(self):
        super().setUp()
        _Counted.calls, _Counted.limit = 0, None
        robustness_module.Evaluator = _Counted
        self.addCleanup(setattr, robustness_module, "Evaluator", _Counted.real)
        self.folder = pathlib.Path(self.get_temp_dir()) / self.id()

    def test_rows_are_those_of_the_plan(self):
        run = _measure(_model(), provenance={"seed": 4})
        self.assertEqual(tuple(row.point for row in run.rows), POINTS)
        self.assertEqual(
            [row.sweep for row in run.rows],
            ["bit_width"] * 6 + ["step_size"] * 2 + ["power_of_two"] * 2,
        )
        self.assertEqual(
            [row.ptq for row in run.rows],
            [None, *["minmax"] * 2, *["lp_norm p=2"] * 7],
        )
        self.assertEqual({row.images for row in run.rows}, {30})
        self.assertEqual({row.scheme for row in run.rows}, {"paper"})
        self.assertEqual(run.provenance["seed"], 4)
        self.assertEqual(run.provenance["images"], 30)
        self.assertEqual(run.provenance["calibration"]["images"], 20)
        self.assertIn("tensorflow", run.provenance["versions"])

    def test_killed_and_resumed_the_report_is_the_same(self):
        _Counted.limit = 5
        with self.assertRaises(KeyboardInterrupt):
            _measure(_model(), self.folder)
        kept = Report.load(self.folder).runs[0].rows
        self.assertLen(kept, 5)
        _Counted.limit = None

        resumed = _measure(_model(), self.folder)

        self.assertEqual(_Counted.calls, len(POINTS))
        whole = _measure(_model())
        self.assertEqual(_results(resumed), _results(whole))
        self.assertEqual(resumed.rows[:5], kept)

    def test_what_is_finished_is_not_measured_again(self):
        first = _measure(_model(), self.folder)
        again = _measure(_model(), self.folder)
        self.assertEqual(_Counted.calls, len(POINTS))
        self.assertEqual(first.rows, again.rows)

    def test_measurements_of_other_weights_are_refused(self):
        _measure(_model(), self.folder)
        with self.assertRaisesRegex(ValueError, "same weights.*another folder"):
            _measure(_model(seed=1), self.folder)

    def test_measurements_of_other_calibration_images_are_refused(self):
        _measure(_model(), self.folder)
        other = _dataset()
        other = dataclasses.replace(
            other, calibration=other.calibration.take(10, 0)
        )
        with self.assertRaisesRegex(ValueError, "calibration="):
            _measure(_model(), self.folder, other)


class SweepPlanTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.named_parameters(
        ("scheme", {"scheme": "onnx"}, "paper.*tflite.*'onnx'"),
        ("bits", {"weights_only": (17,)}, "Received: 17"),
        ("one_bit", {"weights_only": (1,)}, "at least 2 bits on the grid"),
        ("one_bit_both", {"both": (1,)}, "at least 2 bits on the grid"),
        ("ratio", {"ratios": (0.0,)}, "positive, finite step scale"),
        ("no_method", {"ptq": {}}, "at least one PTQ method"),
    )
    def test_a_plan_that_cannot_be_measured_is_refused(self, options, message):
        with self.assertRaisesRegex(ValueError, message):
            SweepPlan(**options)


def _results(run):
    return [dataclasses.replace(row, seconds=None) for row in run.rows]


if __name__ == "__main__":
    tf.test.main()
