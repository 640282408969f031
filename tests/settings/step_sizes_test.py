"""StepSizes as a file: what PTQ methods return, kept and read again."""

import json
import pathlib

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from kure_tf.settings import StepSizes, TensorStep


class StepSizesTest(tf.test.TestCase, parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.path = pathlib.Path(self.get_temp_dir()) / "step_sizes.json"

    def test_a_file_keeps_everything(self):
        steps = StepSizes(
            {
                "a/kernel": TensorStep(np.float32(0.1) / 3, 4),
                "b/kernel": TensorStep(np.array([[0.1, 0.7]]), 8),
                "b/input": TensorStep(0.25, 4, -0.3),
            },
            {"method": "minmax", "images": 512},
        )

        steps.save(self.path)
        loaded = StepSizes.load(self.path)

        self.assertEqual(loaded.provenance, steps.provenance)
        self.assertEqual(list(loaded.tensors), list(steps.tensors))
        for name, step in steps.tensors.items():
            self.assertAllEqual(loaded.tensors[name].step_size, step.step_size)
            self.assertEqual(loaded.tensors[name].bits, step.bits)
            self.assertEqual(loaded.tensors[name].origin, step.origin)

    def test_the_short_form_is_read(self):
        self.path.write_text('{"c/kernel": {"step_size": 0.5, "bits": 4}}')
        (step,) = StepSizes.load(self.path).tensors.values()
        self.assertEqual((step.step_size, step.bits, step.origin), (0.5, 4, 0))

    @parameterized.parameters(
        "",
        "[]",
        "3",
        '{"tensors": 3}',
        '{"c/kernel": 0.1}',
        '{"c/kernel": {"step_size": 0.1}}',
        '{"c/kernel": {"bits": 4}}',
        '{"c/kernel": {"step_size": 0.1, "bits": 4.5}}',
        '{"c/kernel": {"step_size": 0.1, "bits": 99}}',
        '{"c/kernel": {"step_size": "much", "bits": 4}}',
        '{"c/kernel": {"step_size": -0.1, "bits": 4}}',
        '{"c/kernel": {"step_size": NaN, "bits": 4}}',
        '{"c/kernel": {"step_size": [[0.1], [0.1, 2]], "bits": 4}}',
        '{"c/kernel": {"step_size": 0.1, "bits": 4, "origin": NaN}}',
        '{"tensors": {"c/kernel": {"step_size"',
        "{}",
        '{"tensors": {}}',
        '{"c/kernel": {"step_size": [], "bits": 4}}',
        '{"format": "steps 9", "c/kernel": {"step_size": 0.1, "bits": 4}}',
        '{"provenance": [1], "tensors": {"c/k": {"step_size": 1, "bits": 4}}}',
        '{"c/k": {"step_size": 1, "bits": 4}, "c/k": {"step_size": 2}}',
        "[" * 100_000,
    )
    def test_another_file_is_refused_by_name(self, text):
        self.path.write_text(text)
        with self.assertRaisesRegex(ValueError, "'bits': 8.*step_sizes.json"):
            StepSizes.load(self.path)

    def test_a_file_that_is_no_text_is_refused(self):
        self.path.write_bytes(b"\x93NUMPY\x01\x00\xff\xfe")
        with self.assertRaisesRegex(ValueError, "Cannot read"):
            StepSizes.load(self.path)

    def test_a_missing_file_is_named(self):
        with self.assertRaisesRegex(FileNotFoundError, "nowhere.json"):
            StepSizes.load(self.path.with_name("nowhere.json"))

    def test_a_failed_save_leaves_the_old_file(self):
        StepSizes({"a/kernel": TensorStep(0.5, 4)}).save(self.path)
        before = self.path.read_text()
        bad = StepSizes({"a/kernel": TensorStep(0.1, 4)}, {"seed": object()})
        with self.assertRaises(TypeError):
            bad.save(self.path)
        self.assertEqual(self.path.read_text(), before)
        self.assertLen(list(self.path.parent.iterdir()), 1)
        self.assertTrue(json.loads(before))


class TensorStepTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(0.0, -1.0, np.nan, np.inf, 1e-60, 1e60)
    def test_a_step_size_that_is_no_positive_float32_is_refused(self, step):
        with self.assertRaisesRegex(ValueError, "positive and finite"):
            TensorStep(step, 4)

    @parameterized.parameters(0, 17, 4.0, True, None)
    def test_bits_outside_the_range_are_refused(self, bits):
        with self.assertRaisesRegex(ValueError, "integer in 2..16"):
            TensorStep(0.1, bits)

    @parameterized.parameters(np.nan, -np.inf)
    def test_an_origin_that_is_not_finite_is_refused(self, origin):
        with self.assertRaisesRegex(ValueError, "finite origin"):
            TensorStep(0.1, 4, origin)

    def test_an_origin_above_zero_becomes_zero(self):
        self.assertEqual(TensorStep(0.1, 4, 2.0).origin, 0.0)


if __name__ == "__main__":
    tf.test.main()
