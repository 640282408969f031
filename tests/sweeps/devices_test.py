import dataclasses
import json
import math
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized
from measured import row as row_at

from kure_tf import (
    data,
    fake_quantize_model,
    ptq,
    set_operating_point,
    set_step_sizes,
)
from kure_tf.compat import keras
from kure_tf.evaluation.paired_error import paired_error
from kure_tf.fake_quantized import Placement, tflite_placement
from kure_tf.measurements import Report
from kure_tf.sweeps import (
    DeviceProfile,
    builtin_profiles,
    check_devices,
    device_profiles,
)
from kure_tf.sweeps import devices as devices_module

pytestmark = pytest.mark.one_keras

FACTS = {
    "description": "Of the test.",
    "point": "8/8",
    "weight_grid": "narrow",
    "weight_granularity": "per_tensor",
    "activation_grid": "asymmetric",
    "fold_batch_norm": False,
}


def profile(name="own", **facts):
    return DeviceProfile(name=name, **{**FACTS, **facts})


class DeviceProfileTest(tf.test.TestCase, parameterized.TestCase):
    def _file(self, content):
        path = pathlib.Path(self.get_temp_dir()) / "own.json"
        path.write_text(content)
        return path

    def _load(self, *members):
        return DeviceProfile.load(self._file(json.dumps(members)))

    def test_a_file_says_what_the_profile_says(self):
        facts = {"point": "4/8 pow2-up", "first_layer": 8, "ptq": "minmax"}
        one = profile(**facts, last_layer="float", source="here")
        self.assertEqual(
            self._load(one.to_dict(), {"name": "b", **FACTS})[0], one
        )
        one = profile(allowed_steps=[0.5, 0.25])
        self.assertEqual(self._load(one.to_dict())[0], one)
        self.assertEqual(one.allowed_steps, (0.25, 0.5))

    @parameterized.named_parameters(
        ("unknown_member", {"colour": 1}, "Unknown: colour"),
        ("missing_member", {"point": ...}, "Missing: point"),
        ("bad_bits", {"point": "17/8"}, "integer in 2..16.*Received: 17"),
        ("one_bit", {"point": "1/8"}, "at least 2 bits"),
        ("bad_point", {"point": "8-8"}, "Received: '8-8'"),
        ("no_point", {"point": None}, "operating point.*None"),
        ("in_float", {"point": "FP/FP"}, "not in float"),
        ("bad_grid", {"weight_grid": "round"}, "name of a grid.*'round'"),
        ("no_weight_grid", {"weight_grid": "asymmetric"}, "symmetric grid"),
        ("grid_of_a_kind", {"activation_grid": ["narrow"]}, "to be text"),
        ("bad_granularity", {"weight_granularity": "x"}, "a granularity.*'x'"),
        ("bad_pin", {"first_layer": "8"}, "pinned bit-width.*'8'"),
        ("bad_fold", {"fold_batch_norm": "yes"}, "true or false.*'yes'"),
        ("bad_ptq", {"ptq": "magic"}, "PTQ method.*'magic'"),
        ("negative_step", {"allowed_steps": [-0.1]}, "positive, finite step"),
        ("no_list", {"allowed_steps": 0.1}, "allowed_steps.*list of numbers"),
        ("no_number", {"allowed_steps": ["a"]}, "allowed_steps.*of numbers"),
        ("nested", {"allowed_steps": [[0.1]]}, "allowed_steps.*of numbers"),
        ("no_step", {"allowed_steps": [True]}, "allowed_steps.*of numbers"),
        (
            "scaled_steps",
            {"allowed_steps": [0.1], "point": "4/FP x1.1"},
            "leaves the allowed_steps as they are.*4/FP x1.1",
        ),
        (
            "rounded_steps",
            {"allowed_steps": [0.1], "point": "4/4 pow2"},
            "leaves the allowed_steps as they are",
        ),
        (
            "two_methods",
            {"allowed_steps": [0.1], "ptq": "minmax"},
            "left out where allowed_steps",
        ),
        (
            "folded_and_measured_again",
            {"fold_batch_norm": True, "reestimate_batch_norm": True},
            "false where fold_batch_norm is true",
        ),
    )
    def test_a_file_is_refused_for(self, changes, message):
        members = {"name": "own", **FACTS, **changes}
        members = {k: v for k, v in members.items() if v is not ...}
        with self.assertRaisesRegex(ValueError, rf"(?s)\[1\].*{message}"):
            self._load({"name": "good", **FACTS}, members)

    @parameterized.parameters(
        ('[{"name": "cut', "not valid JSON.*truncated"),
        ('{"name": "alone"}', "JSON list of objects"),
        ("[]", "JSON list of objects"),
        ("[3]", r"\[0\] to be an object.*3"),
    )
    def test_no_list_of_profiles_is_refused(self, content, message):
        with self.assertRaisesRegex(ValueError, message):
            DeviceProfile.load(self._file(content))

    def test_no_file_is_refused(self):
        with self.assertRaisesRegex(FileNotFoundError, "nowhere.json"):
            device_profiles("nowhere.json")

    def test_builtin_tflite_is_the_placement_without_its_pins(self):
        (found,) = device_profiles("tflite_int8_per_channel")
        self.assertEqual(
            found.placement(),
            tflite_placement(first_layer=None, last_layer=None, name="device"),
        )
        self.assertEqual(str(found.point), "8/8")

    def test_builtin_ones_are_said_to_be_classes(self):
        names = [one.name for one in builtin_profiles()]
        self.assertLen(set(names), 5)
        for one in builtin_profiles():
            self.assertIn("not a product", one.description)
            self.assertTrue(one.source)

    def test_names_files_and_profiles_go_together(self):
        path = self._file(json.dumps([{"name": "b", **FACTS}]))
        found = device_profiles([profile("a"), str(path), "w4a4_symmetric"])
        self.assertEqual([p.name for p in found], ["a", "b", "w4a4_symmetric"])

    @parameterized.parameters(
        ("w4a5", "one of.*w4a4_symmetric.*'w4a5'"),
        ([], "Received none"),
        (["builtin", "w4a4_symmetric"], "different names.*w4a4_symmetric"),
    )
    def test_others_are_refused(self, given, message):
        with self.assertRaisesRegex(ValueError, message):
            device_profiles(given)


