import pathlib

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from kure_tf import fake_quantize_model, set_operating_point, set_step_sizes
from kure_tf.compat import keras
from kure_tf.fake_quantized import Placement, keeping, quantizers_of
from kure_tf.quantizers import (
    DoReFaActivationQuantizer,
    DoReFaWeightQuantizer,
    LSQQuantizer,
    Quantizer,
    UniformQuantizer,
)
from kure_tf.settings import StepSizes, TensorStep

FLOORS = (
    ("uniform", UniformQuantizer(), UniformQuantizer("asymmetric")),
    ("lsq", LSQQuantizer(), LSQQuantizer("signed_or_unsigned", batched=True)),
    ("dorefa", DoReFaWeightQuantizer("narrow"), DoReFaActivationQuantizer()),
)
KERNEL = np.float32([[0.91, -0.37], [0.18, 0.77], [-0.52, 0.33]])


def _model(weights=None, activations=None):
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(2, use_bias=False, name="d")]
    )
    model.set_weights([KERNEL])
    options = {"activations": activations}
    if weights is not None:
        options["weights"] = weights
    return fake_quantize_model(model, Placement(**options))


class RoundingModeTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.named_parameters(*FLOORS)
    def test_weights_and_activations_are_rounded_down(self, weights, inputs):
        model = _model(weights, inputs)
        dorefa = isinstance(weights, DoReFaWeightQuantizer)
        step = 0.23
        set_step_sizes(
            model,
            StepSizes(
                {"d/kernel": TensorStep(step, 4), "d/input": TensorStep(0.1, 4)}
            ),
        )
        set_operating_point(model, "4/4 floor")
        x = np.float32([[0.19, 0.55, 0.38]])

        y = model(x)

        v, unit = KERNEL.astype(np.float64), 1.0
        if dorefa:
            unit = np.abs(np.tanh(v)).max()
            v = np.tanh(v) / unit
        quantized = step * np.floor(np.clip(v / step, -7, 7)) * unit
        self.assertAllClose(y, 0.1 * np.floor(x / 0.1) @ quantized, rtol=1e-4)

    def test_one_trace_serves_every_mode(self):
        model = _model()
        traces = []

        @tf.function
        def run(x):
            traces.append(1)
            return model(x)

        results = []
        for mode in ("", "floor", "half-up", "stochastic:1", "stochastic:1"):
            set_operating_point(model, f"3/FP {mode}")
            results.append(run(tf.eye(3)).numpy())
        self.assertLen(traces, 1)
        self.assertAllEqual(results[3], results[4])
        self.assertNotAllEqual(results[0], results[1])
        set_operating_point(model, "FP/FP floor")
        self.assertAllEqual(run(tf.eye(3)), KERNEL)

    def test_the_mode_is_kept_and_saved(self):
        model = _model()
        set_operating_point(model, "3/FP floor")
        with keeping(model):
            set_operating_point(model, "3/FP")
        path = pathlib.Path(self.get_temp_dir()) / "model.keras"
        model.save(path)

        loaded = keras.models.load_model(path)

        (tensor,) = quantizers_of(loaded).values()
        self.assertEqual(float(np.array(tensor.state.rounding_mode)), 2.0)
        self.assertAllEqual(loaded(np.eye(3)), model(np.eye(3)))

    def test_a_quantizer_that_does_not_know_modes_is_refused(self):
        class Rounded(Quantizer):
            def quantize(self, x, state):
                return tf.round(x)

        model = _model(Rounded("narrow"))
        set_operating_point(model, "4/FP")
        with self.assertRaisesRegex(ValueError, "'d/kernel' does not.*'floor'"):
            set_operating_point(model, "4/FP floor")


class ActivationRatioTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(0.7, 1.0, 1.3)
    def test_zero_stays_and_the_clip_moves_with_the_step(self, ratio):
        """Asymmetric: both ends are multiplied, codes clamped to the levels."""
        model = _model(UniformQuantizer(), UniformQuantizer("asymmetric"))
        step, lowest = 0.1, -0.42
        set_step_sizes(
            model, StepSizes({"d/input": TensorStep(step, 4, lowest)})
        )
        set_operating_point(model, f"FP/4 x1/{ratio}")
        x = np.float32([[-0.9, 0.0, 0.13], [0.234, -0.31, 9.0]])

        y = model(x)

        zero_point = round(-lowest / step)
        codes = np.round(x / (step * ratio))
        codes = np.clip(codes, -zero_point, 15 - zero_point)
        expected = (step * ratio * codes) @ KERNEL
        self.assertAllClose(y, expected, rtol=1e-4, atol=1e-5)

    def test_weights_keep_their_own_ratio(self):
        model = _model(UniformQuantizer(), UniformQuantizer("unsigned"))
        set_step_sizes(model, StepSizes({"d/input": TensorStep(0.1, 8)}))
        set_operating_point(model, "8/8 x1.2/0.9")
        scales = {
            path: float(np.array(tensor.state.step_scale))
            for path, tensor in quantizers_of(model).items()
        }
        self.assertAllClose(scales, {"d/kernel": 1.2, "d/input": 0.9})


if __name__ == "__main__":
    tf.test.main()
