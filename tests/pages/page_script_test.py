"""The page's script, run by a browser where this machine has one."""

import csv
import html
import pathlib
import re
import shutil
import subprocess
import tempfile
import urllib.parse

from absl.testing import absltest
from measured import run_of

from kure_tf.measurements import Report
from kure_tf.pages import to_html

BROWSER = next(
    filter(
        None,
        map(shutil.which, ("chromium", "google-chrome", "chromium-browser")),
    ),
    None,
)
# What a reader does: moves over a dot of the first plot, then clicks on the
# last column of the first table that can be sorted.
_READER = """
<script>
  const dot = document.querySelector("figure svg use > title").parentNode;
  const box = dot.getBoundingClientRect();
  dot.closest("svg").dispatchEvent(new MouseEvent("mousemove", {
    clientX: box.x + box.width / 2, clientY: box.y + box.height / 2}));
  const wanted = document.querySelector("table:not(.prose)");
  wanted.id = "wanted";
  [...wanted.rows[0].cells].at(-1).click();
</script>
"""


def _rows(table):
    """Returns the texts of the cells of each row of a table in HTML."""
    return [
        [
            html.unescape(re.sub("<[^>]*>", "", cell)).strip()
            for cell in re.findall(
                r"<t[hd](?: [^>]*)?>(.*?)</t[hd]>", row, re.S
            )
        ]
        for row in re.findall(r"<tr[^>]*>(.*?)</tr>", table, re.S)
    ]


@absltest.skipUnless(BROWSER, "needs Chromium or Chrome")
class PageScriptTest(absltest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        runs = [
            run_of(name, {"FP/FP": 0.9, "8/FP": value, "4/FP": value / 2})
            for name, value in (("b", 0.8), ("c", 0.4), ("a", 0.6))
        ]
        cls.plain = to_html(Report(tuple(runs), "T"))
        with tempfile.TemporaryDirectory() as folder:
            page = pathlib.Path(folder) / "page.html"
            page.write_text(
                cls.plain.replace("</body>", f"{_READER}</body>"), "utf-8"
            )
            command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu"]
            command += [f"--user-data-dir={folder}/profile", "--dump-dom"]
            cls.read = subprocess.run(
                [*command, page.as_uri()],
                capture_output=True,
                check=True,
                text=True,
                timeout=120,
            ).stdout

    def _table(self):
        return re.search(
            r'<table[^>]*id="wanted".*?</table>(.*?CSV</a>)', self.read, re.S
        )

    def _rows_before(self):
        table = re.search(
            r"<table(?! class=.prose).*?</table>", self.plain, re.S
        )
        return _rows(table[0])

    def test_a_click_on_a_head_sorts_the_rows_by_that_column(self):
        rows = _rows(self._table()[0])
        found = [float(row[-1]) for row in rows[1:]]
        before = _rows(
            re.search(r"<table(?! class=.prose).*?</table>", self.plain, re.S)[
                0
            ]
        )
        self.assertCountEqual(rows, before)
        self.assertNotEqual(rows, before)
        self.assertEqual(found, sorted(found))

    def test_csv_link_holds_the_cells_as_they_were(self):
        (link,) = re.findall(
            r'href="data:text/csv[^,]*,([^"]*)"', self._table()[1]
        )
        lines = urllib.parse.unquote(html.unescape(link)).splitlines()
        self.assertEqual(list(csv.reader(lines)), self._rows_before())

    def test_a_dot_under_the_pointer_says_its_value(self):
        (tip,) = re.findall(r"<output[^>]*>(.*?)</output>", self.read, re.S)
        first = re.search(
            r"<use[^>]*>\s*<title>(.*?)</title>", self.plain, re.S
        )
        self.assertEqual(html.unescape(tip).strip(), html.unescape(first[1]))
        self.assertNotIn("<output", self.plain)


if __name__ == "__main__":
    absltest.main()
