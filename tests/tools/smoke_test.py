"""The tools under Keras 3: a model from training to report."""

import json
import pathlib
import tempfile

import pytest
from absl.testing import absltest
from forked_tools import Call, run_all

pytestmark = pytest.mark.tool_flow
_OWN = """
import numpy as np

def images():
    x = np.random.default_rng(0).integers(0, 9, (60, 8, 8, 1), np.uint8)
    pair = x, np.arange(60) % 3
    return pair, None, pair
"""
_SAVED = ("--model=trained/model.keras", "--ptq=minmax")


class SmokeTest(absltest.TestCase):
    def test_a_model_of_keras_3_goes_from_training_to_report(self):
        calls = {
            "train": Call(
                "train.py",
                ("--epochs=1", "--train_images=64", "--keras=keras3")
                + ("--workdir=trained",),
            ),
            "sweep": Call(
                "sweep.py",
                (
                    *_SAVED,
                    "--points=4/FP",
                    "--workdir=swept",
                ),
            ),
            "own": Call(
                "train.py",
                ("--epochs=1", "--dataset=own:images", "--metric=top_5")
                + ("--keras=keras3", "--workdir=own"),
                before={"own.py": _OWN},
            ),
        }
        with tempfile.TemporaryDirectory() as folder:
            results = run_all(calls, folder, "keras3")
            report = pathlib.Path(folder, "swept", "report.json")
            for code, printed in results.values():
                self.assertEqual(code, 0, printed)
            (run,) = json.loads(report.read_text())["runs"]
        self.assertIn("Keras: keras3 (which saved", results["sweep"][1])
        # There are 3 classes: the right one is always among the best 5.
        self.assertIn("on 60 examples, top_5 1, mean", results["own"][1])
        self.assertEqual(
            [row["point"] for row in run["rows"]], ["FP/FP", "4/FP"]
        )


if __name__ == "__main__":
    absltest.main()
