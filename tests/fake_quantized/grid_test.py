"""Weights read on the full range: NumPy's clip, one level further down."""

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from kure_tf import (
    OperatingPoint,
    fake_quantize_model,
    set_operating_point,
    set_step_sizes,
)
from kure_tf.compat import keras
from kure_tf.fake_quantized import (
    Placement,
    integer_weights,
    keeping,
    quantizers_of,
)
from kure_tf.ptq import calibrate, minmax, settings_for
from kure_tf.quantizers import LSQQuantizer, Quantizer, UniformQuantizer
from kure_tf.settings import StepSizes, TensorStep

KERNEL = np.float32([[0.91, -0.98], [0.18, 0.77], [-0.68, 0.33]])
STEPS = {"per_tensor": 0.1, "per_channel": [[0.08, 0.12]]}


class Own(Quantizer):
    def __call__(self, x, state):
        return tf.round(x)


def _model(weights, step=None):
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(2, use_bias=False, name="d")]
    )
    model.set_weights([KERNEL])
    model = fake_quantize_model(
        model, Placement(weights=weights, activations=UniformQuantizer())
    )
    if step is not None:
        steps = {"d/kernel": TensorStep(step, 4), "d/input": TensorStep(0.1, 4)}
        set_step_sizes(model, StepSizes(steps))
    return model


def _rounded(values, step, low, high):
    step = np.float64(step)
    return step * np.clip(np.rint(np.float64(values) / step), low, high)


class FullRangeTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.product(
        kind=(UniformQuantizer, LSQQuantizer),
        granularity=tuple(STEPS),
        bits=(4, 3),
    )
    def test_weights_get_one_more_negative_level(self, kind, granularity, bits):
        """Other bits keep the clip: the step grows by 7 / 3 from 4 to 3."""
        model = _model(kind("narrow", granularity), STEPS[granularity])
        set_operating_point(model, f"{bits}/FP full")

        top = 2 ** (bits - 1) - 1
        step = np.multiply(STEPS[granularity], 7 / top)
        expected = _rounded(KERNEL, step, -top - 1, top)
        self.assertNotAllEqual(expected, _rounded(KERNEL, step, -top, top))
        self.assertAllClose(model(np.eye(3)), expected, rtol=1e-5)
        own = integer_weights(model)["d/kernel"]
        self.assertEqual((own.codes.min(), own.levels), (-top - 1, 2**bits))
        self.assertAllClose(own.to_float(), expected, rtol=1e-5)

    def test_activations_stay_on_their_grid(self):
        model = _model(UniformQuantizer(), 0.1)
        set_operating_point(model, "FP/4 full")
        self.assertAllClose(model(np.float32([[-9, 0, 0]])), -0.7 * KERNEL[:1])

    def test_other_roundings_reach_the_level_too(self):
        model = _model(UniformQuantizer(), 0.1)
        set_operating_point(model, "4/FP floor full")
        floor = np.clip(np.floor(KERNEL / 0.1), -8, 7) * 0.1
        self.assertAllClose(model(np.eye(3)), floor)

    def test_one_trace_serves_both_and_it_is_put_back_and_saved(self):
        model = _model(UniformQuantizer(), 0.1)
        run = tf.function(model)
        narrow, full = (_rounded(KERNEL, 0.1, low, 7) for low in (-7, -8))
        x = tf.eye(3)
        set_operating_point(model, "4/FP full")
        with keeping(model):
            set_operating_point(model, "4/FP")
            self.assertAllClose(run(x), narrow)
        self.assertAllClose(run(x), full)
        self.assertEqual(run.experimental_get_tracing_count(), 1)

        path = f"{self.get_temp_dir()}/model.keras"
        model.save(path)

        self.assertAllClose(keras.models.load_model(path)(x), full)

    def test_a_grid_that_is_full_already_stays(self):
        model = _model(UniformQuantizer("full"), 0.1)
        set_operating_point(model, "4/FP full")
        self.assertAllClose(model(np.eye(3)), _rounded(KERNEL, 0.1, -8, 7))

    def test_steps_are_chosen_on_the_narrow_grid(self):
        model = _model(UniformQuantizer())
        calibration = calibrate(model, progress=False)
        point = OperatingPoint.parse("4/FP full")
        setting = settings_for(calibration, minmax)(point)
        step = setting.step_sizes.tensors["d/kernel"].step_size
        self.assertAllClose(step, 0.98 / 7)

    @parameterized.named_parameters(
        ("mid_rise", UniformQuantizer("reference"), "'reference'"),
        ("equation_1", UniformQuantizer("equation1"), "'equation1'"),
        ("of_ones_own", Own("narrow"), "Own"),
    )
    def test_other_weights_are_refused(self, weights, words):
        model = _model(weights, 0.1)
        with self.assertRaisesRegex(
            ValueError, f"'narrow'.*{words}.*'d/kernel'.*Leave 'full' out"
        ):
            set_operating_point(model, "4/FP full")
        set_operating_point(model, "FP/4 full")
        (kernel, _) = quantizers_of(model).values()
        self.assertAllEqual(kernel.state.bits, 32.0)


if __name__ == "__main__":
    tf.test.main()
