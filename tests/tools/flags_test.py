"""Flags: help, spelling and flagfiles, all before TensorFlow is loaded."""

import os
import pathlib
import re
import resource
import subprocess
import sys
import tempfile

import flagfiles
import pytest
from absl.testing import absltest, parameterized

pytestmark = pytest.mark.tool_flow

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
ALL_TOOLS = (
    "any_model.py",
    "benchmark.py",
    "calibrate.py",
    "compare.py",
    "devices.py",
    "exact_families.py",
    "export_artifact.py",
    "export_tflite.py",
    "imagenet_size.py",
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
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("--workdir", result.stdout)
        self.assertIn("python tools/", result.stdout)
        seconds = (after.ru_utime - before.ru_utime) + (
            after.ru_stime - before.ru_stime
        )
        self.assertLess(seconds, 1.0)

    @parameterized.parameters("any_model.py", "exact_families.py")
    def test_examples_in_help_go_on_in_the_next_line(self, tool):
        printed = _tool(tool, "--help").stdout
        self.assertRegex(printed, r"--workdir=runs/\w+ \\\n +--models=")

    def test_help_shows_the_flags_of_the_tool_first(self):
        printed = " ".join(_tool("compare.py", "--help").stdout.split())
        found = [printed.index(f" --{name}: ") for name in ("title", "keras")]
        self.assertEqual(found, sorted(found))
        # What a field of a dataclass says of itself.
        self.assertIn("times --decay_factor every --decay_every", printed)

    @parameterized.parameters("--helpfull", "--helpshort", "-?")
    def test_other_help_ends_well(self, flag):
        result = _tool("report.py", flag)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("--reports", result.stdout)

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
        ("train.py", "--traceback", "no --traceback.*leave it out"),
        ("train.py", "--weight_bits=4", "--qat_point=4/8"),
        ("sweep.py", "--validation_count=9", "'validation_count'"),
        ("sweep.py", "--weights_only=8,4", "--points='.8,4./FP'"),
        ("sweep.py", "--both=8,4", "--points='.8,4.': bits alone"),
        ("sweep.py", "--both_by_all", "--points='minmax: 4/4'"),
        ("compare.py", "--ratios=0.9,1.1", "--points='4/FP x.0.9,1.1.'"),
        ("sweep.py", "--p=3", "--ptq='lp_norm p=3'"),
        ("sweep.py", "--allowed_steps=0.1,1", "--ptq='predefined 0.1,1'"),
        ("sweep.py", "--parity_ratios=0.9,1", "--parity_points='4/FP x.0.9,1."),
        ("any_model.py", "--model=resnet20", "Expected --models"),
        ("train.py", "surplus", "Unexpected arguments.*surplus"),
    )
    def test_a_bad_flag_is_refused(self, tool, flag, message):
        result = _tool(tool, flag)
        self.assertEqual(result.returncode, 2)
        self.assertRegex(result.stderr, f"(?s)^error: .*{message}")
        self.assertNotIn("Traceback", result.stderr)

    def test_a_sweep_has_few_flags(self):
        printed = _tool("sweep.py", "--help").stdout
        self.assertLessEqual(len(re.findall("^  --", printed, re.M)), 24)

    def test_an_unknown_flag_in_a_flagfile_is_refused(self):
        with tempfile.NamedTemporaryFile("w", suffix=".cfg") as file:
            file.write("# An experiment.\n--epochs=1\n--learning_rat=0.1\n")
            file.flush()
            result = _tool("train.py", f"--flagfile={file.name}")
        self.assertEqual(result.returncode, 2)
        self.assertRegex(result.stderr, "^error: .*'learning_rat'")

    def test_a_missing_file_is_named_as_its_flagfile_names_it(self):
        with tempfile.TemporaryDirectory() as folder:
            inner, outer = (
                pathlib.Path(folder, name) for name in ("a.cfg", "b.cfg")
            )
            inner.write_text(
                "# A net.\n# --weights are those of W. Shakespeare, see\n"
                "# example.org.\n--weights=gone.npz\n"
            )
            outer.write_text(f"# It goes on.\n--flagfile={inner}\n")
            result = _tool(
                *("train.py", "--workdir=never", f"--flagfile={outer}"),
                cwd=folder,
            )
            self.assertFalse(pathlib.Path(folder, "never").exists())
        self.assertEqual(result.returncode, 2)
        self.assertIn(
            "'gone.npz', which --weights names. "
            f"{inner}: --weights are those of W. Shakespeare, see "
            "example.org.\n",
            result.stderr,
        )

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

    def test_every_flagfile_says_where_weights_come_from(self):
        for path in sorted((ROOT / "configs").rglob("*.cfg")):
            text = path.read_text()
            for weights in re.findall("^--weights=(.+)$", text, re.MULTILINE):
                said = flagfiles.origin(
                    "weights", weights, [f"--flagfile={path}"]
                )
                self.assertRegex(said, "outside the repo.*configs/README.md")

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


if __name__ == "__main__":
    absltest.main()
