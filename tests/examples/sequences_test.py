"""The example of recurrent nets and Transformers as exact files."""

import dataclasses
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
        task = dataclasses.replace(example.digits(), epochs=1, learned_epochs=1)

        def read(x):
            y = example.layers.LayerNormalization()(x)
            y = example.layers.MultiHeadAttention(2, 4)(y, y)
            return example.layers.Flatten()(y)

        net = example.Net(example.of_rows(read), lambda: task, has_norms=True)
        smaller = {"NETS": {"Transformer": net}, "POINTS": ("4/4",)}
        with mock.patch.multiple(example, **smaller):
            example.main(folder, "1")

        rows = json.loads((folder / "sequences.json").read_text("utf-8"))
        self.assertEqual(
            [row["point"] for row in rows],
            [
                *("4/4", "4/4, norms in float"),
                *("4/4, LSQ", "4/4, LSQ, norms in float"),
            ],
        )
        for row in rows:
            # 500 test images, ten logits, with two sets of kernels; and what
            # goes into a normalization in float.
            floats = "float" in row["point"]
            each = 10 + 8 * 32 * floats
            self.assertEqual(row["codes"], 2 * 500 * each)
            self.assertEqual(row["differing_codes"], 0)
        page = (folder / "sequences.md").read_text("utf-8")
        self.assertIn("| 0 | 10,000 |", page)
        self.assertLen(list(folder.glob("*.tflite")), 4)


if __name__ == "__main__":
    tf.test.main()
