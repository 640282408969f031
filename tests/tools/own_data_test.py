"""The tools on a user's own data, from training to exact files."""

import dataclasses
import json
import pathlib
import signal
import tempfile

import own_data
import pytest
from absl.testing import absltest, parameterized
from forked_tools import Call, run_all

pytestmark = pytest.mark.tool_flow

_OWN = own_data.__name__  # Tools import it by its name.
_METRIC = f"--metric={_OWN}:largest_error"
_NETS = {
    "rows": "dense",
    "ids": "words",
    "tags": "tagger",
    "masks": "pixels",
    "by_name": "both",
    "in_order": "both",
}


def _calls(data, net):
    """Yields the name and the `Call`s of tools on a data set and a net."""
    dataset = f"--dataset={_OWN}:{data}"
    training = (
        *(dataset, f"--model={_OWN}:{net}", "--epochs=4", "--batch_size=16"),
        *("--learning_rate=0.05", "--kurtosis_coefficient=0.5"),
    )
    saved = (dataset, f"--model={data}/trained/model.keras", "--ptq=minmax")

    def call(tool, arguments, folder, **options):
        arguments = (*arguments, f"--workdir={data}/{folder}")
        return Call(f"{tool}.py", arguments, **options)

    killed_at = f"{data}/killed/checkpoint.npz"
    yield "train", call("train", training, "trained")
    yield "killed", call("train", training, "killed", killed_at=killed_at)
    yield "resumed", call("train", training, "killed")
    yield "calibrate", call("calibrate", (*saved, "--point=4/4"), "steps")
    yield "sweep", call("sweep", (*saved, "--points={8,4}/8"), "swept")
    exact = (*saved, "--point=4/4")
    if data in _NETS:
        exact += (f"--metric={_OWN}:right",)
    yield "exact", call("export_tflite", exact, "exact")
    yield "flip", call("train", (*training, "--augment=flip"), "flipped")


class OwnDataTest(parameterized.TestCase):
    @parameterized.product(keras=("keras3", "tf_keras"), data=tuple(_NETS))
    def test_goes_from_training_to_exact_files(self, keras, data):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            calls = dict(_calls(data, _NETS[data]))
            results = run_all(calls, folder, keras)

            def read(*path):
                return json.loads(folder.joinpath(data, *path).read_text())

            for name in ("train", "resumed", "calibrate", "sweep", "exact"):
                code, printed = results[name]
                self.assertEqual(code, 0, printed)
            trained = read("trained", "training.json")
            resumed = read("killed", "training.json")
            steps = read("steps", "step_sizes.json")
            (swept,) = read("swept", "report.json")["runs"]
            (exact,) = read("exact", "report.json")["runs"]
        self.assertGreater(trained["test"]["accuracy"], 0.5)  # A third: chance.
        self.assertEqual(results["killed"][0], -signal.SIGKILL)
        self.assertEqual(trained["checkpoint_hash"], resumed["checkpoint_hash"])
        inner = ("a", "b") if _NETS[data] == "both" else ("b",)
        self.assertEqual(
            set(steps["tensors"]),
            {f"{one}/{kind}" for one in inner for kind in ("kernel", "input")},
        )
        self.assertEqual(
            [row["point"] for row in swept["rows"]], ["FP/FP", "8/8", "4/8"]
        )
        self.assertEqual(swept["rows"][0]["value"], trained["test"]["accuracy"])
        (file,) = exact["rows"]
        self.assertEqual(file["details"]["differing_codes"], 0)
        self.assertAlmostEqual(file["details"]["right"], file["value"], 6)
        self.assertEqual(results["flip"][0], 2)
        self.assertRegex(results["flip"][1], "pixels of images.*'flip'")

    @parameterized.parameters("keras3", "tf_keras")
    def test_targets_go_from_training_to_files(self, keras):
        calls = dict(_calls("targets", "linear"))
        for name in ("train", "sweep", "exact"):
            arguments = (*calls[name].arguments, _METRIC)
            calls[name] = dataclasses.replace(calls[name], arguments=arguments)
        del calls["killed"], calls["resumed"], calls["flip"]
        saved = calls["sweep"].arguments[:2]
        for tool, bits in (("export_tflite", ()), ("export_artifact", "8,4")):
            options = (f"--bits={bits}", "--codes=nearest") if bits else ()
            workdir = f"--workdir=targets/{tool}"
            calls[tool] = Call(f"{tool}.py", (*saved, workdir, *options))
        with tempfile.TemporaryDirectory() as folder:
            results = run_all(calls, folder, keras)
            folder = pathlib.Path(folder, "targets")
            for name in calls:
                self.assertEqual(results[name][0], 0, results[name][1])
            files = {
                "exact": json.loads((folder / "exact/report.json").read_text()),
                "export_artifact": json.loads(
                    (folder / "export_artifact/model.json").read_text()
                ),
            }
            trained = json.loads((folder / "trained/training.json").read_text())
            report = json.loads((folder / "swept/report.json").read_text())
        self.assertRegex(results["train"][1], "test loss .*largest_error")
        first = trained["history"][0]
        self.assertLess(trained["history"][-1]["loss"], first["loss"])
        (in_float, *_) = report["runs"][0]["rows"]
        self.assertEqual(in_float["metric"], "largest_error")
        self.assertEqual(in_float["value"], trained["test"]["largest_error"])
        self.assertEqual(
            report["runs"][0]["provenance"]["loss_name"],
            "compiled mean_absolute_error",
        )
        self.assertRegex(results["exact"][1], "loss .*largest_error .*of Keras")
        (row,) = files["exact"]["runs"][0]["rows"]
        self.assertEqual((row["metric"], row["value"] > 0), ("loss", True))
        self.assertEqual(row["details"]["differing_codes"], 0)
        self.assertGreater(row["details"]["agreement"], 0.5)
        self.assertGreater(row["details"]["keras_loss"], 0)
        self.assertRegex(results["export_tflite"][1], "loss .*loss of Keras")
        for file in files["export_artifact"]["files"]:
            self.assertEqual(file["differing_codes"], 0)
            self.assertGreater(file["loss"], 0)


if __name__ == "__main__":
    absltest.main()
