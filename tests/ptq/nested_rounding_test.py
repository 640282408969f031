"""Tests for ptq/nested_rounding.py and ptq/nested_settings.py."""

import functools
import tempfile
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import absltest, parameterized

from kure_tf import compat, ptq
from kure_tf.compat import keras
from kure_tf.fake_quantized import (
    apply,
    fake_quantize_model,
    keeping,
    paper_placement,
    quantizers_of,
    tflite_placement,
)
from kure_tf.ptq.nested_layer import LayerSearch
from kure_tf.settings import StepSizes

pytestmark = pytest.mark.one_keras

BITS = (8, 4, 2)


def _images():
    rng = np.random.default_rng(0)
    return rng.normal(size=(64, 8, 8, 3)).astype(np.float32)


@functools.cache
def _calibrated(batch_norm=True):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(8, 3, name="first")(inputs)
    x = keras.layers.ReLU()(x)
    x = keras.layers.Conv2D(8, 3, use_bias=not batch_norm, name="conv")(x)
    if batch_norm:
        x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.ReLU()(x)
    x = keras.layers.DepthwiseConv2D(3, name="depthwise")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dense(5, name="dense")(x)
    model = keras.Model(inputs, x)
    if batch_norm:  # As training leaves it.
        ptq.reestimate_batch_norm(model, [_images()])
    model = fake_quantize_model(
        model, paper_placement(first_layer=8, last_layer=8)
    )
    return ptq.calibrate(model, [_images()], progress=False)


def _nested(batch_norm=True, **options):
    return ptq.nested_rounding(
        _calibrated(batch_norm),
        BITS,
        reestimated_batch_norm=batch_norm,
        updates=60,
        progress=False,
        **options,
    )


# What a search finds, for tests that only look at it.
_found = functools.cache(_nested)


def _outputs(model):
    return np.asarray(model(tf.constant(_images()), training=False))


