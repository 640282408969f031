import dataclasses

import numpy as np
import tensorflow as tf

from kure_tf import OperatingPoint, fake_quantize_model, run_sweep
from kure_tf.compat import keras
from kure_tf.fake_quantized import (
    Placement,
    batch_norm_statistics,
    operating_point_of,
    quantizers_of,
)
from kure_tf.settings import StepSizes, TensorStep

POINTS = ["FP/FP", "4/FP", "4/FP x1.1", "4/FP pow2", "3/FP", "4/4", "4/4 x0.9"]


def _model():
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(2, name="d")]
    )
    return fake_quantize_model(model, Placement())


class _Evaluate:
    """Notes where the model stood; the n-th call gives accuracy n / 100."""

    def __init__(self, fail_at=None):
        self.seen = []
        self._fail_at = fail_at

    def __call__(self, model):
        if len(self.seen) == self._fail_at:
            raise KeyboardInterrupt
        tensor = quantizers_of(model)["d/kernel"]
        step = float(np.array(tensor.quantizer.step_size(tensor.state)))
        self.seen.append((*operating_point_of(model), step))
        return {
            "accuracy": len(self.seen) / 100,
            "loss": 1.5,
            "images": 7,
            "top_5": 0.5,
        }


class _Calibrate:
    """Gives the step size 1 / bits, and notes what it was asked for."""

    def __init__(self):
        self.points = []

    def __call__(self, point):
        self.points.append(point)
        steps = {}
        if point.weight_bits:
            steps["d/kernel"] = TensorStep(
                1 / point.weight_bits, point.weight_bits
            )
        if point.activation_bits:
            steps["d/input"] = TensorStep(0.1, point.activation_bits)
        return StepSizes(steps)


def _sweep(model, evaluate, calibrate=None, **options):
    report = run_sweep(
        model,
        POINTS,
        evaluate=evaluate,
        calibrate=calibrate or _Calibrate(),
        name="tiny",
        ptq="by hand",
        scheme="paper",
        progress=False,
        **options,
    )
    (run,) = report.runs
    return run


class RunSweepTest(tf.test.TestCase):
    def test_there_is_a_row_for_each_point_in_order(self):
        evaluate = _Evaluate()
        run = _sweep(_model(), evaluate, sweep="mine", provenance={"seed": 3})
        self.assertEqual([str(row.point) for row in run.rows], POINTS)
        self.assertEqual(
            [row.value for row in run.rows], [n / 100 for n in range(1, 8)]
        )
        row = run.rows[2]
        self.assertEqual((row.ptq, row.scheme), ("by hand", "paper"))
        self.assertEqual((row.examples, row.sweep), (7, "mine"))
        self.assertEqual(row.details, {"loss": 1.5, "top_5": 0.5})
        self.assertIsNone(run.rows[0].ptq)  # Float has no step sizes.
        self.assertEqual(run.provenance, {"seed": 3})

    def test_the_model_stands_at_the_point_when_it_is_evaluated(self):
        evaluate = _Evaluate()
        model = _model()
        _sweep(model, evaluate)
        self.assertEqual(
            [seen[:2] for seen in evaluate.seen],
            [(None, None), *[(4, None)] * 3, (3, None), *[(4, 4)] * 2],
        )
        steps = [seen[2] for seen in evaluate.seen]
        self.assertAllClose(steps[1:], [0.25, 0.275, 0.25, 1 / 3, 0.25, 0.225])
        self.assertEqual(operating_point_of(model), (None, None))

    def test_each_pair_of_bits_is_calibrated_once(self):
        calibrate = _Calibrate()
        _sweep(_model(), _Evaluate(), calibrate)
        self.assertEqual(
            [str(point) for point in calibrate.points],
            ["FP/FP", "4/FP", "3/FP", "4/4"],
        )
        self.assertIn(OperatingPoint(4, None), calibrate.points)

    def test_without_calibration_the_clip_is_kept(self):
        evaluate = _Evaluate()
        run_sweep(_model(), ["8/FP", "2/FP"], evaluate=evaluate, progress=False)
        (*_, at_8), (*_, at_2) = evaluate.seen
        self.assertAllClose(at_2, 127 * at_8)

    def test_every_new_row_is_handed_over(self):
        handed = []
        _sweep(_model(), _Evaluate(), on_row=handed.append)
        self.assertEqual([len(rows) for rows in handed], [1, 2, 3, 4, 5, 6, 7])
        self.assertIsInstance(handed[0], tuple)

    def test_killed_and_resumed_it_measures_the_rest_only(self):
        handed = []
        with self.assertRaises(KeyboardInterrupt):
            _sweep(_model(), _Evaluate(fail_at=3), on_row=handed.append)
        evaluate = _Evaluate()
        evaluate.seen = list(range(3))  # Accuracies go on from here.

        resumed = _sweep(_model(), evaluate, finished=handed[-1])

        whole = _sweep(_model(), _Evaluate())
        self.assertLen(evaluate.seen, 7)
        self.assertEqual(_without_seconds(resumed), _without_seconds(whole))

    def test_rows_of_other_measurements_are_not_taken(self):
        run = _sweep(_model(), _Evaluate())
        for change in ({"name": "other"}, {"scheme": "tflite"}, {"ptq": "x"}):
            evaluate = _Evaluate()
            options = {"name": "tiny", "ptq": "by hand", "scheme": "paper"}
            run_sweep(
                _model(),
                ["4/FP"],
                evaluate=evaluate,
                finished=run.rows,
                progress=False,
                **{**options, **change},
            )
            self.assertLen(evaluate.seen, 1)

    def test_a_result_without_accuracy_is_refused(self):
        with self.assertRaisesRegex(ValueError, "'accuracy'.*'loss'"):
            _sweep(_model(), lambda model: {"loss": 0.1})

    def test_an_impossible_point_fails_before_anything_is_measured(self):
        evaluate = _Evaluate()
        with self.assertRaisesRegex(ValueError, "'4-FP'"):
            run_sweep(_model(), ["8/FP", "4-FP"], evaluate=evaluate)
        self.assertEmpty(evaluate.seen)

    def test_an_accuracy_of_unknown_image_count_is_refused(self):
        with self.assertRaisesRegex(ValueError, "how many images.*images="):
            run_sweep(
                _model(),
                ["FP/FP"],
                evaluate=lambda model: {"accuracy": 0.5},
                progress=False,
            )

    def test_keras_evaluate_fits_in(self):
        model = _model()
        model.compile(
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
        x, y = np.ones((4, 3), np.float32), np.array([0, 1, 0, 1])
        report = run_sweep(
            model,
            ["FP/FP"],
            evaluate=lambda m: m.evaluate(x, y, return_dict=True, verbose=0),
            images=4,
            progress=False,
        )
        (row,) = report.runs[0].rows
        self.assertEqual((row.value, row.examples), (0.5, 4))


def _normed_model():
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((3,)),
            layers.Dense(2, use_bias=False, name="d"),
            layers.BatchNormalization(name="bn"),
            layers.Dense(2, name="e"),
        ]
    )
    rng = np.random.default_rng(0)
    model.set_weights(
        [np.abs(rng.normal(0, 0.5, w.shape)) for w in model.get_weights()]
    )
    return fake_quantize_model(model, Placement())


