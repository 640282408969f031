"""The figures of the first screen, from rows whose numbers are known."""

import dataclasses

from absl.testing import absltest
from measured import row

from kure_tf.measurements import Run
from kure_tf.pages.figures import figures
from kure_tf.pages.headline import Headline
from kure_tf.pages.series import series_of

ONCE = "one training run each"


def run(name, in_float, four_bits, slope, after):
    """Returns a run whose accuracy falls by `slope` on the small side of W4."""
    rows = [row("FP/FP", in_float), row("8/FP", in_float)]
    rows += [row("4/FP", four_bits), row("2/FP", 0.1)]
    rows += [
        row(f"4/FP x{r}", four_bits - slope * max(0, 1 - r), sweep="step_size")
        for r in (0.8, 0.9, 1.1, 1.2)
    ]
    rows = [dataclasses.replace(one, run=name) for one in rows]
    kurtosis = {"before": 5.0, "after": after, "regularized": after < 3}
    return Run(name, rows, kurtosis={"conv": kurtosis})


def shown(*runs):
    series = series_of(runs)
    return {f.name: f for f in figures(Headline.of(series), series)}


class FiguresTest(absltest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.found = shown(
            run("plain", 0.90, 0.8, 0.1, 5.1),
            run("KURE", 0.89, 0.885, 0.2, 1.9),
        )

    def test_there_are_four(self):
        self.assertLen(self.found, 4)

    def test_cost_in_float(self):
        figure = self.found["Cost of KURE in float"]
        self.assertEqual(figure.value, "1.0 points")
        # sqrt(.9 * .1 + .89 * .11) / 100 = 0.43 points
        self.assertEqual(
            figure.details,
            (
                "KURE: 89.0 %; plain: 90.0 %",
                f"± 0.4 points from the examples, {ONCE}",
            ),
        )

    def test_a_run_that_is_ahead_in_float_costs_nothing(self):
        found = shown(
            run("plain", 0.8, 0.8, 0.1, 5.1), run("KURE", 0.9, 0.8, 0.1, 1.9)
        )
        self.assertEqual(found["Cost of KURE in float"].value, "none")

    def test_fewest_bits_with_those_one_standard_error_away(self):
        name = "Fewest weight bits within 1 point of accuracy of float"
        # KURE's drop at W4 is 0.5 points, its error 0.45: within 1 - 0.45.
        self.assertEqual(self.found[name].value, "4")
        self.assertEqual(
            self.found[name].details,
            ("plain: 8", f"no other within one standard error, {ONCE}"),
        )
        close = shown(run("KURE", 0.9, 0.8925, 0.1, 1.9))
        # Drop 0.75 points, error 0.43: more than 1 - 0.43.
        self.assertEqual(
            close[name].details,
            ("4 to 8 within one standard error, one training run",),
        )

    def test_step_error_on_both_sides(self):
        figure = self.found["Step error that costs 1 point of accuracy at W4"]
        # 0.01 / 0.2 and (0.01 -+ 0.0045) / 0.2; plain 0.01 / 0.1.
        self.assertEqual(
            figure.value, "5.0 % too small, at least 20 % too large"
        )
        self.assertEqual(
            figure.details,
            (
                "plain: 10 % too small, at least 20 % too large",
                "2.7 to 7.3 % too small, at least 20 % too large within one "
                f"standard error, {ONCE}",
            ),
        )

    def test_kurtosis(self):
        figure = self.found["Kurtosis of the weights"]
        self.assertEqual(
            (figure.value, figure.details[0]), ("1.90", "plain: 5.10")
        )

    def test_files_without_a_sweep(self):
        rows = [
            row(
                *("2/8", 0.8),
                run="net",
                sweep="tflite",
                ptq=method,
                details={"codes": 1000, "differing_codes": differing},
            )
            for method, differing in (("minmax", 0), ("adaround", 3))
        ]
        series = series_of([Run("net", rows)])
        files, codes = figures(None, series)
        self.assertEqual(files.value, "2")
        self.assertEqual(codes.value, "3")
        self.assertIn("of 2,000 that 2 of the files put out", codes.details)

    def test_nothing_of_nothing(self):
        self.assertEmpty(figures(None, series_of([Run("net", [])])))


if __name__ == "__main__":
    absltest.main()
