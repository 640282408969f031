"""PTQ method, rounding and batch norm in one setting, against NumPy."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from kure_tf import OperatingPoint, apply, fake_quantize_model, ptq
from kure_tf.compat import keras
from kure_tf.fake_quantized import (
    Placement,
    batch_norm_statistics,
    integer_weights,
    quantizers_of,
)
from kure_tf.settings import Setting, StepSizes, TensorStep

pytestmark = pytest.mark.one_keras

layers = keras.layers
IMAGES = np.random.default_rng(1).normal(1, 2, (64, 3)).astype(np.float32)


def _model(norm=True):
    model = keras.Sequential(
        [
            keras.Input((3,)),
            layers.Dense(2, use_bias=False, name="d"),
            *([layers.BatchNormalization(name="bn")] if norm else []),
            layers.Dense(2, name="e"),
        ]
    )
    rng = np.random.default_rng(0)
    model.set_weights(
        [np.abs(rng.normal(0, 0.5, w.shape)) for w in model.get_weights()]
    )
    return fake_quantize_model(model, Placement())


class _Method:
    """A PTQ method: step size 1 / bits; notes what it was asked for."""

    def __init__(self):
        self.points, self.means = [], []

    def __call__(self, calibration, point):
        self.points.append(str(point))
        found = batch_norm_statistics(calibration.model)
        self.means.append(found["bn"].mean)
        steps = {}
        if point.weight_bits:
            steps["d/kernel"] = TensorStep(
                1 / point.weight_bits, point.weight_bits
            )
        return StepSizes(steps)


class SettingsForTest(tf.test.TestCase):
    def setUp(self):
        super().setUp()
        self.model = _model()
        self.before = self.model.get_weights()
        self.method = _Method()
        self.calibration = ptq.calibrate(self.model, [IMAGES], progress=False)

    def _for(self, method=None, **options):
        return ptq.settings_for(
            self.calibration, method or self.method, **options
        )

    def _assert_model_is_left(self):
        for old, new in zip(self.before, self.model.get_weights(), strict=True):
            self.assertAllEqual(old, new)

    def test_step_sizes_are_those_of_the_method(self):
        setting = self._for(ptq.lp_norm)(OperatingPoint(4, 8, step_scale=1.1))

        expected = ptq.lp_norm(self.calibration, OperatingPoint(4, 8))
        self.assertEqual(str(setting.point), "4/8 x1.1")
        self.assertEqual(
            list(setting.step_sizes.tensors), list(expected.tensors)
        )
        for path, step in expected.tensors.items():
            found = setting.step_sizes.tensors[path].step_size
            self.assertAllEqual(found, step.step_size)
        self.assertIsNone(setting.rounded_weights)
        self.assertIsNone(setting.batch_norm)

    def test_each_pair_of_bits_is_searched_once(self):
        setting_for = self._for()
        for text in ("FP/FP", "4/FP", "4/FP x1.1", "4/FP pow2", "4/4", "4/FP"):
            setting_for(OperatingPoint.parse(text))
        self.assertEqual(self.method.points, ["FP/FP", "4/FP", "4/4"])

    def test_without_a_method_steps_are_kept(self):
        setting = ptq.settings_for(self.calibration, None)(OperatingPoint(4))
        self.assertIsNone(setting.step_sizes)

    def test_a_layer_that_stands_apart_does_so_in_the_setting(self):
        place = Setting("4/FP", layer="d", others="8/FP")
        setting = self._for(batch_norm=[IMAGES])(place)

        self.assertEqual(setting.layer, "d")
        self.assertEqual(setting.others, OperatingPoint(8))
        outputs = IMAGES @ self._quantized(1 / 4, 7)
        self.assertAllClose(setting.batch_norm["bn"].mean, outputs.mean(0))

    def _quantized(self, step, largest):
        kernel = np.array(quantizers_of(self.model)["d/kernel"].variable)
        if step is None:
            return kernel
        return step * np.clip(np.round(kernel / step), -largest, largest)

    def test_batch_norm_is_measured_at_each_point(self):
        setting_for = self._for(batch_norm=[IMAGES])
        for text, *grid in (
            ("FP/FP", None, None),
            ("4/FP", 1 / 4, 7),
            ("4/FP x2", 2 / 4, 7),
            ("3/FP", 1 / 3, 3),
        ):
            setting = setting_for(OperatingPoint.parse(text))
            outputs = IMAGES @ self._quantized(*grid)
            found = setting.batch_norm["bn"]
            self.assertAllClose(found.mean, outputs.mean(0), rtol=1e-5)
            self.assertAllClose(found.variance, outputs.var(0), rtol=1e-5)
            self.assertEqual(setting.provenance, {"batch_norm_images": 64})
            self._assert_model_is_left()

    def test_steps_are_searched_with_the_statistics_of_the_training(self):
        trained = batch_norm_statistics(self.model)["bn"].mean
        setting_for = self._for(batch_norm=[IMAGES])
        for bits in (4, 3, 2):
            setting_for(OperatingPoint(bits))
        self.assertAllEqual(self.method.means, [trained] * 3)

    def test_rounded_weights_come_before_batch_norm(self):
        rounding = functools.partial(ptq.adaround, progress=False)
        setting_for = self._for(
            ptq.lp_norm, rounding=rounding, batch_norm=[IMAGES]
        )
        setting = setting_for(OperatingPoint(2))

        apply(self.model, setting)
        codes = integer_weights(self.model)["d/kernel"].codes
        rounded = setting.rounded_weights
        self.assertAllEqual(codes, rounded.codes["d/kernel"])
        step = rounded.step_sizes.tensors["d/kernel"].step_size
        outputs = IMAGES @ (codes * step)
        found = setting.batch_norm["bn"]
        self.assertAllClose(found.mean, outputs.mean(0), rtol=1e-4)
        self.assertEqual(
            setting.provenance,
            {
                "adaround_tensors": 2,
                "adaround_skipped": 0,
                "adaround_images": 64,
                "adaround_updates": 300,
                "batch_norm_images": 64,
            },
        )

    def test_float_weights_are_not_rounded(self):
        rounding = functools.partial(ptq.adaround, progress=False)
        for point in (OperatingPoint(), OperatingPoint(None, 8)):
            setting = self._for(ptq.lp_norm, rounding=rounding)(point)
            self.assertIsNone(setting.rounded_weights)

    def test_a_setting_can_be_kept_in_a_file(self):
        path = f"{self.get_temp_dir()}/setting.npz"
        setting = self._for(batch_norm=[IMAGES])(OperatingPoint(3))
        setting.save(path)
        apply(self.model, setting)
        expected = self.model(IMAGES)

        self.model.set_weights(self.before)
        apply(self.model, Setting.load(path))

        self.assertAllEqual(self.model(IMAGES), expected)

    def test_batches_that_are_used_up_are_refused(self):
        with self.assertRaisesRegex(ValueError, "gone through again.*list"):
            self._for(batch_norm=iter([IMAGES]))

    def test_a_model_without_batch_norm_is_refused_at_once(self):
        calibration = ptq.calibrate(_model(norm=False), progress=False)
        with self.assertRaisesRegex(ValueError, "with batch normalization"):
            ptq.settings_for(calibration, ptq.minmax, batch_norm=[IMAGES])


if __name__ == "__main__":
    tf.test.main()
