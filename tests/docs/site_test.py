"""The site: it is built, whole, and loads nothing from elsewhere."""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import pytest
from absl.testing import absltest
from module_imports import ROOT

from kure_tf import ptq, qat
from kure_tf.sweeps import builtin_profiles

pytest.importorskip("mkdocs", reason="make docs installs it")
pytestmark = [pytest.mark.site, pytest.mark.one_keras]

PAGES = ROOT / "docs" / "pages"
# Scripts, styles and pictures; links that a reader may follow are none.
_LOADED = re.compile(r'<(?:script|img|link rel="stylesheet")[^>]*"https?://')


def _build(folder):
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", folder],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


class SiteTest(absltest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        result = _build(temporary.name)
        if result.returncode:
            raise RuntimeError(result.stdout + result.stderr)
        cls.site = pathlib.Path(temporary.name)

    def _text(self, path):
        return (self.site / path).read_text(encoding="utf-8")

    def test_nothing_is_loaded_from_elsewhere(self):
        for path in self.site.rglob("*.html"):
            self.assertNotRegex(self._text(path), _LOADED, path.name)
        for path in self.site.rglob("*.css"):
            self.assertNotRegex(self._text(path), r"url\([\"']?https?:")

    def test_every_method_has_a_card_with_its_formula_and_numbers(self):
        for name in ptq.METHODS:
            self.assertIn("Runs on integer", self._text(f"methods/{name}.html"))
        for name in qat.METHODS:
            quantizer = f"(?i)>{name.replace('_', '')}"
            self.assertRegex(self._text("methods/index.html"), quantizer)
        text = self._text("methods/minmax.html")
        self.assertIn("max|w| / (2^(b-1) - 1)", text)
        self.assertIn(">19.5<", text)  # W3 without KURE, as README has it.

    def test_every_device_has_a_page_with_its_source(self):
        for profile in builtin_profiles():
            text = self._text(f"devices/{profile.name}.html")
            self.assertIn(profile.source[:40], text)

    def test_the_claims_are_those_of_the_results(self):
        path = ROOT / "results" / "reproduce" / "cifar10_jpeg" / "table2.json"
        (panel,) = json.loads(path.read_text(encoding="utf-8"))["panels"]
        text = self._text("paper.html")
        for claim in panel["claims"]:
            self.assertIn(claim["text"], text)

    def test_public_names_are_in_the_reference(self):
        text = self._text("reference/kure_tf.ptq.html")
        for name in ptq.__all__:
            self.assertRegex(text, rf'id="kure_tf\.ptq\.({name}\.)?{name}"')

    def test_every_page_is_in_llms_txt(self):
        listed = re.findall(r"\]\(([^)]+\.html)\)", self._text("llms.txt"))
        built = {
            path.relative_to(self.site).as_posix()
            for path in self.site.rglob("*.html")
        }
        self.assertCountEqual(listed, built - {"404.html"})


class AllOnOnePageTest(absltest.TestCase):
    def test_the_program_runs_and_reaches_what_it_should(self):
        text = (PAGES / "all.md").read_text(encoding="utf-8")
        blocks = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
        program = compile("\n".join(blocks), "all.md", "exec")
        found = {"__name__": "all_of_kure_tf"}
        with tempfile.TemporaryDirectory() as folder:
            self.addCleanup(os.chdir, os.getcwd())
            os.chdir(folder)
            exec(program, found)
            os.chdir(ROOT)

        in_float, at_3_bits = found["accuracies"]
        self.assertGreater(in_float, 0.95)
        self.assertGreater(at_3_bits, 0.93)
        self.assertGreater(found["verification"].file_accuracy, 0.85)
        self.assertEqual(found["verification"].differing_codes, 0)
        self.assertLess(len(found["four"]), len(found["content"]))


if __name__ == "__main__":
    absltest.main()
