"""The tools from training to report, on the digits, killed and resumed.

They run under tf_keras, the tools' default; see smoke_test.py for Keras 3.
"""

import dataclasses
import hashlib
import json
import pathlib
import signal
import tempfile

import pytest
from absl.testing import absltest
from forked_tools import Call, run_all

pytestmark = pytest.mark.tool_flow

# A model of the user's own, found from the working directory.
_NETS = """
from kure_tf.compat import keras

def tiny(num_classes, input_shape):
    layers = keras.layers
    return keras.Sequential([
        keras.Input(input_shape),
        layers.Conv2D(4, 3, activation="relu", name="first"),
        layers.Conv2D(4, 3, activation="relu", name="second"),
        layers.BatchNormalization(name="norm"),
        layers.Conv2D(4, 3, activation="relu", name="third"),
        layers.Flatten(),
        layers.Dense(num_classes, name="logits"),
    ], name="tiny")

def quantized(num_classes, input_shape):
    from kure_tf import fake_quantize_model
    return fake_quantize_model(tiny(num_classes, input_shape))
"""
# A device that no model survives.
_PROFILES = """[{
  "name": "two_bits", "description": "2-bit weights.", "point": "2/2",
  "weight_grid": "narrow", "weight_granularity": "per_tensor",
  "activation_grid": "narrow", "fold_batch_norm": true
}]"""
# Weights' steps for --step_sizes, coarse and fine.
_STEPS = {
    name: json.dumps(
        {
            "tensors": {
                f"{layer}/kernel": {"step_size": step, "bits": 4}
                for layer in ("second", "third")
            }
        }
    )
    for name, step in (("coarse", 0.05), ("fine", 0.0001))
}
_SAVED = "--model=trained/model.keras"
_OWN = "--model=nets:tiny"
_TRAIN = (
    *("--epochs=4", "--train_images=200", "--kurtosis_coefficient=1", _OWN),
)
_POINTS = ("--ptq=minmax", "--points={4,3}/FP", "--points=4")
_ONE_POINT = ("--ptq=minmax", "--points=4/FP")
_QAT = (
    *("--epochs=1", "--train_images=100", "--qat=lsq", "--qat_point=3/4"),
    *(_SAVED, "--workdir=qat"),
)
_SEEDS = ("--epochs=1", "--train_images=64", "--seeds=0,1", "--workdir=seeds")
_COMPARE = (
    *("--epochs=1", "--train_images=100", "--kurtosis_coefficient=1"),
    *("--export=", "--note=First, this.", "--note=Then = that.", "--title=T"),
    *(_OWN, *_POINTS, "--workdir=compared"),
)
_GIVEN = (_SAVED, "--step_sizes=steps.json", *_ONE_POINT, "--workdir=given")
_DEVICES = (_SAVED, "--ptq=minmax", "--require_pass")
_REPRODUCE = ("--experiment=fig1,fig2", "--workdir=reproduced")

_CALLS = {
    "train": ("train", *_TRAIN, "--workdir=trained"),
    "again": ("train", *_TRAIN, "--workdir=trained"),
    "resumed": ("train", *_TRAIN, "--workdir=killed"),
    "calibrate": (
        *("calibrate", _SAVED, "--point=4/4", "--ptq=lp_norm"),
        "--workdir=calibrated",
    ),
    "sweep": (
        *("sweep", _SAVED, *_POINTS, "--name=mine"),
        *("--step_sizes=calibrated/step_sizes.json", "--workdir=swept"),
    ),
    "swept_again": ("sweep", _SAVED, *_POINTS, "--workdir=resumed"),
    "qat": ("train", *_QAT),
    "seeds": ("train", *_SEEDS, _OWN),
    "qat_sweep": (
        *("sweep", "--model=qat/model.keras", *_POINTS),
        *("--ptq=trained", "--workdir=qat_swept"),
    ),
    "reestimate": (
        *("sweep", _SAVED, *_POINTS, "--batch_norm_images=64"),
        *("--placement=paper,tflite", "--reestimate_batch_norm=both"),
        "--workdir=reestimated",
    ),
    "quantized": (
        *("sweep", "--model=nets:quantized", "--points=trained: {4,3}/FP"),
        *(*_POINTS, "--workdir=quantized"),
    ),
    "compare": ("compare", *_COMPARE),
    "compare_cfg": (
        *("compare", "--flagfile=compared/compare.cfg"),
        "--workdir=compared",
    ),
    "compare_other": ("compare", *_COMPARE, "--note=Third."),
    "devices": (
        "devices",
        *_DEVICES,
        "--profiles=mine.json",
        "--workdir=devices",
    ),
    "devices_pass": (
        *("devices", *_DEVICES, "--budget=1"),
        *("--profiles=int8_per_tensor", "--workdir=passing"),
    ),
    "theory": (
        *("theory", "--bits=4", "--ratios=1.5", "--values=100"),
        "--workdir=theory",
    ),
    "reproduce": ("reproduce", *_REPRODUCE),
    "reproduce_again": ("reproduce", *_REPRODUCE),
    "reproduce_plan": (
        *("reproduce", "--experiment=all", "--dry_run"),
        *("--scale=imagenet", "--workdir=planned"),
    ),
    "report": (
        *("report", "--reports=swept,compared", "--title=Both"),
        *("--picture", "--workdir=merged"),
    ),
    "report_again": ("report", "--again", "--workdir=reproduced"),
}