class ReestimatedBatchNormTest(tf.test.TestCase):
    def setUp(self):
        super().setUp()
        self.images = np.random.default_rng(1).normal(1, 2, (64, 3))
        self.images = self.images.astype(np.float32)

    def _sweep(self, model, points, evaluate=None, **options):
        def accuracy(model):
            return {"accuracy": 0.5, "images": 7}

        report = run_sweep(
            model,
            points,
            evaluate=evaluate or accuracy,
            progress=False,
            **{"reestimate_batch_norm": [self.images], **options},
        )
        return report.runs[0].rows

    def test_each_point_is_evaluated_with_its_own_statistics(self):
        model = _normed_model()
        kernel = np.array(quantizers_of(model)["d/kernel"].variable)
        seen = []

        def evaluate(model):
            seen.append(batch_norm_statistics(model)["bn"])
            return {"accuracy": 0.5, "images": 7}

        rows = self._sweep(
            model,
            ["FP/FP", "4/FP", "4/FP x2", "3/FP"],
            evaluate,
            calibrate=_Calibrate(),
        )

        quantized = [kernel]
        for step, largest in ((1 / 4, 7), (2 / 4, 7), (1 / 3, 3)):
            codes = np.clip(np.round(kernel / step), -largest, largest)
            quantized.append(step * codes)
        for found, used in zip(seen, quantized, strict=True):
            outputs = self.images @ used
            self.assertAllClose(found.mean, outputs.mean(0), rtol=1e-5)
            self.assertAllClose(found.variance, outputs.var(0), rtol=1e-5)
        self.assertEqual([r.reestimated_batch_norm for r in rows], [True] * 4)
        self.assertEqual(rows[1].details, {"batch_norm_images": 64})

    def test_steps_are_searched_with_the_statistics_of_the_training(self):
        model = _normed_model()
        before = batch_norm_statistics(model)["bn"].mean
        seen = []

        def calibrate(point):
            seen.append(batch_norm_statistics(model)["bn"].mean)
            return _Calibrate()(point)

        self._sweep(model, ["4/FP", "3/FP", "2/FP"], calibrate=calibrate)
        self.assertAllEqual(seen, [before] * 3)

    def test_statistics_are_put_back_however_it_ends(self):
        for evaluate in (None, _Evaluate(fail_at=0)):
            model = _normed_model()
            before = batch_norm_statistics(model)["bn"]
            if evaluate is None:
                self._sweep(model, ["4/FP", "3/FP"])
            else:
                with self.assertRaises(KeyboardInterrupt):
                    self._sweep(model, ["4/FP"], evaluate)
            after = batch_norm_statistics(model)["bn"]
            self.assertAllEqual(before.mean, after.mean)
            self.assertAllEqual(before.variance, after.variance)

    def test_rows_without_it_are_not_taken_for_rows_with_it(self):
        model, points = _normed_model(), ["4/FP", "3/FP"]
        without = self._sweep(model, points, reestimate_batch_norm=None)
        calls = []

        def evaluate(model):
            calls.append(1)
            return {"accuracy": 0.25, "images": 7}

        rows = self._sweep(model, points, evaluate, finished=without)
        self.assertLen(calls, 2)
        again = self._sweep(model, points, evaluate, finished=(*without, *rows))
        self.assertLen(calls, 2)
        self.assertEqual([row.value for row in again], [0.25, 0.25])
        self.assertFalse(without[0].reestimated_batch_norm)

    def test_batches_that_are_used_up_are_refused(self):
        evaluate = _Evaluate()
        with self.assertRaisesRegex(ValueError, "gone through again.*list"):
            self._sweep(
                _normed_model(),
                ["4/FP", "3/FP"],
                evaluate,
                reestimate_batch_norm=iter([self.images]),
            )
        self.assertEmpty(evaluate.seen)

    def test_a_model_without_batch_norm_is_refused_at_once(self):
        evaluate = _Evaluate()
        with self.assertRaisesRegex(ValueError, "with batch normalization"):
            self._sweep(_model(), ["4/FP"], evaluate)
        self.assertEmpty(evaluate.seen)


def _without_seconds(run):
    return [dataclasses.replace(row, seconds=None) for row in run.rows]


if __name__ == "__main__":
    tf.test.main()
