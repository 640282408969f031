"""Settings put into models: what is written, against NumPy, and what is not."""

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

from kure_tf import apply, fake_quantize_model, keeping, set_operating_point
from kure_tf.compat import keras
from kure_tf.fake_quantized import Placement, operating_point_of, quantizers_of
from kure_tf.settings import (
    BatchNormStatistics,
    BiasCorrection,
    RoundedWeights,
    Setting,
    StepSizes,
    TensorStep,
)

pytestmark = pytest.mark.one_keras

layers = keras.layers
X = np.random.default_rng(1).normal(size=(6, 3)).astype(np.float32)
STEPS = StepSizes(
    {"a/kernel": TensorStep(0.25, 4), "b/kernel": TensorStep(0.125, 4)}
)
CODES = np.random.default_rng(2).integers(-7, 8, (3, 4))
ROUNDED = RoundedWeights(
    {"a/kernel": CODES}, StepSizes({"a/kernel": TensorStep(0.5, 4)})
)
STATISTICS = {"n/bn": BatchNormStatistics(np.arange(4.0), np.arange(1.0, 5.0))}
SHIFTS = BiasCorrection({"b": np.array([0.5, -1.0])})


def _model():
    """Dense a, a nested batch norm, dense b, with weights of one's own."""
    inside = keras.Input((4,))
    norm = layers.BatchNormalization(epsilon=0.01, name="bn")
    nested = keras.Model(inside, norm(inside), name="n")
    model = keras.Sequential(
        [
            keras.Input((3,)),
            layers.Dense(4, name="a", use_bias=False),
            nested,
            layers.Dense(2, name="b"),
        ]
    )
    rng = np.random.default_rng(0)
    model.set_weights(
        [rng.uniform(0.1, 1, w.shape) for w in model.get_weights()]
    )
    return fake_quantize_model(model, Placement(activations=None))


def _rounded(kernel, step_size, bits=4):
    high = 2 ** (bits - 1) - 1
    return np.clip(np.round(kernel / step_size), -high, high) * step_size


class ApplyTest(tf.test.TestCase, parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.model = _model()
        tensors = quantizers_of(self.model)
        self.kernels = [np.array(t.variable) for t in tensors.values()]
        self.gamma, self.beta, self.mean, self.variance = (
            np.array(w) for w in self.model.get_layer("n").weights
        )
        self.bias = np.array(self.model.get_layer("b").layer.bias)

    def _outputs(self, a, b, mean, variance, bias):
        x = (X @ a - mean) / np.sqrt(variance + 0.01)
        return (x * self.gamma + self.beta) @ b + bias

    def test_everything_that_a_setting_holds_is_written(self):
        apply(
            self.model,
            Setting(
                "4/FP",
                step_sizes=STEPS,
                rounded_weights=ROUNDED,
                batch_norm=STATISTICS,
                bias_correction=SHIFTS,
            ),
        )

        found = STATISTICS["n/bn"]
        expected = self._outputs(
            CODES * 0.5,
            _rounded(self.kernels[1], 0.125),
            found.mean,
            found.variance,
            self.bias + [0.5, -1.0],
        )
        self.assertAllClose(self.model(X), expected, atol=1e-5)
        self.assertEqual(operating_point_of(self.model), (4, None))

    def test_what_a_setting_does_not_hold_stays(self):
        apply(self.model, Setting("4/FP", step_sizes=STEPS))
        expected = self._outputs(
            _rounded(self.kernels[0], 0.25),
            _rounded(self.kernels[1], 0.125),
            self.mean,
            self.variance,
            self.bias,
        )
        self.assertAllClose(self.model(X), expected, atol=1e-5)

        apply(self.model, Setting("FP/FP"))
        expected = self._outputs(
            *self.kernels, self.mean, self.variance, self.bias
        )
        self.assertAllClose(self.model(X), expected, atol=1e-5)

    def test_the_rounding_of_steps_sees_the_steps_that_come_with_it(self):
        steps = StepSizes({"a/kernel": TensorStep(0.3, 4)})
        apply(self.model, Setting("4/FP x1.5 pow2", step_sizes=steps))

        state = quantizers_of(self.model)["a/kernel"].state
        step_size = np.array(state.step_size) * np.array(state.step_scale)
        self.assertAllClose(step_size, np.full(step_size.shape, 1.5 * 0.25))

    @parameterized.parameters((None, None), ("8/FP", 8))
    def test_one_layer_stands_apart(self, others, bits):
        apply(self.model, Setting("3/FP", layer="b", others=others))

        states = [t.state for t in quantizers_of(self.model).values()]
        self.assertEqual(float(np.array(states[0].bits)), bits or 32)
        self.assertEqual(float(np.array(states[1].bits)), 3)

    def test_keeping_puts_everything_back(self):
        set_operating_point(self.model, "5/FP")
        before = self.model.get_weights()
        with keeping(self.model):
            self.test_everything_that_a_setting_holds_is_written()
        for old, new in zip(before, self.model.get_weights(), strict=True):
            self.assertAllEqual(old, new)

    @parameterized.named_parameters(
        ("steps", "4/FP", {"step_sizes": StepSizes({"m": TensorStep(1, 4)})},
         "unknown ones.*'m'"),
        ("codes", "4/FP", {"rounded_weights": RoundedWeights(
            {"a/kernel": [0]}, STEPS)}, r"\(1,\) for .a/kernel.*not fit"),
        ("kernel", "4/FP", {"rounded_weights": RoundedWeights(
            {"m/kernel": CODES}, STEPS)}, "'m/kernel', which do not fit"),
        ("no_step", "4/FP", {"rounded_weights": RoundedWeights(
            {"a/kernel": CODES}, StepSizes({}))}, "with step sizes.*not fit"),
        ("norm", "4/FP", {"batch_norm": {"m": STATISTICS["n/bn"]}},
         "unknown ones.*'m'"),
        ("no_bias", "4/FP", {"bias_correction": BiasCorrection(
            {"a": np.zeros(4)})}, "'a', which does not fit"),
        ("bias", "4/FP", {"bias_correction": BiasCorrection(
            {"b": np.zeros(3)})}, r"shape \(3,\) for 'b', which does not"),
        ("point", "1/FP", {}, "at least 2 bits"),
        ("layer", "4/FP", {"layer": "c"}, "'c'.*no such layer"),
        ("float_layer", "4/FP", {"layer": "n/bn"}, "'n/bn'.*no kernel"),
    )  # fmt: skip
    def test_nothing_is_written_where_something_does_not_fit(
        self, point, wrong, message
    ):
        values = {
            "step_sizes": STEPS,
            "rounded_weights": ROUNDED,
            "batch_norm": STATISTICS,
            "bias_correction": SHIFTS,
        }
        before = self.model.get_weights()
        with self.assertRaisesRegex(ValueError, message):
            apply(self.model, Setting(point, **{**values, **wrong}))
        for old, new in zip(before, self.model.get_weights(), strict=True):
            self.assertAllEqual(old, new)

    def test_something_else_than_a_setting_is_refused(self):
        with self.assertRaisesRegex(TypeError, "Expected a Setting.*str"):
            apply(self.model, "4/FP")
        plain = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
        with self.assertRaisesRegex(ValueError, "fake_quantize_model"):
            apply(plain, Setting("4/FP"))


if __name__ == "__main__":
    tf.test.main()
