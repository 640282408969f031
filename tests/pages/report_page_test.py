import ast
import dataclasses
import functools
import html.parser
import os
import pathlib
import re
import sys
import tempfile
from unittest import mock

import matplotlib
import numpy as np
from absl.testing import absltest, parameterized
from measured import row, run_of

import kure_tf.pages
from kure_tf.measurements import Report
from kure_tf.pages import save_report, to_html

SCALES = (0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3)
VOID = {"meta", "br", "hr", "img", "link", "input"}


def run(name, level, regularized):
    points = {"FP/FP": 0.9}
    points |= {f"{b}/FP": level * (b + 3) / 11 for b in range(8, 1, -1)}
    points |= {f"{b}/{b}": level * b / 9 for b in (8, 4, 3)}
    points |= {
        f"{b}/FP x{s}": level / s**2 / 2.1
        for b in (4, 3)
        for s in SCALES
        if s != 1
    }
    points |= {"4/4 x1/0.7": 0.3, "4/FP floor": 0.5}
    rows = [
        row("3/FP", level, reestimated_batch_norm=True),
        row("8/8", 0.9, sweep="tflite", details={"mode": "int8"}),
        row("4/FP", level - 0.1, layer="net/conv3", sweep="sensitivity"),
    ]
    counts, edges = np.histogram(np.linspace(-1, 1, 500), 40)
    after = 1.9 if regularized else 5.0
    kurtosis = {"before": 5.0, "after": after, "regularized": regularized}
    return run_of(
        name,
        points,
        rows=[dataclasses.replace(one, run=name) for one in rows],
        provenance={"flags": {"a": "<i>"}, "url": "https://x.org"},
        kurtosis={f"net/conv{i}/kernel": kurtosis for i in range(20)},
        histograms={
            f"net/conv{i}/kernel": {"edges": edges, "counts": counts}
            for i in (2, 9)
        },
    )


def report():
    runs = [run("<plain>", 0.8, False), run("KURE", 0.9, True)]
    return Report(runs, "T & <t>", ["<b>note</b>"])


@functools.cache
def saved():
    """Returns the names and the texts of the files of the report."""
    with tempfile.TemporaryDirectory() as folder:
        path = save_report(report(), folder)
        names = os.listdir(folder)
        return path.name, names, path.read_text(encoding="utf-8")


def page():
    return saved()[2]


