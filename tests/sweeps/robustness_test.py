import dataclasses
import importlib
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from kure_tf import (
    OperatingPoint,
    data,
    fake_quantize_model,
    ptq,
    set_operating_point,
    set_step_sizes,
)
from kure_tf.compat import keras
from kure_tf.fake_quantized import Placement, quantizers_of
from kure_tf.measurements import Report
from kure_tf.quantizers import UniformQuantizer
from kure_tf.sweeps import SweepPlan, measure_robustness
from kure_tf.sweeps import robustness as robustness_module

pytestmark = pytest.mark.one_keras

# `kure_tf.ptq.settings_for` is the function of that name.
settings_for_module = importlib.import_module("kure_tf.ptq.settings_for")
PLAN = SweepPlan(
    (
        *("minmax: {4,2}/FP", "{4,2}/FP", "3"),
        *("4/FP x{0.9,1.1}", "4/FP {pow2,pow2-up}"),
    )
)
FEW = {"points": ("minmax: 4/FP", "4/FP")}
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


def _model(seed=0, batch_norm=False):
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            layers.Conv2D(2, 3, activation="relu", name="a"),
            *([layers.BatchNormalization(name="bn")] if batch_norm else []),
            layers.Conv2D(2, 2, activation="relu", name="b"),
            layers.Flatten(),
            layers.Dense(3, name="c"),
        ],
        name="tiny",
    )
    rng = np.random.default_rng(seed)
    model.set_weights(
        [
            _not_negative_if(w.ndim == 1, rng.normal(0, 0.4, w.shape))
            for w in model.get_weights()
        ]
    )
    return model


def _not_negative_if(vector, value):
    return np.abs(value) if vector else value  # It may be a variance.


