"""Settings as values, and as files that are whole, ours and unchanged."""

import dataclasses
import io
import json
import pathlib
import pickle
import tempfile
import zipfile

import numpy as np
from absl.testing import absltest, parameterized

from kure_tf.settings import (
    BatchNormStatistics,
    BiasCorrection,
    OperatingPoint,
    RoundedWeights,
    Setting,
    StepSizes,
    TensorStep,
)
from kure_tf.settings.array_file import read_arrays, write_arrays

STEPS = StepSizes(
    {
        "a/kernel": TensorStep(np.array([[0.1, 1 / 3]]), 4),
        "a/input": TensorStep(0.25, 8, -0.3),
    },
    {"method": "minmax", "images": 512},
)
FULL = Setting(
    "4/8 x1.02 floor",
    step_sizes=STEPS,
    rounded_weights=RoundedWeights(
        {"a/kernel": np.array([[1, -7]], np.int8)},
        StepSizes({"a/kernel": STEPS.tensors["a/kernel"]}),
        {"method": "adaround", "layers": {"a/kernel": {"before": 0.5}}},
        {"b/kernel": "channels first"},
    ),
    batch_norm={
        "bn": BatchNormStatistics(np.arange(3.0), np.full(3, 0.1, np.float32))
    },
    bias_correction=BiasCorrection({"a": np.array([0.5, -1.5])}, ("b",)),
    layer="a",
    others="8/FP",
    provenance={"images": 1024, "source": "digits"},
)


class SettingTest(parameterized.TestCase):
    def test_reads_points_from_text(self):
        setting = Setting("3/8", layer="a", others="8/8")

        self.assertEqual(setting.point, OperatingPoint(3, 8))
        self.assertEqual(setting.others, OperatingPoint(8, 8))

    def test_is_in_float_when_all_layers_are(self):
        self.assertTrue(Setting(OperatingPoint()).in_float)
        self.assertTrue(Setting("FP/FP", layer="a", others="FP/FP").in_float)
        self.assertFalse(Setting("FP/FP", layer="a", others="8/FP").in_float)
        self.assertFalse(Setting("FP/8").in_float)

    def test_others_in_float_are_none(self):
        self.assertIsNone(Setting("3/FP", layer="a", others="FP/FP").others)

    def test_others_need_a_layer(self):
        with self.assertRaisesRegex(ValueError, "one `layer`.*others='8/FP'"):
            Setting("3/FP", others="8/FP")

    @parameterized.parameters(
        ("step_sizes", {"a/kernel": 0.1}, "StepSizes or None.*dict"),
        ("rounded_weights", STEPS, "RoundedWeights or None.*StepSizes"),
        ("batch_norm", [1.0], "dict or None.*list"),
        ("batch_norm", {"bn": 1.0}, "BatchNormStatistics or None.*float"),
        ("bias_correction", {}, "BiasCorrection or None.*dict"),
        ("layer", 3, "str or None.*int"),
    )
    def test_values_of_another_kind_are_refused(self, name, value, message):
        with self.assertRaisesRegex(TypeError, f"{name}.*{message}"):
            Setting("3/FP", **{name: value})

    def test_is_frozen(self):
        with self.assertRaises(dataclasses.FrozenInstanceError):
            FULL.point = OperatingPoint()


class FileTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name) / "s.npz"

    def test_keeps_everything(self):
        FULL.save(self.path)

        _assert_same(self, Setting.load(self.path), FULL)

    def test_a_digest_stays_in_a_file_and_follows_values_of_arrays(self):
        FULL.save(self.path)
        shifts = BiasCorrection({"a": np.array([0.5, -1.0])}, ("b",))
        other = dataclasses.replace(FULL, bias_correction=shifts)

        self.assertEqual(Setting.load(self.path).digest(), FULL.digest())
        self.assertNotEqual(other.digest(), FULL.digest())

    def test_keeps_what_is_not_there(self):
        Setting("3/FP").save(self.path)

        loaded = Setting.load(self.path)

        self.assertEqual(
            dataclasses.asdict(loaded),
            dataclasses.asdict(Setting(OperatingPoint(3))),
        )

    def test_equal_settings_give_equal_files(self):
        FULL.save(self.path)
        first = self.path.read_bytes()
        FULL.save(self.path)

        self.assertEqual(self.path.read_bytes(), first)

    def test_is_an_archive_that_numpy_reads_without_pickle(self):
        FULL.save(self.path)

        with np.load(self.path, allow_pickle=False) as archive:
            header = json.loads(archive["header"].tobytes())
            codes = header["content"]["rounded_weights"]["codes"]["a/kernel"]
            self.assertEqual(codes, {"kure_tf array": "2"})
            np.testing.assert_array_equal(archive["2"], [[1, -7]])

    @parameterized.parameters(0, 1, 10, 100, 0.5, 0.99)
    def test_a_truncated_file_is_refused(self, kept):
        FULL.save(self.path)
        content = self.path.read_bytes()
        kept = int(kept * len(content)) if isinstance(kept, float) else kept
        self.path.write_bytes(content[:kept])

        with self.assertRaisesRegex(ValueError, "s.npz.*truncated, damaged"):
            Setting.load(self.path)

    def test_a_flipped_bit_is_noticed_wherever_it_is(self):
        FULL.save(self.path)
        content = self.path.read_bytes()
        refused = 0
        for place in range(0, len(content), 7):
            changed = bytearray(content)
            changed[place] ^= 0x10
            self.path.write_bytes(changed)
            try:
                _assert_same(self, Setting.load(self.path), FULL)
            except ValueError:
                refused += 1

        # The rest are bytes that say nothing, such as dates.
        self.assertGreater(refused, len(content) // 7 // 2)

    @parameterized.parameters("header", "0")
    def test_a_changed_entry_is_refused(self, name):
        FULL.save(self.path)
        with np.load(self.path) as archive:
            arrays = {key: archive[key] for key in archive.files}
        text = arrays["header"].tobytes().replace(b"4/8 x1.02", b"3/8 x1.02")
        changed = np.frombuffer(text, np.uint8) if name == "header" else None
        arrays[name] = 2 * arrays[name] if changed is None else changed
        np.savez(self.path, **arrays)

        with self.assertRaisesRegex(ValueError, "digest.*changed since"):
            Setting.load(self.path)

    def test_other_files_are_refused(self):
        for content in (_npy(), _pickled_entry(), _archive(), b"text", b"{}"):
            self.path.write_bytes(content)
            with self.assertRaisesRegex(ValueError, "another kind"):
                Setting.load(self.path)

    def test_another_format_and_another_content_are_refused(self):
        write_arrays(self.path, "kure_tf setting 99", {})
        with self.assertRaisesRegex(ValueError, "says 'kure_tf setting 99'"):
            Setting.load(self.path)
        write_arrays(self.path, "kure_tf setting 1", {"point": "4/FP"})
        with self.assertRaisesRegex(ValueError, "does not make one"):
            Setting.load(self.path)

    def test_a_missing_file_is_named(self):
        with self.assertRaisesRegex(FileNotFoundError, "nowhere.npz"):
            Setting.load(self.path.with_name("nowhere.npz"))

    def test_a_failed_save_leaves_the_old_file(self):
        FULL.save(self.path)
        before = self.path.read_bytes()
        for provenance in ({"x": object()}, {"x": np.array([object()])}):
            with self.assertRaises(TypeError):
                Setting("3/FP", provenance=provenance).save(self.path)

        self.assertEqual(self.path.read_bytes(), before)
        self.assertLen(list(self.path.parent.iterdir()), 1)

    def test_names_that_look_like_the_files_own_do_no_harm(self):
        content = {"header": np.arange(2), "array": [{"0": None}, {}, "sha256"]}
        write_arrays(self.path, "x", content)

        found = read_arrays(self.path, "x")

        np.testing.assert_array_equal(found.pop("header"), [0, 1])
        self.assertEqual(found, {"array": content["array"]})


def _npy():
    buffer = io.BytesIO()
    np.save(buffer, np.arange(3))
    return buffer.getvalue()


def _pickled_entry():
    buffer = io.BytesIO()
    np.savez(buffer, header=np.array([pickle.loads], object))
    return buffer.getvalue()


def _archive():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("header.npy", "no array")
    return buffer.getvalue()


def _assert_same(test, found, expected):
    test.assertIs(type(found), type(expected))
    if isinstance(expected, dict):
        test.assertEqual(list(found), list(expected))
        for name, value in expected.items():
            _assert_same(test, found[name], value)
    elif isinstance(expected, np.ndarray):
        test.assertEqual(found.dtype, expected.dtype)
        np.testing.assert_array_equal(found, expected)
    elif dataclasses.is_dataclass(expected):
        for field in dataclasses.fields(expected):
            _assert_same(
                test, getattr(found, field.name), getattr(expected, field.name)
            )
    else:
        test.assertEqual(found, expected)


if __name__ == "__main__":
    absltest.main()