def _calls():
    calls = {
        name: Call(f"{tool}.py", arguments)
        for name, (tool, *arguments) in _CALLS.items()
    }
    for name, steps in _STEPS.items():
        calls[name] = Call("sweep.py", _GIVEN, before={"steps.json": steps})
    killed = {
        "resumed": {"killed_at": "killed/checkpoint.npz"},
        "swept_again": {
            "killed_at": "resumed/paper/report.json",
            "keeping": "before.json",
        },
    }
    for name, call in list(calls.items()):
        if name in killed:
            yield f"{name}_first", dataclasses.replace(call, **killed[name])
        yield name, call


class FlowTest(absltest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        cls.folder = pathlib.Path(temporary.name)
        (cls.folder / "nets.py").write_text(_NETS)
        (cls.folder / "mine.json").write_text(_PROFILES)
        cls.results = run_all(dict(_calls()), cls.folder, "tf_keras")

    def _printed(self, name, code=0):
        found, printed = self.results[name]
        self.assertEqual(found, code, printed)
        return printed

    def _json(self, *path):
        return json.loads(self.folder.joinpath(*path).read_text())

    def test_training_says_what_came_out_and_is_not_repeated(self):
        printed = self._printed("train")
        record = self._json("trained", "training.json")
        accuracy = 100 * record["test"]["accuracy"]
        self.assertIn(f"test accuracy {accuracy:.2f} %", printed)
        self.assertIn("of 3 kernels", printed)  # All but the first one.
        self.assertLen(record["history"], 4)
        self.assertIn("Already trained", self._printed("again"))

    def test_repeated_runs_are_reported_with_their_spread(self):
        printed = self._printed("seeds")
        summary = self._json("seeds", "runs.json")
        for seed in (0, 1):
            record = self._json("seeds", f"seed{seed}", "training.json")
            accuracy = record["test"]["accuracy"]
            self.assertEqual(summary["accuracies"][seed], accuracy)
            self.assertIn(f"test accuracy {100 * accuracy:.2f} %", printed)
        self.assertIn(f"test accuracy {100 * summary['mean']:.2f} +-", printed)

    def test_a_quantization_aware_model_is_swept_with_its_own_steps(self):
        self.assertIn("test accuracy at 3/4", self._printed("qat"))
        self._printed("qat_sweep")
        (run,) = self._json("qat_swept", "report.json")["runs"]
        self.assertEqual(run["provenance"]["placement"], ["qat"])
        self.assertEqual(
            [row["point"] for row in run["rows"]],
            ["FP/FP", "4/FP", "3/FP", "4/4"],
        )

    def test_a_killed_training_ends_with_the_same_weights(self):
        self._printed("resumed_first", code=-signal.SIGKILL)
        self.assertNotIn("Already trained", self._printed("resumed"))
        self.assertEqual(
            self._json("killed", "training.json")["checkpoint_hash"],
            self._json("trained", "training.json")["checkpoint_hash"],
        )

    def test_a_killed_sweep_measures_the_rest_only(self):
        self._printed("swept_again_first", code=-signal.SIGKILL)
        self._printed("swept_again")
        before = self._json("before.json")["runs"][0]["rows"]
        rows = self._json("resumed", "report.json")["runs"][0]["rows"]
        self.assertLess(len(before), len(rows))
        self.assertEqual(rows[: len(before)], before)  # To the same seconds.
        keys = {(row["point"], row["ptq"], row["sweep"]) for row in rows}
        self.assertLen(keys, len(rows))

    def test_other_step_sizes_of_the_same_name_are_measured_anew(self):
        for name in _STEPS:
            self._printed(name)
        (run,) = self._json("given", "report.json")["runs"]
        digest = hashlib.sha256(_STEPS["fine"].encode()).hexdigest()
        self.assertEqual(
            [(row["point"], row["ptq"]) for row in run["rows"]],
            [("FP/FP", None), ("4/FP", f"given {digest[:8]}")],
        )

    def test_the_keras_of_a_saved_model_is_found(self):
        self.assertIn(
            "Keras: tf_keras (which saved trained/model.keras)",
            self._printed("calibrate"),
        )

    def test_given_step_sizes_are_swept(self):
        steps = self._json("calibrated", "step_sizes.json")
        self.assertEqual(
            set(steps["tensors"]),
            {
                f"{layer}/{tensor}"
                for layer in ("second", "third")
                for tensor in ("kernel", "input")
            },
        )
        self.assertEqual(steps["provenance"]["images"], 512)
        self.assertEqual(steps["provenance"]["method"], "lp_norm")
        self._printed("sweep")
        (run,) = self._json("swept", "report.json")["runs"]
        content = (self.folder / "calibrated/step_sizes.json").read_bytes()
        given = f"given {hashlib.sha256(content).hexdigest()[:8]}"
        self.assertEqual(
            [(row["point"], row["ptq"]) for row in run["rows"]],
            [
                ("FP/FP", None),
                *((point, given) for point in ("4/FP", "3/FP", "4/4")),
            ],
        )
        self.assertIn("second/kernel", run["kurtosis"])

    def test_batch_norm_is_measured_both_ways_where_there_is_some(self):
        self._printed("reestimate")
        (run,) = self._json("reestimated", "report.json")["runs"]
        found = [
            (row["placement"], row["reestimated_batch_norm"], row["point"])
            for row in run["rows"]
        ]
        points = ("FP/FP", "4/FP", "3/FP", "4/4")
        self.assertEqual(
            found,
            [
                (placement, reestimated, point)
                for placement, reestimated in (
                    ("paper", False),
                    ("paper", True),
                    ("tflite", False),  # It is folded there.
                )
                for point in points
            ],
        )
        self.assertEqual(run["provenance"]["batch_norm"]["images"], 64)

    def test_a_quantized_model_keeps_its_steps_or_gets_others(self):
        self._printed("quantized")
        (run,) = self._json("quantized", "report.json")["runs"]
        self.assertEqual(
            [(row["point"], row["ptq"]) for row in run["rows"]],
            [
                ("FP/FP", None),
                *(("4/FP", "trained"), ("3/FP", "trained")),
                *((point, "minmax") for point in ("4/FP", "3/FP", "4/4")),
            ],
        )
        self.assertEqual({row["placement"] for row in run["rows"]}, {"qat"})

    def test_comparing_reports_both_models(self):
        printed = self._printed("compare")
        self.assertIn("no regularization", printed)
        report = self._json("compared", "report.json")
        self.assertEqual(
            [run["name"] for run in report["runs"]],
            ["no regularization", "KURE"],
        )
        self.assertIn("First, this.", report["notes"])
        self.assertIn("Then = that.", report["notes"])

    def test_the_flags_in_the_workdir_repeat_the_run(self):
        printed = self._printed("compare_cfg")
        self.assertEqual(printed.count("Already trained"), 2)
        printed = self._printed("compare_other", code=2)
        self.assertIn("another run", printed)
        self.assertIn("--note=", printed)

    def test_reports_are_merged_side_by_side(self):
        printed = self._printed("report")
        report = self._json("merged", "report.json")
        self.assertEqual(
            [run["name"] for run in report["runs"]],
            ["mine", "no regularization", "KURE"],
        )
        self.assertTrue((self.folder / "merged" / "report.html").is_file())
        self.assertIn("file://", printed)
        for theme in ("light", "dark"):
            picture = self.folder / "merged" / f"accuracy_{theme}.svg"
            self.assertIn("<svg", picture.read_text(encoding="utf-8"))

    def test_pages_are_written_again_from_their_json(self):
        printed = self._printed("report_again")
        for name in ("fig1", "fig2", "index"):
            self.assertIn(f"{name}.html", printed)

    def test_a_device_beyond_the_budget_fails_where_a_pass_is_required(self):
        printed = self._printed("devices", code=1)
        self.assertIn("| two_bits | 2/2", printed)
        self.assertIn("Beyond the budget: two_bits.", printed)
        (run,) = self._json("devices", "report.json")["runs"]
        self.assertFalse(run["rows"][1]["details"]["passed"])
        self.assertIn("pass", self._printed("devices_pass"))

    def test_theory_is_tabulated_and_drawn(self):
        printed = self._printed("theory")
        self.assertRegex(printed, r"\| normal +\| 4 +\| +0\.3189 \|")
        self.assertIn("file://", printed)
        document = self._json("theory", "theory.json")
        self.assertEqual({row["bits"] for row in document["rows"]}, {4})
        self.assertTrue((self.folder / "theory" / "theory.html").is_file())

    def test_figures_of_theory_are_set_beside_the_papers(self):
        printed = self._printed("reproduce")
        self.assertIn("Figure 1", printed)
        self.assertIn("Figure 2", printed)
        folder = self.folder / "reproduced" / "digits"
        for name in ("fig1.html", "fig2.md", "index.html", "index.md"):
            self.assertTrue((folder / name).is_file(), name)
        found = self._json("reproduced", "digits", "fig2.json")
        self.assertIn("The shape agrees", found["sentence"])

    def test_reproducing_again_runs_no_step_twice(self):
        steps = self._printed("reproduce").count("python tools/theory.py")
        self.assertEqual(steps, 1)
        again = self._printed("reproduce_again")
        self.assertNotIn("python tools/", again)

    def test_a_plan_names_each_step_once_and_runs_nothing(self):
        printed = self._printed("reproduce_plan")
        commands = [
            line for line in printed.splitlines() if line.startswith("python")
        ]
        self.assertLen(set(commands), len(commands))
        self.assertIn("imagenet/resnet50_kure.cfg", printed)
        self.assertFalse((self.folder / "planned").exists())

    def test_nothing_half_written_stays(self):
        left = [p.name for p in self.folder.rglob("*") if p.name[0] == "."]
        self.assertEqual(left, [])


if __name__ == "__main__":
    absltest.main()
