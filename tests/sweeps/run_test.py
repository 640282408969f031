import contextlib
import dataclasses

import numpy as np
import tensorflow as tf

from kure_tf import (
    OperatingPoint,
    fake_quantize_model,
    run_sweep,
    set_operating_point,
)
from kure_tf.compat import keras
from kure_tf.fake_quantized import (
    Placement,
    operating_point_of,
    quantizers_of,
)
from kure_tf.settings import Setting, StepSizes, TensorStep

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


def _by_hand(place):
    """A setting of the step size 1 / bits."""
    setting = place if isinstance(place, Setting) else Setting(place)
    point, steps = setting.point, {}
    if point.weight_bits:
        steps["d/kernel"] = TensorStep(1 / point.weight_bits, point.weight_bits)
    if point.activation_bits:
        steps["d/input"] = TensorStep(0.1, point.activation_bits)
    return dataclasses.replace(setting, step_sizes=StepSizes(steps))


def _sweep(model, evaluate, points=POINTS, **options):
    report = run_sweep(
        model,
        points,
        evaluate=evaluate,
        setting_for=_by_hand,
        name="tiny",
        ptq="by hand",
        placement="paper",
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
        self.assertEqual((row.ptq, row.placement), ("by hand", "paper"))
        self.assertEqual((row.examples, row.sweep), (7, "mine"))
        self.assertEqual(row.details, {"loss": 1.5, "top_5": 0.5})
        self.assertIsNone(run.rows[0].ptq)  # Float has no step sizes.
        self.assertEqual(run.provenance["seed"], 3)

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

    def test_the_model_is_left_as_it_was(self):
        model = _model()
        set_operating_point(model, "5/FP x1.1")
        before = model.get_weights()
        for evaluate in (_Evaluate(), _Evaluate(fail_at=3)):
            with contextlib.suppress(KeyboardInterrupt):
                _sweep(model, evaluate)
            for old, new in zip(before, model.get_weights(), strict=True):
                self.assertAllEqual(old, new)

    def test_each_setting_is_asked_for_on_the_model_as_it_came(self):
        model, seen = _model(), []

        def setting_for(point):
            seen.append(operating_point_of(model))
            return _by_hand(point)

        run_sweep(
            model,
            ["4/FP", "3/FP", "2/FP"],
            evaluate=_Evaluate(),
            setting_for=setting_for,
            progress=False,
        )
        self.assertEqual(seen, [(None, None)] * 3)

    def test_points_may_be_patterns_and_settings(self):
        points = ["{4,3}/FP", OperatingPoint(2), Setting("3/FP", layer="d")]
        run = _sweep(_model(), _Evaluate(), points)
        self.assertEqual(
            [(str(row.point), row.layer) for row in run.rows],
            [("4/FP", None), ("3/FP", None), ("2/FP", None), ("3/FP", "d")],
        )

    def test_a_point_that_stands_there_twice_is_measured_once(self):
        run = _sweep(_model(), _Evaluate(), points=["4/FP", "{4,3}/FP x1"])
        self.assertEqual([str(row.point) for row in run.rows], ["4/FP", "3/FP"])

    def test_what_is_no_model_is_refused_before_it_is_evaluated(self):
        with self.assertRaisesRegex(TypeError, "Keras model. Received: None"):
            _sweep(None, self.fail)

    def test_what_varies_within_a_pattern_is_the_kind_of_sweep(self):
        for pattern, kind in (
            ("{8..2}/FP", "bit_width"),
            ("4/FP", "bit_width"),
            ("4/FP x{0.9,1,1.1}", "step_size"),
            ("{4,3}/FP {pow2,pow2-up}", "power_of_two"),
            ("4/4 x1/{0.9,1}", "activation_step_size"),
            ("4/4 x{0.9,1}/=", "joint_step_size"),
            ("4/FP {floor,half-up}", "rounding_mode"),
            (Setting("3/FP", layer="d"), "sensitivity"),
        ):
            run = _sweep(_model(), _Evaluate(), pattern)
            self.assertEqual({row.sweep for row in run.rows}, {kind})

    def test_numbers_of_the_provenance_stand_in_the_details(self):
        def setting_for(point):
            return Setting(point, provenance={"images": 9, "method": "mine"})

        report = run_sweep(
            _model(),
            "4/FP",
            evaluate=_Evaluate(),
            setting_for=setting_for,
            progress=False,
        )
        (row,) = report.runs[0].rows
        self.assertEqual(row.examples, 7)
        self.assertEqual(row.details["images"], 9)
        self.assertNotIn("method", row.details)

    def test_what_is_no_setting_of_the_point_is_refused(self):
        for setting_for, kind, message in (
            (lambda point: StepSizes({}), TypeError, "return a Setting"),
            (lambda point: Setting("3/FP"), ValueError, "'4/FP'.*at '3/FP'"),
        ):
            with self.assertRaisesRegex(kind, message):
                run_sweep(
                    _model(),
                    "4/FP",
                    evaluate=_Evaluate(),
                    setting_for=setting_for,
                    progress=False,
                )

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
        for change in (
            {"name": "other"},
            {"placement": "tflite"},
            {"ptq": "x"},
        ):
            evaluate = _Evaluate()
            options = {"name": "tiny", "ptq": "by hand", "placement": "paper"}
            run_sweep(
                _model(),
                ["4/FP"],
                evaluate=evaluate,
                finished=run.rows,
                progress=False,
                **{**options, **change},
            )
            self.assertLen(evaluate.seen, 1)

    def test_an_impossible_point_fails_before_anything_is_measured(self):
        evaluate = _Evaluate()
        with self.assertRaisesRegex(ValueError, "'4-FP'"):
            run_sweep(_model(), ["8/FP", "4-FP"], evaluate=evaluate)
        self.assertEmpty(evaluate.seen)

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
            examples=4,
            progress=False,
        )
        (row,) = report.runs[0].rows
        self.assertEqual((row.value, row.examples), (0.5, 4))


def _without_seconds(run):
    return [dataclasses.replace(row, seconds=None) for row in run.rows]


if __name__ == "__main__":
    tf.test.main()
