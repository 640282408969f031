"""What tools say to bad input: an error with a way out, exit code 2."""

import json
import os
import pathlib
import re
import resource
import subprocess
import sys
import tempfile

from absl.testing import absltest, parameterized

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
LEGACY = os.environ.get("TF_USE_LEGACY_KERAS", "0")
KERAS = "tf_keras" if LEGACY.lower() in ("1", "true") else "keras3"
ALL_TOOLS = (
    "benchmark.py",
    "calibrate.py",
    "compare.py",
    "devices.py",
    "export_tflite.py",
    "report.py",
    "reproduce.py",
    "sweep.py",
    "theory.py",
    "train.py",
)


# Parses one flagfile after the other, as the tool would.
_PARSE = """
import sys
sys.path.insert(0, "tools")
import {tool}
from absl import flags
for path in sys.argv[1:]:
    flags.FLAGS.unparse_flags()
    try:
        flags.FLAGS(["tool", f"--flagfile={{path}}"])
    except flags.Error as error:
        sys.exit(f"{{path}}: {{error}}")
"""


def _python(*arguments, **options):
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


def _tool(name, *arguments, **options):
    return _python(ROOT / "tools" / name, *arguments, **options)


class FlagsTest(parameterized.TestCase):
    """Answers that need no TensorFlow."""

    @parameterized.parameters(*ALL_TOOLS)
    def test_help_answers_in_under_a_second_of_computing(self, tool):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        result = _tool(tool, "--help")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.assertIn("--workdir", result.stdout)
        self.assertIn("python tools/", result.stdout)
        seconds = (after.ru_utime - before.ru_utime) + (
            after.ru_stime - before.ru_stime
        )
        self.assertLess(seconds, 1.0)

    def test_an_unknown_flag_is_refused_with_the_nearest_one(self):
        result = _tool("train.py", "--epoch=3")
        self.assertEqual(result.returncode, 2)
        self.assertRegex(result.stderr, "(?s)^error: .*'epoch'.*epochs.*--help")

    @parameterized.parameters(
        ("train.py", "--epochs=none", "epochs"),
        ("train.py", "--optimizer=lion", "sgd"),
        ("compare.py", "--export=int7", "dynamic_range"),
        ("sweep.py", "--reestimate_batch_norm=yes", "off|on|both"),
        ("reproduce.py", "--scale=mnist", "cifar10_jpeg"),
        ("train.py", "--flagfile=nowhere.cfg", "nowhere.cfg"),
        ("train.py", "--seed=1", "needs --workdir.*--workdir=runs/train"),
        ("train.py", "surplus", "Unexpected arguments.*surplus"),
    )
    def test_a_bad_flag_is_refused(self, tool, flag, message):
        result = _tool(tool, flag)
        self.assertEqual(result.returncode, 2)
        self.assertRegex(result.stderr, f"(?s)^error: .*{message}")
        self.assertNotIn("Traceback", result.stderr)

    def test_an_unknown_flag_in_a_flagfile_is_refused(self):
        with tempfile.NamedTemporaryFile("w", suffix=".cfg") as file:
            file.write("# An experiment.\n--epochs=1\n--learning_rat=0.1\n")
            file.flush()
            result = _tool("train.py", f"--flagfile={file.name}")
        self.assertEqual(result.returncode, 2)
        self.assertRegex(result.stderr, "^error: .*'learning_rat'")

    def test_every_flagfile_of_configs_is_one_of_its_tool(self):
        files = sorted((ROOT / "configs").rglob("*.cfg"))
        self.assertNotEmpty(files)
        by_tool = {}
        for path in files:
            header = path.read_text().partition("\n--")[0]
            self.assertTrue(header.startswith("# "), path)
            named = re.findall(r"tools/(\w+)\.py", header)
            tool = named[-1] if named else "compare"
            by_tool.setdefault(tool, []).append(path)
        for tool, paths in by_tool.items():
            result = _python("-c", _PARSE.format(tool=tool), *paths, cwd=ROOT)
            self.assertEqual(result.returncode, 0, result.stderr)

    @parameterized.parameters((), ("absl",))
    def test_without_kure_tf_the_installation_is_named(self, *installed):
        absl = pathlib.Path(sys.modules["absl"].__path__[0])
        with tempfile.TemporaryDirectory() as folder:
            for package in installed:
                os.symlink(absl, pathlib.Path(folder) / package)
            result = _python(
                *("-S", ROOT / "tools" / "train.py", "--workdir=nowhere"),
                env={**os.environ, "PYTHONPATH": folder},
                cwd=folder,
            )
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertRegex(
            result.stderr, r"kure_tf is not installed.*pip install -e \."
        )


