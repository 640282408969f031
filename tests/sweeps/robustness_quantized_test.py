"""Sweeps of models with quantizers, and of learned rounding."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from robustness_run import PLAN, measure, small_dataset, small_model

from kure_tf import (
    OperatingPoint,
    fake_quantize_model,
    ptq,
    set_operating_point,
    set_step_sizes,
)
from kure_tf.fake_quantized import Placement, quantizers_of
from kure_tf.quantizers import UniformQuantizer
from kure_tf.sweeps import SweepPlan
from kure_tf.sweeps import robustness as robustness_module

pytestmark = pytest.mark.one_keras


class QuantizedModelTest(tf.test.TestCase):
    """`fake_quantize_model` with steps of its own stands in for QAT."""

    def _trained(self):
        model = fake_quantize_model(small_model(), "paper")
        calibration = ptq.calibrate(
            model, small_dataset().calibration.batches(8), progress=False
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
        run = measure(model, plan=self._plan("trained"))
        for bits, ratio in ((4, 1), (2, 1), (3, 1), (4, 0.9), (4, 1.1)):
            kept = 7 / (2 ** (bits - 1) - 1)
            expected.append(trained * kept * ratio)
        self.assertAllClose(seen[1:6], expected)
        self.assertEqual({row.placement for row in run.rows}, {"qat"})
        self.assertEqual({row.ptq for row in run.rows}, {None, "trained"})
        self.assertEqual(run.provenance["placement"], "qat")
        self.assertIsNone(run.provenance["calibration"])

    def test_the_model_is_left_as_it_came(self):
        model = self._trained()
        before = model.get_weights()
        measure(model, plan=self._plan("trained", "minmax"))
        for old, new in zip(before, model.get_weights(), strict=True):
            self.assertAllEqual(old, new)

    def test_trained_steps_are_put_back_after_a_search(self):
        """Whichever comes first, both give what they give alone."""
        both = measure(self._trained(), plan=self._plan("minmax", "trained"))
        trained = measure(self._trained(), plan=self._plan("trained"))
        searched = measure(self._trained(), plan=self._plan("minmax"))
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
            measure(small_model(), plan=self._plan("trained"))

    def test_bits_that_its_grids_lack_are_refused(self):
        placement = Placement(weights=UniformQuantizer("reference"))
        plan = dataclasses.replace(
            PLAN, placement=placement, points=("minmax: 1/FP", "1/FP")
        )
        model = fake_quantize_model(small_model(), placement)
        self.assertLen(measure(model, plan=plan).rows, 3)
        with self.assertRaisesRegex(ValueError, "at least 2 bits on the grid"):
            measure(self._trained(), plan=plan)


class LearnedRoundingTest(tf.test.TestCase):
    def test_rows_say_which_rounding_they_are_of(self):
        model = small_model()
        before = [np.array(weight) for weight in model.get_weights()]
        plan = SweepPlan(("2/FP", "lp_norm + adaround: 2/FP"))
        run = measure(model, plan=plan)
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


if __name__ == "__main__":
    tf.test.main()