class NestedRoundingTest(parameterized.TestCase):
    @parameterized.parameters("even", "middle", "truncate")
    def test_fewest_bits_get_better_and_8_bits_stay_good(self, reading):
        layers = _nested(reading=reading).provenance["layers"]
        self.assertEqual(
            [path.partition("/")[0] for path in layers], ["conv", "depthwise"]
        )
        for path, errors in layers.items():
            self.assertLess(errors["2"]["nested"], errors["2"]["nearest"], path)
            self.assertLess(errors["8"]["nested"], 0.02, path)

    def test_the_model_is_left_as_it_was(self):
        model = _calibrated().model
        before = [np.array(w) for w in model.get_weights()]
        _nested()
        for old, new in zip(before, model.get_weights(), strict=True):
            np.testing.assert_array_equal(old, new)

    def test_the_same_images_give_the_same_codes(self):
        first, second = _found(), _nested()
        for path, codes in first.codes.items():
            np.testing.assert_array_equal(codes, second.codes[path])

    def test_a_killed_search_goes_on_to_the_same_codes(self):
        journal = tempfile.mkdtemp() + "/found.npz"
        expected = _found()
        own, calls = LayerSearch.codes, []

        def codes(*args):
            calls.append(1)
            if len(calls) == 2:
                raise KeyboardInterrupt
            return own(*args)

        with mock.patch.object(LayerSearch, "codes", codes):
            with self.assertRaises(KeyboardInterrupt):
                _nested(journal=journal)
            found = _nested(journal=journal)
        self.assertLen(calls, 3)  # The first kernel is not searched again.
        for path, codes in expected.codes.items():
            np.testing.assert_array_equal(codes, found.codes[path])
        with self.assertRaisesRegex(ValueError, "another one"):
            _nested(journal=journal, reading="middle")

    def test_pinned_layers_keep_their_nearest_codes(self):
        nested = _found()
        self.assertEqual(nested.pinned, {"first/kernel": 8, "dense/kernel": 8})
        kernel = compat.to_numpy(
            quantizers_of(_calibrated().model)["dense/kernel"].variable
        )
        step = nested.step_sizes["dense/kernel"]
        np.testing.assert_array_equal(
            nested.codes["dense/kernel"],
            np.clip(np.rint(kernel / step), -127, 127),
        )

    def test_nearest_codes_have_the_step_of_lemma_3(self):
        calibration = _calibrated()
        nested = ptq.nested_rounding(
            calibration, BITS, nearest=True, progress=False
        )
        kernel = compat.to_numpy(
            quantizers_of(calibration.model)["conv/kernel"].variable
        )
        step = 2 * np.abs(kernel).max() / 3 / 64
        np.testing.assert_allclose(
            nested.step_sizes["conv/kernel"], step, rtol=1e-6
        )
        np.testing.assert_array_equal(
            nested.codes["conv/kernel"], np.rint(kernel / np.float32(step))
        )
        self.assertEqual(nested.provenance["rounding_images"], 0)

    def test_biases_make_up_for_the_mean_error_of_each_width(self):
        calibration, nested = _calibrated(False), _found(False)
        expected = _outputs(calibration.model).mean(0)
        for setting in ptq.nested_settings(
            calibration, nested, activation_bits=None
        ):
            with keeping(calibration.model):
                apply(calibration.model, setting)
                found = _outputs(calibration.model).mean(0)
            np.testing.assert_allclose(found, expected, atol=1e-4)

    def test_outputs_of_each_width_lie_on_those_of_float(self):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((8, 8, 3))
        x = keras.layers.Conv2D(8, 3, name="conv")(inputs)
        model = fake_quantize_model(
            keras.Model(inputs, x),
            tflite_placement(first_layer=None, last_layer=None),
        )
        calibration = ptq.calibrate(model, [_images()], progress=False)
        expected = _outputs(model).reshape(-1, 8)
        nested = ptq.nested_rounding(
            calibration, (8, 2), updates=60, progress=False
        )
        for setting in ptq.nested_settings(
            calibration, nested, activation_bits=None
        ):
            with keeping(model):
                apply(model, setting)
                found = _outputs(model).reshape(-1, 8)
            for x, y in zip(found.T, expected.T, strict=True):
                slope, offset = np.polyfit(x, y, 1)
                self.assertAlmostEqual(slope, 1.0, places=4)
                self.assertAlmostEqual(offset, 0.0, places=4)

    def test_bits_without_8_are_refused(self):
        with self.assertRaisesRegex(ValueError, "with 8"):
            ptq.nested_rounding(_calibrated(), (4, 2))

    def test_no_images_are_refused_before_any_search(self):
        model = _calibrated().model
        calibration = ptq.calibrate(model, progress=False)
        with self.assertRaisesRegex(ValueError, "images for nested rounding"):
            ptq.nested_rounding(calibration, BITS, progress=False)


class NestedSettingsTest(absltest.TestCase):
    def test_settings_read_one_code_at_their_own_statistics(self):
        settings = ptq.nested_settings(
            _calibrated(),
            _found(),
            activation_bits={8: 8, 4: 8, 2: 6},
            batch_norm=[_images()],
        )
        self.assertEqual(
            [str(setting.point) for setting in settings], ["8/8", "4/8", "2/6"]
        )
        means = [setting.batch_norm["norm"].mean for setting in settings]
        self.assertGreater(np.abs(means[0] - means[2]).max(), 0)
        self.assertIsInstance(settings[0].step_sizes, StepSizes)

    def test_a_model_at_a_setting_runs_with_its_codes(self):
        calibration, nested = _calibrated(), _found()
        setting = ptq.nested_settings(calibration, nested, bits=[2])[0]
        model = calibration.model
        with keeping(model):
            apply(model, setting)
            tensor = quantizers_of(model)["conv/kernel"]
            found = np.asarray(tensor.quantizer(tensor.variable, tensor.state))
        step = setting.rounded_weights.step_sizes.tensors["conv/kernel"]
        np.testing.assert_allclose(
            found, nested.at(2).codes["conv/kernel"] * step.step_size, rtol=1e-6
        )


if __name__ == "__main__":
    absltest.main()
