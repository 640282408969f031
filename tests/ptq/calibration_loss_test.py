"""The calibration loss and its gradient against NumPy, for a dense layer."""

import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from scipy import special

from kure_tf import OperatingPoint, fake_quantize_model, ptq
from kure_tf.compat import keras
from kure_tf.fake_quantized import Placement
from kure_tf.ptq.step_ratios import StepRatios
from kure_tf.quantizers import StepSizes, TensorStep, UniformQuantizer

POINT = OperatingPoint(3, None)


def _model(granularity="per_tensor", activation=None):
    model = keras.Sequential(
        [
            keras.Input((5,)),
            keras.layers.Dense(4, name="d", activation=activation),
        ]
    )
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(size=(5, 4)), rng.normal(size=4)])
    placement = Placement(
        weights=UniformQuantizer("narrow", granularity),
        activations=UniformQuantizer("asymmetric"),
    )
    return fake_quantize_model(model, placement), model.get_weights()


def _batches():
    rng = np.random.default_rng(1)
    return [
        (rng.normal(size=(n, 5)).astype(np.float32), rng.integers(4, size=n))
        for n in (300, 7)
    ]


def _steps(value):
    return StepSizes({"d/kernel": TensorStep(np.array(value), 3)})


def _by_hand(weights, step):
    """Returns the losses' mean, and its gradient by the step size `[1, 4]`."""
    kernel, bias = (w.astype(np.float64) for w in weights)
    x = np.concatenate([x for x, _ in _batches()]).astype(np.float64)
    labels = np.concatenate([labels for _, labels in _batches()])
    codes = np.clip(np.round(kernel / step), -3, 3)
    logits = x @ (codes * step) + bias
    losses = -special.log_softmax(logits, -1)[np.arange(len(x)), labels]
    error = special.softmax(logits, -1) - np.eye(4)[labels]
    inside = np.abs(kernel / step) < 3
    to_step = np.where(inside, codes - kernel / step, codes)
    gradient = (x.T @ error / len(x) * to_step).sum(0, keepdims=True)
    return losses.mean(), gradient


class CalibrationLossTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters("per_tensor", "per_channel")
    def test_loss_and_gradient_are_those_by_hand(self, granularity):
        model, weights = _model(granularity)
        loss = ptq.CalibrationLoss(model, _batches())
        step = np.array([[0.3, 0.5, 0.2, 0.9]])
        if granularity == "per_tensor":
            step = np.array(0.4)
        mean, gradient = _by_hand(weights, step)
        self.assertAllClose(loss(POINT, _steps(step)), mean, rtol=1e-5)
        found, by_path = loss.gradient(POINT, _steps(step), np.arange(307))
        self.assertAllClose(found, mean, rtol=1e-5)
        if granularity == "per_tensor":
            gradient = gradient.sum()
        self.assertAllClose(by_path["d/kernel"], gradient, rtol=1e-4)
        self.assertAllEqual(by_path["d/input"], 0.0)

    def test_probabilities_give_the_loss_of_their_logits(self):
        logits = ptq.CalibrationLoss(_model()[0], _batches())
        other = ptq.CalibrationLoss(
            _model(activation="softmax")[0], _batches(), from_logits=False
        )
        self.assertAllClose(
            logits(POINT, _steps(0.4)), other(POINT, _steps(0.4)), rtol=1e-5
        )

    def test_all_points_share_one_graph_and_passes_are_counted(self):
        model, weights = _model()
        loss = ptq.CalibrationLoss(model, _batches())
        found = [
            loss(OperatingPoint(bits, None), _steps(0.3)) for bits in (2, 3, 8)
        ]
        found.append(loss.in_float())
        self.assertLen(set(found), 4)
        self.assertEqual(loss._loss.experimental_get_tracing_count(), 1)
        self.assertEqual(loss.forward_passes, 4.0)
        loss.gradient(POINT, _steps(0.3), np.arange(30))
        self.assertAllClose(loss.forward_passes, 4.0 + 3 * 30 / 307)
        self.assertEqual(loss.images, 307)

    def test_it_is_made_once_for_a_calibration(self):
        calibration = ptq.calibrate(_model()[0], _batches(), progress=False)
        self.assertIs(calibration.loss, calibration.loss)


class StepRatiosTest(tf.test.TestCase, parameterized.TestCase):
    def _ratios(self, shared):
        images = np.abs(_batches()[0][0]) - 0.3
        model, _ = _model("per_channel")
        calibration = ptq.calibrate(model, [images], progress=False)
        start = ptq.lp_norm(calibration, OperatingPoint(3, 4))
        return StepRatios(calibration, start, shared=shared), start.tensors

    @parameterized.parameters((True, 2), (False, 5))
    def test_zero_is_the_start_and_a_logarithm_a_factor(self, shared, size):
        ratios, start = self._ratios(shared)
        self.assertEqual(ratios.size, size)
        for vector, factor in ((0.0, 1.0), (np.log(1.5), 1.5), (-99.0, 0.25)):
            found = ratios.step_sizes(np.full(size, vector)).tensors
            self.assertEqual(list(found), list(start))
            for path, step in found.items():
                self.assertAllClose(
                    step.step_size, factor * start[path].step_size
                )
                # The zero point of an asymmetric grid stays.
                self.assertAllClose(
                    step.origin, factor * start[path].origin, rtol=1e-5
                )
        self.assertLess(start["d/input"].origin, 0.0)

    @parameterized.parameters(True, False)
    def test_gradient_is_that_of_differences(self, shared):
        """For a function that is smooth: the sum of cubes of all steps."""
        ratios, _ = self._ratios(shared)

        def value(vector):
            steps = ratios.step_sizes(vector).tensors.values()
            return sum(np.sum(s.step_size.astype(float) ** 3) for s in steps)

        vector = np.random.default_rng(0).normal(0, 0.3, ratios.size)
        steps = ratios.step_sizes(vector)
        by_path = {p: 3 * s.step_size**2 for p, s in steps.tensors.items()}
        differences = [
            (value(vector + d) - value(vector - d)) / 0.02
            for d in 0.01 * np.eye(ratios.size)
        ]
        self.assertAllClose(
            ratios.gradient(steps, by_path), differences, rtol=1e-3
        )


if __name__ == "__main__":
    tf.test.main()
