import numpy as np
import pytest
import tensorflow as tf

from kure_tf import OperatingPoint, data, fake_quantize_model
from kure_tf.compat import keras
from kure_tf.fake_quantized import Placement, quantizers_of
from kure_tf.settings import Setting
from kure_tf.sweeps import (
    SweepPlan,
    measure_robustness,
    measure_sensitivity,
    run_sweep,
    sensitivity_points,
)

pytestmark = pytest.mark.one_keras

LAYERS = ("a", "b", "c")


def _model():
    model = keras.Sequential(
        [
            keras.Input((4,)),
            *(keras.layers.Dense(4, name=name) for name in LAYERS),
        ]
    )
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
    return model


class _Standing:
    """Stands in for an evaluation: notes (bits, step ratio) of each layer."""

    def __init__(self):
        self.seen = []

    def __call__(self, model):
        tensors = quantizers_of(model)
        states = [tensors[f"{name}/kernel"].state for name in LAYERS]
        self.seen.append(
            [
                (int(np.array(s.bits)), round(float(np.array(s.step_scale)), 3))
                for s in states
            ]
        )
        return {"accuracy": 0.5, "images": 7}


class SensitivityTest(tf.test.TestCase):
    def _measure(self, **options):
        evaluate = _Standing()
        model = fake_quantize_model(_model(), Placement(activations=None))
        report = measure_sensitivity(
            model, "3/FP", evaluate, progress=False, **options
        )
        return evaluate.seen, report.runs[0].rows

    def test_each_layer_alone_is_quantized_and_the_others_float(self):
        seen, rows = self._measure()
        low, fp = (3, 1.0), (32, 1.0)
        self.assertEqual(seen, [[low, fp, fp], [fp, low, fp], [fp, fp, low]])
        self.assertEqual([row.layer for row in rows], list(LAYERS))
        self.assertEqual({row.sweep for row in rows}, {"sensitivity"})
        self.assertEqual({str(row.point) for row in rows}, {"3/FP"})

    def test_each_layer_perturbed_among_others_at_the_point(self):
        seen, rows = self._measure(ratio=0.8)
        off, on = (3, 0.8), (3, 1.0)
        self.assertEqual(seen, [[off, on, on], [on, off, on], [on, on, off]])
        self.assertEqual({row.point.step_scale for row in rows}, {0.8})
        self.assertEqual({str(row.others) for row in rows}, {"3/FP"})

    def test_a_layer_alone_is_not_taken_for_one_among_others(self):
        model = fake_quantize_model(_model(), Placement(activations=None))
        low, high = OperatingPoint(3), OperatingPoint(8)
        points = [
            Setting(low, layer="a"),
            Setting(low, layer="a", others=high),
        ]
        evaluate = _Standing()

        def sweep(points, **options):
            return (
                run_sweep(
                    model, points, evaluate=evaluate, progress=False, **options
                )
                .runs[0]
                .rows
            )

        rows = sweep(points, finished=sweep(points[:1]))
        self.assertLen(evaluate.seen, 2)
        self.assertEqual([row.others for row in rows], [None, high])

    def test_finished_layers_are_not_measured_again(self):
        _, rows = self._measure()
        seen, again = self._measure(finished=rows[:2])
        self.assertLen(seen, 1)
        self.assertEqual(again[:2], rows[:2])

    def test_pinned_layers_are_left_out(self):
        model = fake_quantize_model(_model(), "paper")
        layers = [p.layer for p in sensitivity_points(model, "4/4")]
        self.assertEqual(layers, ["b"])

    def test_a_ratio_in_the_point_is_refused(self):
        model = fake_quantize_model(_model(), Placement(activations=None))
        with self.assertRaisesRegex(ValueError, "without step ratios.*x0.9"):
            sensitivity_points(model, "3/FP x0.9")


def _dataset():
    def pair(seed):
        rng = np.random.default_rng(seed)
        images = rng.integers(0, 255, (30, 4, 4, 1)).astype(np.uint8)
        return images, rng.integers(3, size=30)

    return data.from_arrays(
        pair(0), pair(1), num_classes=3, calibration_count=10
    )


def _picture_model():
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
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
    return model


class DimensionsTest(tf.test.TestCase):
    plan = SweepPlan(
        (
            *("4 x1/{0.9,1.1}", "3 x{0.9,1.1}/="),
            *("4/FP {floor,stochastic:1}", "clipping: 4/FP x0.7"),
            *("sensitivity: 3/FP x{1,0.8}", "calibration_seed: 4"),
        ),
        calibration_seeds=(1, 2),
    )

    def _measure(self, plan, folder=None):
        report = measure_robustness(
            _picture_model(),
            _dataset(),
            plan,
            name="tiny",
            folder=folder,
            progress=False,
        )
        return report.runs[0].rows

    def test_rows_are_those_of_the_plan_and_found_again(self):
        folder = self.get_temp_dir()
        rows = self._measure(self.plan, folder)
        found = [
            (r.sweep, str(r.point), r.ptq, r.layer, r.calibration_seed)
            for r in rows[1:]
        ]
        p2, no = "lp_norm p=2", (None, None)
        self.assertEqual(
            found,
            [
                ("activation_step_size", "4/4 x1/0.9", p2, *no),
                ("activation_step_size", "4/4 x1/1.1", p2, *no),
                ("joint_step_size", "3/3 x0.9/0.9", p2, *no),
                ("joint_step_size", "3/3 x1.1/1.1", p2, *no),
                ("rounding_mode", "4/FP floor", p2, *no),
                ("rounding_mode", "4/FP stochastic:1", p2, *no),
                ("clipping", "4/FP x0.7", "minmax", *no),
                ("sensitivity", "3/FP", p2, "b", None),
                ("sensitivity", "3/FP x0.8", p2, "b", None),
                ("calibration_seed", "4/4", p2, None, 1),
                ("calibration_seed", "4/4", p2, None, 2),
            ],
        )
        self.assertEqual(self._measure(self.plan, folder), rows)

    def test_clipping_ratio_is_a_step_ratio_of_max_abs(self):
        clipped = SweepPlan(("clipping: 4/FP x0.7",))
        stepped = SweepPlan(("minmax: 4/FP x0.7",))
        losses = [self._measure(p)[-1].details for p in (clipped, stepped)]
        self.assertEqual(*losses)


if __name__ == "__main__":
    tf.test.main()
