"""The notebooks run, reach what they should, and keep their pictures."""

import os
import re

import pytest
from absl.testing import absltest, parameterized
from module_imports import ROOT

nbformat = pytest.importorskip("nbformat", reason="make docs installs it")
nbclient = pytest.importorskip("nbclient", reason="make docs installs it")
pytestmark = [pytest.mark.site, pytest.mark.one_keras]

# The lowest and highest value of lines that a notebook prints. Accuracies are
# means or those of easy points: seeds and processors move them by less.
REACHES = {
    "kure_in_ten_minutes": {
        "no KURE, FP/FP": (97, 100),
        "KURE, FP/FP": (97, 100),
        "KURE, 3/FP": (93, 100),
    },
    "your_own_model": {
        "no KURE, FP/FP": (93, 100),
        "KURE, FP/FP": (93, 100),
        "KURE, 4/8": (90, 100),
        "KURE, batch norm measured again, 3/8": (88, 100),
    },
    "qat_to_device": {
        "no KURE, container of 8, W4A4": (92, 100),
        "KURE, container of 8, W4A4": (92, 100),
        "KURE, container of 4, W4A4": (92, 100),
        "no KURE, container of 8, codes off": (0, 0),
        "KURE, container of 4, codes off": (0, 0),
        "codes off in this notebook": (0, 0),
    },
    "one_artifact": {
        "KURE, nearest codes, W8": (96, 100),
        "KURE, nearest codes, W3": (95, 100),
        "KURE, nested rounding, W4": (96, 100),
        "KURE, nested rounding, W2": (93, 100),
        "no KURE, nested rounding, W2": (93, 100),
    },
    "powers_of_two": {
        "KURE, 4/FP": (96, 100),
        "KURE, 4/FP pow2": (90, 100),
        "KURE, int8_power_of_two, points lost": (-2, 3),
        "no KURE, int8_power_of_two, points lost": (-2, 3),
    },
}
_LINE = re.compile(r"^(.+): (-?[\d.]+)(?: \+- [\d.]+)?$", re.M)


def _read(name):
    return nbformat.read(ROOT / "examples" / f"{name}.ipynb", as_version=4)


def _outputs(notebook):
    for cell in notebook.cells:
        yield from cell.get("outputs", ())


def _printed(notebook):
    """Returns `{text: number}` of the lines `text: number`."""
    texts = (one.get("text", "") for one in _outputs(notebook))
    return {k: float(v) for k, v in _LINE.findall("\n".join(texts))}


class NotebooksTest(parameterized.TestCase):
    def _check(self, notebook, name):
        printed = _printed(notebook)
        for text, (lowest, highest) in REACHES[name].items():
            self.assertBetween(printed[text], lowest, highest, text)

    def test_every_notebook_is_here(self):
        found = {path.stem for path in ROOT.glob("examples/*.ipynb")}
        self.assertEqual(found, set(REACHES))

    @parameterized.parameters(*REACHES)
    def test_what_is_kept_has_pictures_and_these_numbers(self, name):
        notebook = _read(name)

        pictures = [
            x for x in _outputs(notebook) if "image/png" in x.get("data", ())
        ]
        self.assertNotEmpty(pictures)
        self._check(notebook, name)

    @parameterized.parameters(*REACHES)
    def test_it_runs_and_reaches_what_it_should(self, name):
        path = [str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, path))
        notebook = _read(name)

        nbclient.NotebookClient(notebook, timeout=600).execute()

        self._check(notebook, name)


if __name__ == "__main__":
    absltest.main()