class BadInputTest(parameterized.TestCase):
    """Errors found after TensorFlow is loaded: one process for all of them."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls._temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls._temporary.cleanup)
        folder = pathlib.Path(cls._temporary.name)
        (folder / "other").mkdir()
        (folder / "other" / "train.cfg").write_text("--epochs=77\n--seed=0\n")
        (folder / "truncated.keras").write_bytes(b"PK\x03\x04 and no more")
        (folder / "foreign.keras").write_text("a text")
        (folder / "steps.json").write_text('{"a/kernel": 0.1}')
        (folder / "own.py").write_text("def broken():\n    return 1\n")
        cls.folder = folder
        compare = "compare.py --kurtosis_coefficient=1"
        cases = {
            "no_data_set": "train.py --workdir=a --dataset=lost --data_dir=.",
            "no_imagenet": "train.py --workdir=a --dataset=imagenet",
            "other_run": "train.py --workdir=other --epochs=3",
            "no_such_model": "sweep.py --workdir=b --model=resnet9",
            "missing_file": "sweep.py --workdir=c --model=gone.keras",
            "truncated": "sweep.py --workdir=d --model=truncated.keras",
            "foreign": "sweep.py --workdir=e --model=foreign.keras",
            "bad_point": "calibrate.py --workdir=f --point=4-8",
            "two_schemes": "calibrate.py --workdir=f --scheme=paper,tflite",
            "bad_bits": "sweep.py --workdir=g --weights_only=8,4.5",
            "one_bit": "sweep.py --workdir=h --weights_only=1",
            "bad_ratio": "sweep.py --workdir=i --ratios=1,much",
            "bad_scheme": f"{compare} --workdir=j --scheme=paper,onnx",
            "no_method": "sweep.py --workdir=k --ptq=",
            "no_steps": "calibrate.py --workdir=w --ptq=predefined",
            "no_experiment": "reproduce.py --workdir=z",
            "no_such_experiment": "reproduce.py --workdir=z --experiment=fig9",
            "bad_seeds": f"{compare} --workdir=l --seeds=0,one",
            "no_coefficient": "compare.py --workdir=m",
            "no_function": "sweep.py --workdir=n --model=own:missing",
            "bad_step_sizes": "sweep.py --workdir=o --step_sizes=steps.json",
            "no_weights": "train.py --workdir=p --weights=gone.npz",
            "no_reports": "report.py --workdir=q",
            "missing_report": "report.py --workdir=q --reports=nowhere",
            "learned_folded": "sweep.py --workdir=s --scheme=paper,tflite "
            "--ptq=learned_steps",
            "trained_float": "sweep.py --workdir=s --ptq=trained",
            "trained_steps": "calibrate.py --workdir=t --ptq=trained",
            "theory_bits": "theory.py --workdir=u --bits=4,half",
            "theory_grid": "theory.py --workdir=v --grid=narrow --bits=1,2",
            "no_device": "devices.py --workdir=w --profiles=phone",
            "bad_device": "devices.py --workdir=x --profiles=steps.json",
            "bad_budget": "devices.py --workdir=y --budget=2",
            "bad_learning_rate": "train.py --workdir=r --learning_rate=-1",
        }
        cls.before = set(folder.iterdir())
        commands = [
            f"{case} --keras={KERAS}".split() for case in cases.values()
        ]
        process = _python(
            HERE / "forked_tools.py",
            input=json.dumps([(tool, flags) for tool, *flags in commands]),
            cwd=folder,
            env={
                **os.environ,
                "TF_USE_LEGACY_KERAS": str(int(KERAS == "tf_keras")),
            },
        )
        if process.returncode:
            raise RuntimeError(process.stderr)
        results = json.loads(process.stdout)
        cls.results = dict(zip(cases, results, strict=True))

    @parameterized.named_parameters(
        ("no_data_set", "'lost'.*--data_dir"),
        ("no_imagenet", "ILSVRC2012_img_train.tar.*--data_dir"),
        ("other_run", "another run.*there --.*--epochs=77.*here.*--epochs=3"),
        ("no_such_model", "small_cnn.*'resnet9'"),
        ("missing_file", "gone.keras"),
        ("truncated", "truncated.keras.*truncated, not a saved model"),
        ("foreign", "foreign.keras.*not a saved model"),
        ("bad_point", "'4/8'.*Received: '4-8'"),
        ("two_schemes", "one --scheme"),
        ("bad_bits", "--weights_only.*integer in 2..16.*'4.5'"),
        ("one_bit", "at least 2 bits on the grid 'narrow'"),
        ("bad_ratio", "positive, finite step scale.*'much'"),
        ("bad_scheme", "paper.*tflite.*'onnx'"),
        ("no_method", "at least one PTQ method"),
        ("no_steps", "needs --allowed_steps"),
        ("no_experiment", "--experiment: one or several of fig1, fig2"),
        ("no_such_experiment", "experiment of the paper.*fig3b.*'fig9'"),
        ("bad_seeds", "--seeds.*'one'"),
        ("no_coefficient", "--kurtosis_coefficient above 0"),
        ("no_function", "package.module:function.*'own:missing'"),
        ("bad_step_sizes", "steps.json"),
        ("no_weights", "gone.npz"),
        ("no_reports", "--reports="),
        ("missing_report", "nowhere"),
        ("trained_float", "with quantizers.*'trained'.*Name a method"),
        ("learned_folded", "--scheme=tflite folds it.*--ptq=lapq_gradient"),
        ("trained_steps", "finds step sizes.*--ptq=lp_norm"),
        ("theory_bits", "--bits to be numbers.*'half'"),
        ("theory_grid", "at least 2 bits on the grid 'narrow'"),
        ("no_device", "'builtin'.*w4a8_per_channel.*path.*'phone'"),
        ("bad_device", "JSON list of objects.*steps.json"),
        ("bad_budget", "accuracy budget.*0.01.*Received: 2"),
        ("bad_learning_rate", "learning.rate.*-1"),
    )
    def test_is_an_error_with_a_way_out(self, message):
        name = self.id().rpartition("_way_out_")[2]
        code, printed = self.results[name]
        self.assertEqual(code, 2, printed)
        self.assertRegex(printed, f"(?s)error: .*{message}")
        self.assertNotIn("Traceback", printed)

    def test_leaves_no_folder_behind(self):
        left = set(self.folder.iterdir()) - self.before
        self.assertEqual({p.name for p in left} - {"__pycache__"}, set())


if __name__ == "__main__":
    absltest.main()
