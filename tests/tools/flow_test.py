"""The tools from training to report, on the digits, killed and resumed."""

import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

from absl.testing import absltest

HERE = pathlib.Path(__file__).resolve().parent
TOOLS = HERE.parent.parent / "tools"
LEGACY = os.environ.get("TF_USE_LEGACY_KERAS", "0").lower() in ("1", "true")
KERAS, OTHER = ("tf_keras", "keras3") if LEGACY else ("keras3", "tf_keras")

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
_MODEL = ("--model=nets:tiny", f"--keras={KERAS}")
_TRAIN = (
    *("--epochs=4", "--train_images=200", "--kurtosis_coefficient=1"),
    *_MODEL,
)
_POINTS = ("--ptq=minmax", "--weights_only=4,3", "--both=4", "--ratio_bits=")
_POINTS += ("--power_of_two_bits=",)
_QAT = ("--epochs=1", "--train_images=100", "--qat=lsq", "--runs=2")
_QAT += ("--qat_point=3/4",)
_COMPARE = (
    *("--epochs=1", "--train_images=100", "--kurtosis_coefficient=1"),
    *("--export=", "--note=First, this.", "--note=Then = that.", "--title=T"),
    *(*_MODEL, *_POINTS, "--workdir=compared"),
)
_DEVICES = ("--model=trained/model.keras", "--ptq=minmax", "--require_pass")
_THEORY = ("--bits=4", "--ratios=1.5", "--values=100", f"--keras={KERAS}")
_REPRODUCE = ("--experiment=fig1,fig2", "--workdir=reproduced")
_REPRODUCE += (f"--keras={KERAS}",)