def _measure(model, folder=None, dataset=None, plan=PLAN, **options):
    report = measure_robustness(
        model,
        dataset or _dataset(),
        plan,
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

    def test_killed_in_a_gap_nothing_behind_it_is_lost(self):
        whole = _measure(_model(), self.folder)
        report = Report.load(self.folder)
        (run,) = report.runs
        left = [*run.rows[:3], *run.rows[5:]]  # As of a plan without two.
        run = dataclasses.replace(run, rows=tuple(left))
        dataclasses.replace(report, runs=(run,)).save(self.folder)
        _Counted.calls, _Counted.limit = 0, 1
        with self.assertRaises(KeyboardInterrupt):
            _measure(_model(), self.folder)
        kept = Report.load(self.folder).runs[0].rows
        self.assertLen(kept, len(POINTS) - 1)
        _Counted.limit = None
        resumed = _measure(_model(), self.folder)
        self.assertEqual(_Counted.calls, 2)
        self.assertEqual(_results(resumed), _results(whole))

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
        run = _measure(_model(), plan=plan)
        self.assertEqual(
            run.provenance["calibration"],
            {
                "images": 20,
                "source": "calibration (training images)",
                "augment": ["shift=1"],
            },
        )
        ((expected, _),) = _dataset().calibration.training_batches(
            20, seed=0, epoch=0, augment=("shift=1",)
        )
        self.assertAllEqual(seen[0][0], expected)

    def test_batch_norm_is_measured_both_ways(self):
        plan = dataclasses.replace(
            PLAN, reestimate_batch_norm="both", batch_norm_images=25
        )
        model = _model(batch_norm=True)
        before = model.get_weights()
        run = _measure(model, self.folder, plan=plan)
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
        again = _measure(model, self.folder, plan=plan)
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
        dataset = _dataset()
        plan = dataclasses.replace(
            PLAN,
            reestimate_batch_norm="on",
            batch_norm_augment=("flip",),
            batch_size=30,
            **FEW,
        )
        run = _measure(_model(batch_norm=True), None, dataset, plan)
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
        dataset = _dataset()
        plan = dataclasses.replace(
            PLAN,
            reestimate_batch_norm="on",
            batch_size=12,
            **FEW,
        )
        run = _measure(_model(batch_norm=True), None, dataset, plan)
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
        model = _model(batch_norm=True)
        _measure(model, self.folder, plan=without)  # May be gone on with.
        _measure(model, self.folder, plan=plan)
        fewer = dataclasses.replace(plan, batch_norm_images=9)
        with self.assertRaisesRegex(ValueError, "batch_norm="):
            _measure(model, self.folder, plan=fewer)

    def test_no_batch_norm_is_refused_before_anything_is_measured(self):
        plan = dataclasses.replace(PLAN, reestimate_batch_norm="both")
        with self.assertRaisesRegex(ValueError, "with batch normalization"):
            _measure(_model(), plan=plan)
        self.assertEqual(_Counted.calls, 0)


class QuantizedModelTest(tf.test.TestCase):
    """`fake_quantize_model` with steps of its own stands in for QAT."""

    def _trained(self):
        model = fake_quantize_model(_model(), "paper")
        calibration = ptq.calibrate(
            model, _dataset().calibration.batches(8), progress=False
        )
        point = OperatingPoint(4, 4)
        set_step_sizes(model, ptq.lp_norm(calibration, point, p=3.0))
        set_operating_point(model, point)
        return model

    def _plan(self, *methods):
        """Weights only by each method, all else by the last one."""
        points = [f"{method}: {{4,2}}/FP" for method in methods[:-1]]
        return dataclasses.replace(
            PLAN, points=(*points, *PLAN.points[1:]), ptq=methods[-1]
        )

    def test_trained_steps_keep_their_clipping_range(self):
        model = self._trained()
        tensor = quantizers_of(model)["b/kernel"]
        trained = float(np.array(tensor.state.step_size))
        expected, seen = [], []
        real = robustness_module.Evaluator

        class Evaluator(real):
            def __call__(self, model):
                step = tensor.quantizer.step_size(tensor.state)
                seen.append(float(step))
                return super().__call__(model)

        robustness_module.Evaluator = Evaluator
        self.addCleanup(setattr, robustness_module, "Evaluator", real)
        run = _measure(model, plan=self._plan("trained"))
        for bits, ratio in ((4, 1), (2, 1), (3, 1), (4, 0.9), (4, 1.1)):
            kept = 7 / (2 ** (bits - 1) - 1)
            expected.append(trained * kept * ratio)
        self.assertAllClose(seen[1:6], expected)
        self.assertEqual({row.scheme for row in run.rows}, {"qat"})
        self.assertEqual({row.ptq for row in run.rows}, {None, "trained"})
        self.assertEqual(run.provenance["scheme"], "qat")
        self.assertIsNone(run.provenance["calibration"])

    def test_the_model_is_left_as_it_came(self):
        model = self._trained()
        before = model.get_weights()
        _measure(model, plan=self._plan("trained", "minmax"))
        for old, new in zip(before, model.get_weights(), strict=True):
            self.assertAllEqual(old, new)

    def test_trained_steps_are_put_back_after_a_search(self):
        """Whichever comes first, both give what they give alone."""
        both = _measure(self._trained(), plan=self._plan("minmax", "trained"))
        trained = _measure(self._trained(), plan=self._plan("trained"))
        searched = _measure(self._trained(), plan=self._plan("minmax"))
        alone = {(row.ptq, row.point): row for row in searched.rows}
        alone.update({(row.ptq, row.point): row for row in trained.rows})
        for row in both.rows:
            other = alone[row.ptq, row.point]
            self.assertEqual(row.details, other.details)
        point = OperatingPoint.parse("4/FP")
        losses = [r.details["loss"] for r in both.rows if r.point == point]
        self.assertNotEqual(*losses)

    def test_a_float_model_has_no_trained_steps(self):
        with self.assertRaisesRegex(
            ValueError, "with quantizers, whose 'trained'.*float"
        ):
            _measure(_model(), plan=self._plan("trained"))

    def test_bits_that_its_grids_lack_are_refused(self):
        placement = Placement(weights=UniformQuantizer("reference"))
        plan = dataclasses.replace(
            PLAN, scheme=placement, points=("minmax: 1/FP", "1/FP")
        )
        model = fake_quantize_model(_model(), placement)
        self.assertLen(_measure(model, plan=plan).rows, 3)
        with self.assertRaisesRegex(ValueError, "at least 2 bits on the grid"):
            _measure(self._trained(), plan=plan)


class LearnedRoundingTest(tf.test.TestCase):
    def test_rows_say_which_rounding_they_are_of(self):
        model = _model()
        before = [np.array(weight) for weight in model.get_weights()]
        plan = SweepPlan(("2/FP", "lp_norm + adaround: 2/FP"))
        run = _measure(model, plan=plan)
        self.assertEqual(
            [(str(row.point), row.ptq) for row in run.rows],
            [
                ("FP/FP", None),
                ("2/FP", "lp_norm p=2"),
                ("2/FP", "lp_norm p=2 + adaround"),
            ],
        )
        losses = [row.details["loss"] for row in run.rows]
        self.assertNotEqual(losses[1], losses[2])
        self.assertEqual(run.provenance["ptq"], ["lp_norm p=2"])
        self.assertIn("images", run.provenance["batch_norm"])
        for old, new in zip(before, model.get_weights(), strict=True):
            self.assertAllEqual(old, new)


def _results(run):
    return [dataclasses.replace(row, seconds=None) for row in run.rows]


if __name__ == "__main__":
    tf.test.main()
