import ast
import dataclasses
import functools
import html.parser
import pathlib
import re
import sys
from unittest import mock

import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from measured import row

import kure_tf.pages
from kure_tf.measurements import Report, Run
from kure_tf.pages import to_html

SCALES = (0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3)
VOID = {"meta", "br", "hr", "img", "link", "input"}


def run(name, level, regularized):
    rows = [row("FP/FP", 0.9)]
    rows += [row(f"{b}/FP", level * (b + 3) / 11) for b in range(8, 1, -1)]
    rows += [row(f"{b}/{b}", level * b / 9) for b in (8, 4, 3)]
    rows += [row("3/FP", level, reestimated_batch_norm=True)]
    rows += [
        row(f"{b}/FP x{s}", level / s**2 / 2.1, sweep="step_size")
        for b in (4, 3)
        for s in SCALES
    ]
    rows.append(row("8/8", 0.9, sweep="tflite", details={"mode": "int8"}))
    rows = [dataclasses.replace(one, run=name) for one in rows]
    counts, edges = np.histogram(np.linspace(-1, 1, 500), 40)
    return Run(
        name,
        rows,
        provenance={"seed": 0, "flags": {"a": "<i>"}, "url": "https://x.org"},
        kurtosis={
            f"net/conv{i}/kernel": {
                "before": 5.0,
                "after": 1.9 if regularized else 5.0,
                "regularized": regularized,
            }
            for i in range(20)
        },
        histograms={
            f"net/conv{i}/kernel": {"edges": edges, "counts": counts}
            for i in (2, 9)
        },
    )


@functools.cache
def page():
    runs = [run("<plain>", 0.8, False), run("KURE", 0.9, True)]
    return to_html(Report(runs, "T & <t>", ["<b>note</b>"]))


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


class HtmlTest(parameterized.TestCase, tf.test.TestCase):
    def test_every_element_is_closed(self):
        self.assertEmpty(structure().open)

    def test_nothing_is_loaded_from_anywhere(self):
        parsed = structure()

        for tag in ("script", "link", "img", "iframe", "object", "base"):
            self.assertNotIn(tag, parsed.tags)
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
                "Kurtosis of the weights",
                "Weights of two layers",
                "Accuracy against bits",
                "Accuracy against step ratio",
                "Margins",
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
        "dotted, hollow: batch norm re-estimated",
        "W4 (4/FP): minmax",
        "<summary>Flags of KURE</summary>",
        "--a=&lt;i&gt;",
    )
    def test_the_page_says(self, words):
        self.assertIn(words, page())

    def test_it_is_small(self):
        self.assertLess(len(page().encode()), 1_000_000)

    def test_a_report_without_rows_is_a_page(self):
        self.assertIn("holds no accuracies", to_html(Report([])))

    def test_step_ratios_may_span_decades(self):
        rows = [
            row(f"4/FP x{scale}", 0.5, run="a", ptq=None, sweep="step_size")
            for scale in (0.05, 1.0, 3.0)
        ]

        self.assertIn("steps as trained", to_html(Report([Run("a", rows)])))

    def test_settings_of_matplotlib_are_left_as_they_were(self):
        import matplotlib

        before = dict(matplotlib.rcParams)
        to_html(Report([run("a", 0.5, False)]))

        self.assertEqual(dict(matplotlib.rcParams), before)

    def test_matplotlib_is_imported_inside_functions_only(self):
        # Not by a look at sys.modules: Keras 3 imports matplotlib itself.
        folder = pathlib.Path(kure_tf.pages.__file__).parent
        for path in folder.glob("*.py"):
            for statement in ast.parse(path.read_text()).body:
                if isinstance(statement, (ast.Import, ast.ImportFrom)):
                    self.assertNotIn("matplotlib", ast.unparse(statement))

    def test_without_matplotlib_the_error_says_what_to_install(self):
        report = Report([run("a", 0.5, False)])

        with (
            mock.patch.dict(sys.modules, {"matplotlib": None}),
            self.assertRaisesRegex(ImportError, "pip install matplotlib"),
        ):
            to_html(report)


if __name__ == "__main__":
    tf.test.main()
