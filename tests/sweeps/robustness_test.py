import dataclasses
import importlib
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from robustness_run import PLAN, measure, small_dataset, small_model

from kure_tf import (
    ptq,
)
from kure_tf.measurements import Report
from kure_tf.sweeps import SweepPlan
from kure_tf.sweeps import robustness as robustness_module

pytestmark = pytest.mark.one_keras

# `kure_tf.ptq.settings_for` is the function of that name.
settings_for_module = importlib.import_module("kure_tf.ptq.settings_for")
FEW = {"points": ("minmax: 4/FP", "4/FP")}
POINTS = (
    *("FP/FP", "4/FP", "2/FP"),  # The first method: weights only.
    *("4/FP", "2/FP", "3/3"),
    *("4/FP x0.9", "4/FP x1.1", "4/FP pow2", "4/FP pow2-up"),
)


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
        run = measure(small_model(), provenance={"seed": 4})
        self.assertEqual(tuple(str(row.point) for row in run.rows), POINTS)
        self.assertEqual(
            [row.sweep for row in run.rows],
            ["bit_width"] * 6 + ["step_size"] * 2 + ["power_of_two"] * 2,
        )
        self.assertEqual(
            [row.ptq for row in run.rows],
            [None, *["minmax"] * 2, *["lp_norm p=2"] * 7],
        )
        self.assertEqual({row.examples for row in run.rows}, {30})
        self.assertEqual({row.placement for row in run.rows}, {"paper"})
        self.assertEqual(run.provenance["seed"], 4)
        self.assertEqual(run.provenance["images"], 30)
        self.assertEqual(run.provenance["calibration"]["images"], 20)
        self.assertIn("tensorflow", run.provenance["versions"])

    def test_killed_and_resumed_the_report_is_the_same(self):
        _Counted.limit = 5
        with self.assertRaises(KeyboardInterrupt):
            measure(small_model(), self.folder)
        kept = Report.load(self.folder).runs[0].rows
        self.assertLen(kept, 5)
        _Counted.limit = None

        resumed = measure(small_model(), self.folder)

        self.assertEqual(_Counted.calls, len(POINTS))
        whole = measure(small_model())
        self.assertEqual(_results(resumed), _results(whole))
        self.assertEqual(resumed.rows[:5], kept)

    def test_killed_in_a_gap_nothing_behind_it_is_lost(self):
        whole = measure(small_model(), self.folder)
        report = Report.load(self.folder)
        (run,) = report.runs
        left = [*run.rows[:3], *run.rows[5:]]  # As of a plan without two.
        run = dataclasses.replace(run, rows=tuple(left))
        dataclasses.replace(report, runs=(run,)).save(self.folder)
        _Counted.calls, _Counted.limit = 0, 1
        with self.assertRaises(KeyboardInterrupt):
            measure(small_model(), self.folder)
        kept = Report.load(self.folder).runs[0].rows
        self.assertLen(kept, len(POINTS) - 1)
        _Counted.limit = None
        resumed = measure(small_model(), self.folder)
        self.assertEqual(_Counted.calls, 2)
        self.assertEqual(_results(resumed), _results(whole))

    def test_what_is_finished_is_not_measured_again(self):
        first = measure(small_model(), self.folder)
        again = measure(small_model(), self.folder)
        self.assertEqual(_Counted.calls, len(POINTS))
        self.assertEqual(first.rows, again.rows)

    def test_measurements_of_other_weights_are_refused(self):
        measure(small_model(), self.folder)
        with self.assertRaisesRegex(ValueError, "same weights.*another folder"):
            measure(small_model(seed=1), self.folder)

    def test_measurements_of_other_calibration_images_are_refused(self):
        measure(small_model(), self.folder)
        other = small_dataset()
        other = dataclasses.replace(
            other, calibration=other.calibration.take(10, 0)
        )
        with self.assertRaisesRegex(ValueError, "calibration="):
            measure(small_model(), self.folder, other)

    def test_calibration_images_are_augmented_if_the_plan_says_so(self):
        seen = []

        def method(calibration, point):
            seen.extend(calibration.batches)
            return ptq.minmax(calibration, point)

        plan = SweepPlan(
            ("4/FP",),
            ptq="own",
            methods={"own": method},
            batch_size=20,
            calibration_augment=("shift=1",),
        )
        run = measure(small_model(), plan=plan)
        self.assertEqual(
            run.provenance["calibration"],
            {
                "images": 20,
                "source": "calibration (training images)",
                "augment": ["shift=1"],
            },
        )
        ((expected, _),) = small_dataset().calibration.training_batches(
            20, seed=0, epoch=0, augment=("shift=1",)
        )
        self.assertAllEqual(seen[0][0], expected)

    def test_batch_norm_is_measured_both_ways(self):
        plan = dataclasses.replace(
            PLAN, reestimate_batch_norm="both", batch_norm_images=25
        )
        model = small_model(batch_norm=True)
        before = model.get_weights()
        run = measure(model, self.folder, plan=plan)
        self.assertEqual(tuple(str(row.point) for row in run.rows), POINTS * 2)
        self.assertEqual(
            [row.reestimated_batch_norm for row in run.rows],
            [False] * len(POINTS) + [True] * len(POINTS),
        )
        self.assertEqual(
            run.provenance["batch_norm"],
            {
                "images": 25,
                "batch_size": 25,
                "seed": 0,
                "source": "train (training images)",
            },
        )
        again = measure(model, self.folder, plan=plan)
        self.assertEqual(_Counted.calls, 2 * len(POINTS))
        self.assertEqual(run.rows, again.rows)
        for old, new in zip(before, model.get_weights(), strict=True):
            self.assertAllEqual(old, new)

    def test_batch_norm_sees_the_augmentation_of_training(self):
        seen = []
        real = settings_for_module.reestimate_batch_norm

        def reestimate(model, batches):
            seen.append([images.numpy() for images, _ in batches])
            return real(model, batches)

        settings_for_module.reestimate_batch_norm = reestimate
        self.addCleanup(
            setattr, settings_for_module, "reestimate_batch_norm", real
        )
        dataset = small_dataset()
        plan = dataclasses.replace(
            PLAN,
            reestimate_batch_norm="on",
            batch_norm_augment=("flip",),
            batch_size=30,
            **FEW,
        )
        run = measure(small_model(batch_norm=True), None, dataset, plan)
        images, _ = dataset.train.arrays()
        known = {
            image.tobytes()
            for image in np.concatenate([images, images[:, :, ::-1]])
        }
        self.assertTrue(all(i.tobytes() in known for i in seen[0][0]))
        unflipped = {image.tobytes() for image in images}
        flipped = [i.tobytes() not in unflipped for i in seen[0][0]]
        self.assertBetween(sum(flipped), 1, 29)
        self.assertAllEqual(seen[0][0], seen[-1][0])  # The same at each point.
        self.assertEqual(run.provenance["batch_norm"]["augment"], ["flip"])

    def test_batch_norm_sees_equal_batches_of_training_images(self):
        seen = []
        real = settings_for_module.reestimate_batch_norm

        def reestimate(model, batches):
            seen.append([images.numpy() for images, _ in batches])
            return real(model, batches)

        settings_for_module.reestimate_batch_norm = reestimate
        self.addCleanup(
            setattr, settings_for_module, "reestimate_batch_norm", real
        )
        dataset = small_dataset()
        plan = dataclasses.replace(
            PLAN,
            reestimate_batch_norm="on",
            batch_size=12,
            **FEW,
        )
        run = measure(small_model(batch_norm=True), None, dataset, plan)
        self.assertEqual([len(batch) for batch in seen[0]], [10, 10, 10])
        images, _ = dataset.train.arrays()
        drawn = np.concatenate(seen[0]).reshape(30, -1)
        self.assertAllEqual(
            np.unique(drawn, axis=0), np.unique(images.reshape(30, -1), axis=0)
        )
        self.assertEqual(run.provenance["batch_norm"]["images"], 30)
        self.assertLen(seen, 3)  # FP/FP, 4/FP of each method.

    def test_rows_of_other_batch_norm_images_are_refused(self):
        without = dataclasses.replace(PLAN, **FEW)
        plan = dataclasses.replace(without, reestimate_batch_norm="on")
        model = small_model(batch_norm=True)
        measure(model, self.folder, plan=without)  # May be gone on with.
        measure(model, self.folder, plan=plan)
        fewer = dataclasses.replace(plan, batch_norm_images=9)
        with self.assertRaisesRegex(ValueError, "batch_norm="):
            measure(model, self.folder, plan=fewer)

    def test_no_batch_norm_is_refused_before_anything_is_measured(self):
        plan = dataclasses.replace(PLAN, reestimate_batch_norm="both")
        with self.assertRaisesRegex(ValueError, "with batch normalization"):
            measure(small_model(), plan=plan)
        self.assertEqual(_Counted.calls, 0)


def _results(run):
    return [dataclasses.replace(row, seconds=None) for row in run.rows]


if __name__ == "__main__":
    tf.test.main()