class FlowTest(absltest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        cls.folder = pathlib.Path(temporary.name)
        (cls.folder / "nets.py").write_text(_NETS)
        (cls.folder / "mine.json").write_text(_PROFILES)
        saved = "--model=trained/model.keras"
        cls.results = cls._run_all(
            {
                "train": ("train.py", *_TRAIN, "--workdir=trained"),
                "again": ("train.py", *_TRAIN, "--workdir=trained"),
                "calibrate": (
                    *("calibrate.py", saved, "--point=4/4", "--ptq=lp_norm"),
                    "--workdir=calibrated",
                ),
                "sweep": (
                    *("sweep.py", saved, *_POINTS, "--name=given"),
                    "--step_sizes=calibrated/step_sizes.json",
                    "--workdir=swept",
                ),
                "qat": ("train.py", saved, *_QAT, "--workdir=qat"),
                "qat_again": (*("train.py", saved, *_QAT, "--workdir=qat"),),
                "qat_sweep": (
                    *("sweep.py", "--model=qat/seed0/model.keras", *_POINTS),
                    *("--ptq=trained", "--workdir=qat_swept"),
                ),
                "reestimate": (
                    *("sweep.py", saved, *_POINTS, "--batch_norm_images=64"),
                    *("--scheme=paper,tflite", "--reestimate_batch_norm=both"),
                    "--workdir=reestimated",
                ),
                "quantized": (
                    *("sweep.py", "--model=nets:quantized", *_POINTS),
                    *(f"--keras={KERAS}", "--ptq=trained,minmax"),
                    "--workdir=quantized",
                ),
                "compare": ("compare.py", *_COMPARE),
                "compare_cfg": (
                    *("compare.py", "--flagfile=compared/compare.cfg"),
                    "--workdir=compared",
                ),
                "compare_other": ("compare.py", *_COMPARE, "--note=Third."),
                "devices": (
                    *("devices.py", *_DEVICES, "--profiles=mine.json"),
                    "--workdir=devices",
                ),
                "devices_pass": (
                    *("devices.py", *_DEVICES, "--budget=1"),
                    *("--profiles=int8_per_tensor", "--workdir=passing"),
                ),
                "theory": ("theory.py", *_THEORY, "--workdir=theory"),
                "reproduce": ("reproduce.py", *_REPRODUCE),
                "reproduce_again": ("reproduce.py", *_REPRODUCE),
                "reproduce_plan": (
                    *("reproduce.py", "--experiment=all", "--dry_run"),
                    *("--scale=imagenet", "--workdir=planned"),
                ),
                "report": (
                    *("report.py", "--reports=swept,compared", "--title=Both"),
                    "--workdir=merged",
                ),
            }
        )

    @classmethod
    def _run_all(cls, cases):
        process = subprocess.run(
            [sys.executable, HERE / "forked_tools.py"],
            input=json.dumps([(tool, args) for tool, *args in cases.values()]),
            capture_output=True,
            text=True,
            check=False,
            cwd=cls.folder,
            env={**os.environ, "TF_USE_LEGACY_KERAS": str(int(LEGACY))},
        )
        if process.returncode:
            raise RuntimeError(process.stderr)
        results = json.loads(process.stdout)
        return dict(zip(cases, results, strict=True))

    def _printed(self, name, code=0):
        found, printed = self.results[name]
        self.assertEqual(found, code, printed)
        return printed

    def _json(self, *path):
        return json.loads(self.folder.joinpath(*path).read_text())

    def _kill_when(self, condition, tool, *arguments):
        process = subprocess.Popen(
            [sys.executable, TOOLS / tool, *arguments],
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while process.poll() is None and not condition():
            time.sleep(0.01)
        process.kill()
        process.wait()

    def test_training_says_what_came_out_and_is_not_repeated(self):
        printed = self._printed("train")
        record = self._json("trained", "training.json")
        accuracy = 100 * record["test"]["accuracy"]
        self.assertIn(f"test accuracy {accuracy:.2f} %", printed)
        self.assertIn("of 3 kernels", printed)  # All but the first one.
        self.assertLen(record["history"], 4)
        self.assertIn("Already trained", self._printed("again"))

    def test_quantization_aware_runs_are_reported_with_their_spread(self):
        printed = self._printed("qat")
        records = [
            self._json("qat", f"seed{seed}", "training.json") for seed in (0, 1)
        ]
        accuracies = [record["test"]["accuracy"] for record in records]
        summary = self._json("qat", "runs.json")
        self.assertIn("test accuracy at 3/4", printed)
        self.assertEqual(summary["accuracies"], accuracies)
        self.assertAlmostEqual(summary["mean"], sum(accuracies) / 2)
        self.assertAlmostEqual(
            summary["standard_deviation"],
            abs(accuracies[0] - accuracies[1]) / 2**0.5,
        )
        self.assertEqual(records[0]["run"]["qat"]["point"], "3/4")
        self.assertIn("Already trained", self._printed("qat_again"))

    def test_a_quantization_aware_model_is_swept_with_its_own_steps(self):
        self._printed("qat_sweep")
        (run,) = self._json("qat_swept", "report.json")["runs"]
        self.assertEqual(run["provenance"]["scheme"], ["qat"])
        self.assertEqual(
            [row["point"] for row in run["rows"]],
            ["FP/FP", "4/FP", "3/FP", "4/4"],
        )

    def test_a_killed_training_ends_with_the_same_weights(self):
        self._printed("train")
        killed = (*_TRAIN, "--workdir=killed")
        checkpoint = self.folder / "killed" / "checkpoint.npz"

        self._kill_when(checkpoint.exists, "train.py", *killed)
        self.assertFalse((self.folder / "killed" / "model.keras").exists())
        results = self._run_all({"resumed": ("train.py", *killed)})

        self.assertEqual(results["resumed"][0], 0, results)
        self.assertEqual(
            self._json("killed", "training.json")["checkpoint_hash"],
            self._json("trained", "training.json")["checkpoint_hash"],
        )

    def test_a_killed_sweep_measures_the_rest_only(self):
        sweep = ("--model=trained/model.keras", "--workdir=resumed")
        kept = self.folder / "resumed" / "paper" / "report.json"

        self._kill_when(kept.exists, "sweep.py", *sweep)
        before = json.loads(kept.read_text())["runs"][0]["rows"]
        results = self._run_all({"resumed": ("sweep.py", *sweep)})

        self.assertEqual(results["resumed"][0], 0, results)
        rows = self._json("resumed", "report.json")["runs"][0]["rows"]
        self.assertLess(len(before), len(rows))
        self.assertEqual(rows[: len(before)], before)  # To the same seconds.
        keys = {
            (row["point"], row["ptq"], row["sweep"], row["scheme"])
            for row in rows
        }
        self.assertLen(keys, len(rows))

    def test_the_keras_of_a_saved_model_is_found(self):
        self.assertIn(
            f"Keras: {KERAS} (which saved trained/model.keras)",
            self._printed("calibrate"),
        )
        other = subprocess.run(
            [sys.executable, TOOLS / "sweep.py", "--workdir=never"]
            + ["--model=trained/model.keras", f"--keras={OTHER}"],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
        )
        self.assertEqual(other.returncode, 2, other.stderr)
        self.assertIn(f"Keras: {OTHER} (as --keras says)", other.stderr)
        self.assertRegex(other.stderr, f"error: .*--keras={KERAS}")
        self.assertFalse((self.folder / "never").exists())

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
            (row["scheme"], row["reestimated_batch_norm"], row["point"])
            for row in run["rows"]
        ]
        points = ("FP/FP", "4/FP", "3/FP", "4/4")
        self.assertEqual(
            found,
            [
                (scheme, reestimated, point)
                for scheme, reestimated in (
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
        self.assertEqual({row["scheme"] for row in run["rows"]}, {"qat"})

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
            ["given", "no regularization", "KURE"],
        )
        self.assertTrue((self.folder / "merged" / "report.html").is_file())
        self.assertIn("file://", printed)

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