class PairedErrorTest(tf.test.TestCase):
    def test_it_is_the_wald_error_of_the_table_with_half_an_image_more(self):
        """Brute force: the standard deviation of +1, 0, -1 over the images."""
        for lost, gained, same in ((40, 20, 100), (0, 0, 50), (3, 0, 7)):
            n = lost + gained + same
            values = np.array([1, -1, 0])
            weights = np.array([lost + 0.5, gained + 0.5, same + 1.0])
            mean = np.average(values, weights=weights)
            variance = np.average((values - mean) ** 2, weights=weights)
            self.assertAlmostEqual(
                paired_error(lost / n, gained / n, n),
                math.sqrt(variance / (n + 2)),
            )


def _dataset(count=40):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (count, 6, 6, 1)).astype(np.uint8)
    labels = rng.integers(3, size=count)
    return data.from_arrays(
        (images, labels),
        (images, labels),
        num_classes=3,
        calibration_count=20,
    )


def _model():
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Conv2D(4, 3, name="a"),
            layers.BatchNormalization(name="bn"),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(3, name="b"),
        ],
        name="tiny",
    )
    rng = np.random.default_rng(1)
    weights = [rng.normal(0, 0.5, w.shape) for w in model.get_weights()]
    weights[5] = np.abs(weights[5]) + 0.5  # The variance.
    model.set_weights(weights)
    return model


class _Counted(devices_module.Evaluator):
    calls, limit = 0, None

    def __call__(self, model):
        if type(self).calls == type(self).limit:
            raise KeyboardInterrupt
        type(self).calls += 1
        return super().__call__(model)


PROFILES = (
    profile("again", point="3/FP", reestimate_batch_norm=True, ptq="aciq"),
    profile("folded", point="3/3", fold_batch_norm=True),
    profile("plain"),
)


def _check(folder=None, profiles=PROFILES, model=None, **options):
    report = check_devices(
        model or _model(),
        _dataset(),
        profiles,
        folder=folder,
        progress=False,
        **options,
    )
    (run,) = report.runs
    return run


def _without_seconds(rows):
    return [dataclasses.replace(row, seconds=None) for row in rows]


