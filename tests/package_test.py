"""What is installed: wheel, source distribution, the command `kure`, extras."""

import configparser
import email
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile

import pytest
from absl.testing import absltest, parameterized
from module_imports import ROOT

from kure_tf.extras import EXTRAS

pytestmark = pytest.mark.one_keras

_BUILD = """
from setuptools import build_meta
build_meta.build_sdist("made")
build_meta.build_wheel("made")
"""
_FOLDERS = ("kure_tf", "tools", "tests", "configs", "docs", "examples")
_COMMAND = "from kure_tf_tools.kure import main; main()"
# Nothing of what the extras bring can be imported here.
_WITHOUT = f"""
import sys

for module in {sorted(EXTRAS)!r}:
    sys.modules[module] = None
import numpy as np
import kure_tf
from kure_tf import data, evaluation, models, pages
from kure_tf.qat.to_tf_keras import to_tf_keras

model = kure_tf.fake_quantize_model(models.small_cnn(10, (8, 8, 1)))
dataset = data.digits()
report = kure_tf.run_sweep(model, ["8/FP"], evaluate=dataset.test)
print(pages.to_markdown(report))
for ask in (
    lambda: pages.to_html(report),
    lambda: report.to_frame(),
    lambda: data.get("mnist"),
    lambda: evaluation.litert_runner(b""),
    lambda: to_tf_keras(models.small_cnn(10, (8, 8, 1))),
):
    try:
        ask()
    except ImportError as error:
        print(error)
"""


def _python(code, *arguments, cwd, path=""):
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(path), "TF_USE_LEGACY_KERAS": "0"},
    )


def _sources():
    """Returns the files of the repository that an installation is about."""
    return {
        path.relative_to(ROOT).as_posix()
        for folder in _FOLDERS
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


class PackageTest(parameterized.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        cls.folder = pathlib.Path(temporary.name)
        copy = cls.folder / "copy"
        copy.mkdir()
        for path in ROOT.iterdir():
            if path.name in _FOLDERS:
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(path, copy / path.name, ignore=ignored)
            elif path.is_file():
                shutil.copy(path, copy)
        built = _python(_BUILD, cwd=copy)
        if built.returncode:
            raise RuntimeError(built.stderr)
        (wheel,) = copy.glob("made/*.whl")
        (sdist,) = copy.glob("made/*.tar.gz")
        cls.installed = cls.folder / "installed"
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(cls.installed)
            cls.in_wheel = set(archive.namelist())
        with tarfile.open(sdist) as archive:
            names = archive.getnames()
        cls.in_sdist = {name.partition("/")[2] for name in names}

    def _described(self, name):
        (path,) = self.installed.glob(f"*.dist-info/{name}")
        return path.read_text(encoding="utf-8")

    def test_the_wheel_has_the_package_and_the_tools_and_no_tests(self):
        expected = {
            path.replace("tools/", "kure_tf_tools/", 1)
            for path in _sources()
            if path.startswith(("kure_tf/", "tools/"))
        }
        found = {x for x in self.in_wheel if ".dist-info/" not in x}
        self.assertEqual(found, {*expected, "kure_materialize.py"})

    def test_the_source_distribution_has_what_the_suite_needs(self):
        files = (
            "Makefile",
            "README.md",
            "LICENSE",
            "constraints.txt",
            "mkdocs.yml",
        )
        expected = _sources() | {*files, "setup.py", "kure_materialize.py"}
        self.assertEqual(expected - self.in_sdist, set())

    def test_the_metadata_names_every_extra_and_the_types(self):
        described = email.message_from_string(self._described("METADATA"))
        extras = set(described.get_all("Provides-Extra"))
        self.assertContainsSubset({*EXTRAS.values(), "all", "test"}, extras)
        self.assertIn("Typing :: Typed", described.get_all("Classifier"))
        self.assertTrue(described.get_payload().startswith("# "))
        needed = [
            text.partition(" ")[0].lower().replace("_", "-")
            for text in described.get_all("Requires-Dist")
            if "extra ==" not in text
        ]
        for module in EXTRAS:
            for text in needed:
                self.assertNotStartsWith(text, module.replace("_", "-"))

    def test_the_command_is_that_of_the_tools(self):
        entry = configparser.ConfigParser()
        entry.read_string(self._described("entry_points.txt"))
        self.assertEqual(
            dict(entry["console_scripts"]), {"kure": "kure_tf_tools.kure:main"}
        )

    @parameterized.parameters(
        (["--help"], 0, "(?s)train +Trains a model.*theory"),
        (["train", "--help"], 0, "(?s)--workdir.*--model.*--epochs"),
        (["export", "--help"], 0, "(?s)--workdir.*--container"),
        (["materialize", "--help"], 0, "(?s)--bits.*--container"),
        (["train"], 2, "train needs --workdir"),
        (["trian"], 2, "one of train, calibrate.*'trian'"),
    )
    def test_the_installed_command_answers(self, arguments, code, pattern):
        found = _python(
            _COMMAND, *arguments, cwd=self.folder, path=self.installed
        )
        self.assertEqual(found.returncode, code, found.stderr)
        self.assertRegex(found.stdout + found.stderr, pattern)
        self.assertNotIn("Traceback", found.stderr)

    def test_a_missing_extra_is_named_and_all_else_works(self):
        found = _python(_WITHOUT, cwd=self.folder, path=self.installed)

        self.assertEqual(found.returncode, 0, found.stderr)
        self.assertIn("8/FP", found.stdout)
        named = found.stdout.split("pip install 'kure-tf[")[1:]
        self.assertEqual(
            [text.partition("]")[0] for text in named],
            ["report", "frames", "data", "export", "qat"],
        )


if __name__ == "__main__":
    absltest.main()
