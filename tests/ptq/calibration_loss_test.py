"""The calibration loss and its gradient against NumPy, for a dense layer."""

import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from scipy import special

from kure_tf import OperatingPoint, fake_quantize_model, ptq
from kure_tf.compat import keras
from kure_tf.fake_quantized import FakeQuantized, Placement
from kure_tf.ptq.step_ratios import StepRatios
from kure_tf.quantizers import UniformQuantizer
from kure_tf.settings import StepSizes, TensorStep

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

    def test_gradients_of_values_are_those_by_hand(self):
        model, weights = _model()
        loss = ptq.CalibrationLoss(model, _batches())
        kernel, bias = (w.astype(np.float64) for w in weights)
        x = np.concatenate([x for x, _ in _batches()])
        labels = np.concatenate([labels for _, labels in _batches()])
        kernel = np.clip(np.round(kernel / 0.4), -3, 3) * 0.4
        rounded = np.clip(np.round(x / 0.5), -4, 3) * 0.5
        steps = StepSizes(
            {
                **_steps(0.4).tensors,
                "d/input": TensorStep(np.array(0.5), 3, origin=-2.0),
            }
        )
        groups = [np.arange(0, 40), np.arange(100, 307)]
        found = list(
            loss.gradients_of_values(OperatingPoint(3, 3), steps, groups)
        )
        self.assertAllClose(loss.forward_passes, 3 * (40 + 207) / 307)
        for index, by_path in zip(groups, found, strict=True):
            error = special.softmax(rounded[index] @ kernel + bias, -1)
            error = (error - np.eye(4)[labels[index]]) / len(index)
            ((values, gradient),) = by_path["d/kernel"]
            self.assertIsNone(values)
            self.assertAllClose(gradient, rounded[index].T @ error, atol=1e-5)
            ((values, gradient),) = by_path["d/input"]
            self.assertAllClose(values, x[index])
            self.assertAllClose(gradient, error @ kernel.T, atol=1e-6)
        # Weights alone: another graph, which leaves activations out.
        (only,) = loss.gradients_of_values(POINT, _steps(0.4), groups[:1])
        self.assertEqual(list(only), ["d/kernel"])

    def test_a_host_that_does_not_show_its_tensors_is_named(self):
        model, _ = _model()
        loss = ptq.CalibrationLoss(model, _batches())
        call = FakeQuantized.call
        try:
            FakeQuantized.call = lambda host, *args, **kwargs: host.layer(
                *args, **kwargs
            )
            with self.assertRaisesRegex(ValueError, "of.*'d/kernel'"):
                next(
                    loss.gradients_of_values(POINT, _steps(0.4), [np.arange(8)])
                )
        finally:
            FakeQuantized.call = call

    def test_quantizers_further_behind_are_straight_through(self):
        model = keras.Sequential(
            [
                keras.Input((5,)),
                keras.layers.Dense(4, use_bias=False, name="a"),
                keras.layers.Dense(4, use_bias=False, name="b"),
            ]
        )
        random = np.random.default_rng(0)
        model.set_weights([random.normal(size=s.shape) for s in model.weights])
        copy = fake_quantize_model(
            model,
            Placement(weights=None, activations=UniformQuantizer("asymmetric")),
        )
        x, labels = _batches()[0]
        loss = ptq.CalibrationLoss(copy, [(x, labels)])
        steps = StepSizes(
            {
                name: TensorStep(np.array(0.5), 3, origin=-2.0)
                for name in ("a/input", "b/input")
            }
        )
        (found,) = loss.gradients_of_values(
            OperatingPoint(None, 3), steps, [np.arange(300)]
        )
        first, second = (w.astype(np.float64) for w in model.get_weights())

        def quantized(values):
            return np.clip(np.round(values / 0.5), -4, 3) * 0.5

        hidden = quantized(x) @ first
        error = special.softmax(quantized(hidden) @ second, -1)
        error = (error - np.eye(4)[labels]) / 300
        inside = (hidden > -2.0) & (hidden < 1.5)
        wanted = ((error @ second.T) * inside) @ first.T
        self.assertAllClose(found["a/input"][0][1], wanted, atol=1e-6)

    def test_a_shared_layer_has_a_gradient_for_each_call(self):
        inputs = keras.Input((4,))
        shared = keras.layers.Dense(4, use_bias=False, name="d")
        model = keras.Model(inputs, shared(shared(inputs)))
        random = np.random.default_rng(0)
        model.set_weights([random.normal(size=(4, 4))])
        copy = fake_quantize_model(
            model, Placement(weights=UniformQuantizer("narrow"))
        )
        x = random.normal(size=(30, 4)).astype(np.float32)
        labels = random.integers(4, size=30)
        loss = ptq.CalibrationLoss(copy, [(x, labels)])
        (found,) = loss.gradients_of_values(POINT, _steps(0.5), [np.arange(30)])
        kernel = np.clip(np.round(model.get_weights()[0] / 0.5), -3, 3) * 0.5
        hidden = x @ kernel
        error = special.softmax(hidden @ kernel, -1) - np.eye(4)[labels]
        first, second = (gradient for _, gradient in found["d/kernel"])
        self.assertAllClose(second, hidden.T @ error / 30, atol=1e-5)
        self.assertAllClose(first, x.T @ (error @ kernel.T) / 30, atol=1e-5)

    def test_batch_statistics_and_the_gradient_through_them(self):
        model = keras.Sequential(
            [
                keras.Input((5,)),
                keras.layers.Dense(4, use_bias=False, name="d"),
                keras.layers.BatchNormalization(epsilon=0.1, name="bn"),
            ]
        )
        rng = np.random.default_rng(0)
        model.set_weights([rng.uniform(size=s.shape) for s in model.weights])
        copy = fake_quantize_model(model, Placement(activations=None))
        x, labels = (array[:250] for array in _batches()[0])
        x = x.astype(np.float64)
        loss = ptq.CalibrationLoss(copy, [(x, labels)])

        kernel, gamma, beta = (
            w.astype(np.float64) for w in model.get_weights()[:3]
        )
        codes = np.clip(np.round(kernel / 0.2), -3, 3)
        y = x @ (codes * 0.2)
        deviation = np.sqrt(y.var(0) + 0.1)
        normal = (y - y.mean(0)) / deviation
        logits = gamma * normal + beta
        losses = -special.log_softmax(logits, -1)[np.arange(250), labels]
        error = special.softmax(logits, -1) - np.eye(4)[labels]
        # Ioffe & Szegedy 2015, section 3, in terms of the normalized values.
        to_y = error - error.mean(0) - normal * (error * normal).mean(0)
        to_kernel = x.T @ (to_y * gamma / deviation) / 250
        inside = np.abs(kernel / 0.2) < 3
        to_step = np.where(inside, codes - kernel / 0.2, codes)

        before = copy.get_weights()
        own = loss(POINT, _steps(0.2))
        batch = loss.with_batch_statistics
        self.assertAllClose(batch(POINT, _steps(0.2)), losses.mean(), rtol=1e-5)
        self.assertGreater(abs(own - losses.mean()), 0.01)
        found, by_path = batch.gradient(POINT, _steps(0.2), np.arange(250))
        self.assertAllClose(found, losses.mean(), rtol=1e-5)
        self.assertAllClose(
            by_path["d/kernel"], (to_kernel * to_step).sum(), rtol=1e-3
        )
        # The moving averages are the same, and used again by the other loss.
        self.assertAllClose(loss(POINT, _steps(0.2)), own, rtol=1e-6)
        for old, new in zip(before, copy.get_weights(), strict=True):
            if old.ndim == 1:
                self.assertAllEqual(old, new)
        self.assertEqual(loss.forward_passes, 2.0)
        self.assertEqual(batch.forward_passes, 4.0)

    def test_a_softmax_is_not_taken_twice(self):
        logits = ptq.CalibrationLoss(_model()[0], _batches())
        other = ptq.CalibrationLoss(_model(activation="softmax")[0], _batches())
        self.assertAllClose(
            logits(POINT, _steps(0.4)), other(POINT, _steps(0.4)), rtol=1e-5
        )
        self.assertEqual(logits.name, "cross_entropy of logits")
        self.assertEqual(other.name, "cross_entropy of probabilities")

    def test_sample_weights_count(self):
        model, weights = _model()
        x, labels = _batches()[0]
        sample_weight = np.random.default_rng(2).uniform(0, 3, size=300)
        loss = ptq.CalibrationLoss(model, [(x, labels, sample_weight)])
        kernel, bias = (w.astype(np.float64) for w in weights)
        codes = np.clip(np.round(kernel / 0.4), -3, 3)
        logits = x @ (codes * 0.4) + bias
        losses = -special.log_softmax(logits, -1)[np.arange(300), labels]
        mean = np.sum(sample_weight * losses) / np.sum(sample_weight)
        self.assertAllClose(loss(POINT, _steps(0.4)), mean, rtol=1e-5)
        found, _ = loss.gradient(POINT, _steps(0.4), np.arange(300))
        self.assertAllClose(found, mean, rtol=1e-5)

    def test_the_loss_is_that_of_the_compiled_model(self):
        model = keras.Sequential(
            [keras.Input((5,)), keras.layers.Dense(4, name="d")]
        )
        model.compile("sgd", "mean_squared_error")
        copy = fake_quantize_model(model, Placement(activations=None))
        x, _ = _batches()[0]
        y = np.random.default_rng(3).normal(size=(300, 4))
        loss = ptq.CalibrationLoss(copy, [(x, y)])
        self.assertEqual(loss.name, "compiled mean_squared_error")
        kernel, bias = model.get_weights()
        codes = np.clip(np.round(kernel / 0.4), -3, 3)
        error = x @ (codes * 0.4) + bias - y
        self.assertAllClose(
            loss(POINT, _steps(0.4)), np.mean(error**2), rtol=1e-5
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