class CheckDevicesTest(tf.test.TestCase):
    def setUp(self):
        super().setUp()
        _Counted.calls, _Counted.limit = 0, None
        real = devices_module.Evaluator
        devices_module.Evaluator = _Counted
        self.addCleanup(setattr, devices_module, "Evaluator", real)
        self.folder = pathlib.Path(self.get_temp_dir()) / self.id()

    def test_killed_and_resumed_the_rows_are_the_same(self):
        made = self._count_models()
        whole = _check(ptq="minmax")
        self.assertLen(made, 3)  # Float, folded and not: two share one.
        self.assertEqual(
            [(row.placement, row.ptq) for row in whole.rows],
            [
                (None, None),
                ("again", "aciq"),
                ("folded", "minmax"),
                ("plain", "minmax"),
            ],
        )
        self.assertEqual(
            [row.reestimated_batch_norm for row in whole.rows],
            [False, True, False, False],
        )
        _Counted.calls, _Counted.limit = 0, 3
        with self.assertRaises(KeyboardInterrupt):
            _check(self.folder, ptq="minmax")
        self.assertLen(Report.load(self.folder).runs[0].rows, 3)
        _Counted.calls, _Counted.limit = 0, None

        resumed = _check(self.folder, ptq="minmax")

        # Float is needed again: its answers image by image are not kept.
        self.assertEqual(_Counted.calls, 2)
        self.assertEqual(
            _without_seconds(resumed.rows), _without_seconds(whole.rows)
        )
        self._check_other_budget(resumed)

    def _check_other_budget(self, resumed):
        stricter = _check(self.folder, ptq="minmax", budget=1e-4)
        self.assertEqual(_Counted.calls, 2)  # Nothing is measured again.
        self.assertEqual(stricter.rows[1].details["budget"], 1e-4)
        self.assertEqual(stricter.rows[1].value, resumed.rows[1].value)

    def _count_models(self):
        made = []
        real = devices_module.fake_quantize_model

        def make(model, placement):
            made.append(placement)
            return real(model, placement)

        devices_module.fake_quantize_model = make
        self.addCleanup(setattr, devices_module, "fake_quantize_model", real)
        return made

    def test_a_row_of_a_profile_that_has_changed_is_not_kept(self):
        details = {"profile": profile().to_dict()}
        row = row_at(
            "8/8", 0.5, placement="own", sweep="device", details=details
        )
        self.assertLen(devices_module._rows_of([row], [profile()]), 1)
        changed = profile(weight_granularity="per_channel")
        self.assertEmpty(devices_module._rows_of([row], [changed]))

    def test_a_device_is_the_fake_quantized_model_of_its_placement(self):
        dataset, model = _dataset(), _model()
        in_float, row = _check(profiles=[PROFILES[1]], budget=0.1).rows
        quantized = fake_quantize_model(model, PROFILES[1].placement())
        calibration = ptq.calibrate(
            quantized, dataset.calibration.batches(20), progress=False
        )
        set_step_sizes(quantized, ptq.lp_norm(calibration, PROFILES[1].point))
        set_operating_point(quantized, "3/3")
        images, labels = next(iter(dataset.test.batches(40)))
        right, here = (
            np.argmax(m(images), -1) == labels.numpy()
            for m in (model, quantized)
        )
        self.assertAlmostEqual(in_float.value, right.mean())
        self.assertAlmostEqual(row.value, here.mean())
        details = row.details
        self.assertAlmostEqual(details["drop"], right.mean() - here.mean())
        self.assertAlmostEqual(details["lost"], (right & ~here).mean())
        self.assertAlmostEqual(details["gained"], (here & ~right).mean())
        self.assertEqual(details["passed"], details["drop"] <= 0.1)
        self.assertEqual(
            details["too_close"],
            abs(details["drop"] - 0.1) <= 2 * details["drop_standard_error"],
        )

    def test_a_device_may_hold_a_few_step_sizes_only(self):
        allowed = (0.1, 0.3, 0.5)
        one = profile(point="3/FP", allowed_steps=allowed)
        _, row = _check(profiles=[one], ptq="minmax").rows
        self.assertEqual(row.ptq, "predefined")
        quantized = fake_quantize_model(_model(), one.placement())
        calibration = ptq.calibrate(quantized, progress=False)
        steps = ptq.predefined(calibration, one.point, allowed=allowed)
        set_step_sizes(quantized, steps)
        set_operating_point(quantized, "3/FP")
        images, labels = next(iter(_dataset().test.batches(40)))
        right = np.argmax(quantized(images), -1) == labels.numpy()
        self.assertAlmostEqual(row.value, right.mean())

    def test_a_model_with_quantizers_is_refused(self):
        quantized = fake_quantize_model(_model(), Placement())
        with self.assertRaisesRegex(ValueError, "float model.*strip_quantiz"):
            _check(model=quantized)

    def test_bad_budgets_and_methods_are_refused_before_anything_runs(self):
        with self.assertRaisesRegex(ValueError, "accuracy budget.*Received: 2"):
            _check(budget=2)
        with self.assertRaisesRegex(ValueError, "PTQ method.*'best'"):
            _check(ptq="best")
        self.assertEqual(_Counted.calls, 0)


if __name__ == "__main__":
    tf.test.main()