class _Structure(html.parser.HTMLParser):
    """Checks nesting and collects tags, attributes and ids."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.attributes = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        if self.open.pop() != tag:
            raise AssertionError(f"</{tag}> closes something else.")


def structure():
    parser = _Structure()
    parser.feed(page())
    parser.close()
    return parser


class ReportPageTest(parameterized.TestCase):
    def test_it_is_saved_beside_the_other_files(self):
        name, names, _ = saved()

        self.assertEqual(name, "report.html")
        self.assertCountEqual(
            names, ["report.json", "report.csv", "report.md", "report.html"]
        )

    def test_equal_reports_give_equal_pages_and_keep_settings(self):
        before = dict(matplotlib.rcParams)

        self.assertEqual(to_html(report()), page())
        self.assertEqual(dict(matplotlib.rcParams), before)

    def test_every_element_is_closed(self):
        self.assertEmpty(structure().open)

    def test_nothing_is_loaded_from_anywhere(self):
        parsed = structure()

        for tag in ("link", "img", "iframe", "object", "base"):
            self.assertNotIn(tag, parsed.tags)
        self.assertEqual(parsed.tags.count("script"), 1)
        self.assertIn("<script>\nfor (", page())  # Inline; it has no source.
        for name, value in parsed.attributes:
            self.assertFalse(name.startswith("on"), name)
            if name in ("src", "href", "xlink:href", "action"):
                self.assertStartsWith(value, "#")
        self.assertNotRegex(page(), r"url\((?!#)|@import|@font-face")
        # The only address left is the text of the provenance.
        self.assertEqual(
            re.findall(r"https?://[^<\"]*", page()), ["https://x.org"]
        )

    def test_ids_are_unique_and_references_resolve(self):
        ids = re.findall(r'\sid="([^"]+)"', page())
        references = re.findall(r'(?:url\(#|href="#)([^")]+)', page())

        self.assertLen(set(ids), len(ids))
        self.assertContainsSubset(references, ids)

    def test_light_and_dark_define_the_same_colours(self):
        light, dark = re.search(
            r":root \{(.*?)\}\s*@media \(prefers-color-scheme: dark\) \{"
            r"\s*:root \{(.*?)\}",
            page(),
            re.DOTALL,
        ).groups()

        names = re.findall(r"(--[\w-]+):", light)
        self.assertEqual(names, re.findall(r"(--[\w-]+):", dark))
        self.assertContainsSubset(re.findall(r"var\((--[\w-]+)", page()), names)

    def test_plots_take_every_colour_from_the_page(self):
        for drawing in re.findall(r"<svg.*?</svg>", page(), re.DOTALL):
            self.assertNotRegex(drawing, r"#[0-9a-fA-F]{6}")
        self.assertIn("stroke: var(--run-1)", page())

    def test_text_of_the_user_is_escaped(self):
        self.assertIn("<h1>T &amp; &lt;t&gt;</h1>", page())
        self.assertIn("&lt;plain&gt;", page())
        self.assertIn("&lt;b&gt;note&lt;/b&gt;", page())
        self.assertNotIn("<plain>", page())

    def test_sections_come_in_order(self):
        headings = re.findall(r"<h2>(.*?)</h2>", page())

        self.assertEqual(
            headings,
            [
                "Accuracy as bits get fewer",
                "Accuracy when the step size is off",
                "Accuracy when the step size of the activations is off",
                "Sensitivity of single layers",
                "Kurtosis of the weights",
                "Weights of two layers",
                "Accuracy against bits",
                "Accuracy against step ratio",
                "Margins",
                "Other robustness sweeps",
                "LiteRT files",
                "Provenance",
                "Notes",
            ],
        )

    @parameterized.parameters(
        "step too small (clips)",
        "step too large (coarser)",
        "uniform 1.8",
        "normal 3",
        ">conv13</text>",
        "float accuracy",
        "<figcaption>Weights only, minmax</figcaption>",
        "<figcaption>W4 (4/FP)</figcaption>",
        "<title>KURE, W8, minmax: 90.0 %, ± 0.3 points from the examples, one "
        "training run</title>",
        '<th scope="row" class="again">minmax</th>',
        "Rounding mode of the quantizer",
        "<summary>Flags of KURE</summary>",
        "--a=&lt;i&gt;",
        '<td colspan="2">https://x.org</td>',
        ' title="10,000 test examples, standard error 0.30 points">90.0</td>',
    )
    def test_the_page_says(self, words):
        self.assertIn(words, page())

    def test_it_is_small(self):
        self.assertLess(len(page().encode()), 1_000_000)

    def test_a_report_without_rows_is_a_page(self):
        self.assertIn("holds no measurements", to_html(Report([])))

    def test_step_ratios_may_span_decades(self):
        rows = [
            row(f"4/FP x{scale}", 0.5, ptq=None) for scale in (0.05, 1.0, 3.0)
        ]

        text = to_html(Report([run_of("KURE", {}, rows=rows)]))

        self.assertIn("steps as trained", text)

    def test_matplotlib_is_imported_inside_functions_only(self):
        # Not by a look at sys.modules: Keras 3 imports matplotlib itself.
        folder = pathlib.Path(kure_tf.pages.__file__).parent
        for path in folder.rglob("*.py"):
            for statement in ast.parse(path.read_text()).body:
                if isinstance(statement, (ast.Import, ast.ImportFrom)):
                    self.assertNotIn("matplotlib", ast.unparse(statement))

    def test_without_matplotlib_the_error_says_what_to_install(self):
        found = Report([run_of("a", {"4/FP": 0.5, "3/FP": 0.4})])

        with (
            mock.patch.dict(sys.modules, {"matplotlib": None}),
            self.assertRaisesRegex(ImportError, "kure-tf.report"),
        ):
            to_html(found)


if __name__ == "__main__":
    absltest.main()
