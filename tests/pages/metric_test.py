"""Pages speak of the metric that was measured."""

import functools
import re

from absl.testing import absltest, parameterized
from measured import row, run_of

from kure_tf.measurements import Report
from kure_tf.pages import margins, to_html, to_markdown
from kure_tf.pages.metric import Metric
from kure_tf.pages.series import series_of

ERROR = {"metric": "mean_absolute_error", "higher_is_better": False}
POINTS = {"FP/FP": 2.0, "8/FP": 2.015, "4/FP": 2.5, "4/FP x0.9": 3.0}


def run(name, factor, standard_error=0.01, **more):
    values = {"standard_error": standard_error, **ERROR, **more}
    rows = [
        row(point, factor * value, run=name, **values)
        for point, value in POINTS.items()
    ]
    rows += [
        row("4/4 x1.1/1.1", factor * 4, run=name, **values),
        row("4/FP floor", factor * 3.5, run=name, **values),
        row("4/4", factor * 5, run=name, calibration_seed=1, **values),
        row("4/FP", factor * 2.25, run=name, layer="conv", **values),
    ]
    return run_of(name, {}, rows=rows)


@functools.cache
def texts(standard_error=0.01):
    """Returns the Markdown, in one line, and the page of a regression."""
    report = Report(
        [run("plain", 1.0, standard_error), run("KURE", 0.9, standard_error)]
    )
    return " ".join(to_markdown(report).split()), to_html(report)


class MetricTest(parameterized.TestCase):
    @parameterized.parameters(
        "image", "top-1", "accurac", " in %", " in points"
    )
    def test_nothing_is_said_of_what_was_not_measured(self, words):
        markdown, page = texts()
        visible = re.sub(r"<style>.*?</style>|<[^>]+>", "", page, flags=re.S)

        self.assertNotIn(words, markdown.lower())
        self.assertNotIn(words, visible.lower())

    def test_lower_values_are_ahead(self):
        markdown, _ = texts()
        # 10 % of 2.5; errors 0.01 each: sqrt(2) 0.01 = 0.0141
        self.assertIn(
            "At W4 (minmax) KURE is clearly ahead of plain by 0.25: mean "
            "absolute error 2.25 against mean absolute error 2.5 (± 0.0141 "
            "from the examples, one training run each).",
            markdown,
        )

    def test_the_clearly_better_value_is_bold(self):
        _, page = texts()
        self.assertIn("<strong>2.25</strong>", page)
        self.assertNotIn("<strong>2.5</strong>", page)

    def test_captions_name_metric_direction_and_error(self):
        markdown, page = texts()
        self.assertIn(
            "Mean absolute error, lower is better. Standard error of one mean "
            "absolute error with n = 10,000 test examples: at most 0.01 here.",
            markdown,
        )
        self.assertIn("<h2>Mean absolute error against bits</h2>", page)

    def test_without_standard_errors_nothing_is_called_clear(self):
        markdown, page = texts(None)
        self.assertIn("KURE is ahead of plain by 0.25: ", markdown)
        self.assertIn("(one training run each).", markdown)
        self.assertNotIn("standard error", markdown)
        self.assertNotIn("<strong>", page)

    def test_a_budget_is_a_share_of_the_value_compared_with(self):
        found = margins(run("KURE", 1.0), budget=0.01)

        (bits,) = found.bits
        # 1 % of 2.0 is 0.02: 2.015 is within it, 2.5 is not.
        self.assertEqual((bits.lowest, bits.drops[0][0]), (8, 8))
        self.assertAlmostEqual(bits.drops[1][1][0], 0.5)
        (step,) = found.steps
        # 1 % of 2.5 is reached after 0.025 / 0.5 of the way to 0.9.
        self.assertAlmostEqual(step.smaller.share, 0.1 * 0.025 / 0.5)
        self.assertAlmostEqual(found.layers[0].worst[0][1], 0.25)

    @parameterized.parameters(
        (0.44842, "0.4484"), (31.25, "31.25"), (123456.7, "123457"), (-2, "-2")
    )
    def test_values_have_four_digits_and_no_powers_of_ten(self, value, text):
        self.assertEqual(Metric("loss", False).text(value), text)

    def test_several_metrics_have_sections_of_their_own(self):
        both = [run("KURE", 1.0), run_of("top", {"FP/FP": 0.9, "4/FP": 0.8})]
        headings = re.findall(r"<h2>(.*?)</h2>", to_html(Report(both)))

        self.assertIn("Mean absolute error against bits", headings)
        self.assertIn("Accuracy against bits", headings)

    def test_rows_of_another_metric_do_not_count(self):
        both = run_of("KURE", {"4/FP": 0.8}, rows=[row("4/FP", 7.0, **ERROR)])
        metric = Metric("mean_absolute_error", False)
        for asked, value in ((None, 0.8), (metric, 7.0)):
            (series,) = series_of([both], asked)
            self.assertEqual(
                [e.mean for e in series.estimates.values()], [value]
            )


if __name__ == "__main__":
    absltest.main()
