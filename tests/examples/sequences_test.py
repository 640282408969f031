"""The example of recurrent nets as exact files."""

import json
import pathlib
from unittest import mock

import pytest
import tensorflow as tf
from example_module import example_module

pytestmark = pytest.mark.one_keras


class SequencesTest(tf.test.TestCase):
    def test_every_answer_of_every_file_is_foretold(self):
        example, folder = (
            example_module("sequences"),
            pathlib.Path(self.get_temp_dir()),
        )
        smaller = {
            "NETS": {"GRU": lambda: example.layers.GRU(6)},
            "POINTS": ("4/4",),
            "EPOCHS": 1,
            "LEARNED_EPOCHS": 1,
        }
        with mock.patch.multiple(example, **smaller):
            example.main(folder, "1")

        rows = json.loads((folder / "sequences.json").read_text("utf-8"))
        self.assertEqual([row["point"] for row in rows], ["4/4", "4/4, LSQ"])
        for row in rows:
            # 500 test images, ten logits, with two sets of kernels.
            self.assertEqual(row["codes"], 2 * 500 * 10)
            self.assertEqual(row["differing_codes"], 0)
        page = (folder / "sequences.md").read_text("utf-8")
        self.assertIn("| 0 | 10,000 |", page)
        self.assertLen(list(folder.glob("*.tflite")), 2)


if __name__ == "__main__":
    tf.test.main()
