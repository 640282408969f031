"""The kept pages under results/ are those that this version makes.

`python tools/report.py --again --workdir=results` makes them anew.
"""

import functools
import re

from absl.testing import absltest, parameterized
from module_imports import ROOT

from kure_tf.measurements import Report
from kure_tf.pages.report_page import report_page
from kure_tf.paper import experiments

RESULTS = ROOT / "results"
REPORTS = sorted(RESULTS.rglob("report.json"))
OUTCOMES = sorted(
    path
    for index in RESULTS.rglob("index.md")
    for path in index.parent.glob("*.json")
)


def named(paths):
    return [("_".join(p.parts[-2:]).replace(".", "_"), p) for p in paths]


@functools.cache
def page_of(path):
    """Returns the page of a report without its plots, which take seconds."""
    return report_page(Report.load(path), plots=False)


class ResultsTest(parameterized.TestCase):
    @parameterized.named_parameters(named(REPORTS))
    def test_the_markdown_of_a_report_is_current(self, path):
        kept = path.with_suffix(".md").read_text(encoding="utf-8")
        self.assertEqual(kept, page_of(path).to_markdown())

    @parameterized.named_parameters(named(REPORTS))
    def test_the_page_of_a_report_is_current_but_for_its_plots(self, path):
        kept = path.with_suffix(".html").read_text(encoding="utf-8")
        made = page_of(path).to_html()
        tables = re.findall(r"<table.*?</table>|<dl.*?</dl>", made, re.DOTALL)
        for text in (*tables, *re.findall(r"<style>.*?</style>", made, re.S)):
            self.assertIn(text, kept)
        self.assertEqual(*(x.partition("</main>")[2] for x in (kept, made)))

    @parameterized.named_parameters(named(OUTCOMES))
    def test_the_text_of_an_experiment_is_current(self, path):
        outcome = experiments.load(path)
        kept = path.read_text(encoding="utf-8")
        self.assertEqual(kept, experiments.to_json(outcome))
        text = path.with_suffix(".md").read_text(encoding="utf-8")
        self.assertIn(outcome.sentence, " ".join(text.split()))

    @parameterized.parameters("fig1", "fig2", "fig3a", "fig4ab", "figA1")
    def test_the_page_of_a_figure_has_one(self, name):
        page = RESULTS / "reproduce" / "cifar10_jpeg" / f"{name}.html"
        self.assertIn('<svg viewBox="0 0 3', page.read_text(encoding="utf-8"))


if __name__ == "__main__":
    absltest.main()
