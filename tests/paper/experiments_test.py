import json
import os
import pathlib

import tensorflow as tf
from absl.testing import parameterized
from measured import row as row_at

from kure_tf.measurements import Report, Run
from kure_tf.paper import experiments
from kure_tf.paper.experiments import claims, columns, panel, published
from kure_tf.paper.experiments.values import Value, accuracy


def row(accuracy, weights, activations=None, rest="", **more):
    """Returns a row; `rest` is what its point says after the bits."""
    point = f"{weights or 'FP'}/{activations or 'FP'} {rest}"
    ptq = None if weights is None else "lapq"
    values = {"run": "model", "examples": 100, "ptq": ptq}
    return row_at(point, accuracy, **(values | more))


class ValuesTest(tf.test.TestCase):
    def test_error_of_one_seed_is_binomial(self):
        value = accuracy([0.9], 100)

        self.assertAllClose((value.mean, value.standard_error), (90.0, 3.0))
        self.assertIsNone(value.standard_deviation)

    def test_error_of_seeds_adds_their_scatter(self):
        value = accuracy([0.4, 0.6], 10_000)

        deviation = 100 * (0.02**0.5)
        self.assertAllClose(value.standard_deviation, deviation)
        self.assertAllClose(
            value.standard_error, (0.25 + deviation**2 / 2) ** 0.5, rtol=1e-6
        )


class ClaimsTest(tf.test.TestCase, parameterized.TestCase):
    PAPER = {
        "A": {"x": Value(70.0), "y": Value(60.0)},
        "B": {"x": Value(50.0), "y": Value(50.0)},
    }

    @parameterized.parameters(
        (60.0, 50.0, 1.0, claims.AGREES),
        (50.0, 60.0, 1.0, claims.DIFFERS),
        (51.0, 50.0, 1.0, claims.TOO_CLOSE),
    )
    def test_lead_is_judged_by_two_standard_errors(
        self, subject, rival, error, verdict
    ):
        ours = {"A": {"x": Value(subject, error)}, "B": {"x": Value(rival)}}

        found = claims.Lead("A", "B", "At x", ("x",)).check(self.PAPER, ours)

        self.assertEqual(found.verdict, verdict)
        self.assertIn("paper +20.0 points", found.text)

    def test_lead_is_the_mean_over_shared_columns(self):
        lead = claims.Lead("A", "B", "Everywhere").check(self.PAPER, self.PAPER)

        self.assertIn("paper +15.0 points, here +15.0 points", lead.text)

    def test_lead_of_what_is_missing_is_not_measured(self):
        lead = claims.Lead("A", "B", "At x").check(self.PAPER, {"A": {}})

        self.assertEqual(lead.verdict, claims.NOT_MEASURED)

    def test_lead_without_numbers_has_a_sign(self):
        ours = {"A": {"x": Value(1.0)}, "B": {"x": Value(2.0)}}
        claim = claims.Lead("A", "B", "At x", unit="", expected=1.0)

        found = claim.check({}, ours)

        self.assertEqual(found.verdict, claims.DIFFERS)
        self.assertIn("ahead by its words", found.text)

    @parameterized.parameters(
        ((3.0, 2.0, 1.0), claims.AGREES),
        ((2.0, 3.0, 1.0), claims.DIFFERS),
        ((2.95, 3.0, 1.0), claims.TOO_CLOSE),
    )
    def test_order(self, values, verdict):
        runs = ("a", "b", "c")
        ours = {
            run: {"W3": Value(value, 0.1)}
            for run, value in zip(runs, values, strict=True)
        }

        found = claims.Order(runs, "W3").check({}, ours)

        self.assertEqual(found.verdict, verdict)
        self.assertIn("paper a > b > c", found.text)

    def test_order_follows_published_numbers_where_there_are_some(self):
        runs = ("a", "b")
        paper = {"a": {"W3": Value(1.0)}, "b": {"W3": Value(2.0)}}

        found = claims.Order(runs, "W3").check(paper, paper)

        self.assertEqual(found.verdict, claims.AGREES)
        self.assertIn("paper b > a; here b > a", found.text)

    @parameterized.parameters(
        (0.2, claims.AGREES), (0.9, claims.DIFFERS), (None, "not measured")
    )
    def test_scatter(self, deviation, verdict):
        paper = {"a": {"4/4": Value(68.4, 0.0, 0.09)}}
        ours = {"a": {"4/4": Value(80.0, 0.1, deviation)}}

        found = claims.Scatter("a", "4/4").check(paper, ours)

        self.assertEqual(found.verdict, verdict)


class ColumnsTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(
        (columns.weight_bits(), row(0.5, 3), "W3"),
        (columns.weight_bits(), row(0.5, None), "FP"),
        (columns.weight_bits(), row(0.5, 3, 3), None),
        (columns.weight_bits(), row(0.5, 3, rest="x1.1"), None),
        (columns.any_bits, row(0.5, 4, 4), "4/4"),
        (columns.any_bits, row(0.5, 4), "4/FP"),
        (columns.any_bits, row(0.5, None), "FP"),
        (columns.any_bits, row(0.5, 4, rest="floor"), None),
        (columns.weight_bits(4), row(0.5, 3, 4), "W3"),
        (columns.weight_bits(4), row(0.5, 3), None),
        (columns.step_ratio(4), row(0.5, 4, rest="x1.05"), "1.05"),
        (columns.step_ratio(4), row(0.5, 3, rest="x1.05"), None),
        (columns.step_ratio(4), row(0.5, 4, sweep="reference_parity"), None),
        (
            columns.step_ratio(4, parity=True),
            row(0.5, 4, rest="x0.9", sweep="reference_parity"),
            "0.9",
        ),
        (columns.power_of_two, row(0.5, 4, rest="pow2"), "W4 pow2"),
        (columns.power_of_two, row(0.5, 4, rest="pow2-up"), None),
        (columns.power_of_two, row(0.5, 4), "W4"),
    )
    def test_column_of_a_row(self, column_of, one, expected):
        self.assertEqual(column_of(one), expected)

    def test_ratios_of_the_inverse_step_are_turned_over(self):
        self.assertEqual(
            published.ratio_columns([0.8, 1.0], of_inverse=True), ["1.25", "1"]
        )

    def test_numbers_of_table_1_are_the_papers(self):
        table = experiments.get("table1", "digits").panels[0].published

        self.assertAllClose(table["KURE"]["2/FP"].mean, 40.2)
        self.assertAllClose(table["no regularization"]["4/4"].mean, 59.8)

    def test_what_was_not_published_is_left_out(self):
        panels = experiments.get("table1", "imagenet").panels
        mobile = next(p for p in panels if "mobilenet" in p.title)

        self.assertNotIn("2/FP", mobile.published["KURE"])


class ExperimentsTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(*experiments.NAMES)
    def test_measured_like_the_paper_it_agrees(self, name):
        """Our side is made from the paper's: every claim has to hold."""
        experiment = experiments.get(name, "digits")
        for one in experiment.panels:
            if one.unit != "%":
                continue
            for claim in one.claims:
                found = claim.check(one.published, one.published)
                self.assertIn(
                    found.verdict, (claims.AGREES, claims.TOO_CLOSE), found
                )

    def test_unknown_names_are_refused(self):
        with self.assertRaisesRegex(ValueError, "fig3b.*'fig7'"):
            experiments.get("fig7", "digits")
        with self.assertRaisesRegex(ValueError, "imagenet.*'mnist'"):
            experiments.get("fig2", "mnist")


class CollectTest(tf.test.TestCase, parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.get_temp_dir()) / self.id()

    def _write(self, model, sweep, *rows):
        run = Run("model", rows, provenance={"ptq": ["lp_norm p=2", "lapq"]})
        Report((run,)).save(self.folder / model / sweep)

    def _write_table_1(self):
        for model, lead in (("plain", 0.0), ("kure", 0.1)):
            self._write(
                model,
                "lapq",
                row(0.9, None),
                row(0.1, 3, ptq="lp_norm p=2"),
                row(0.7 + lead, 3),
                row(0.99, 3, reestimated_batch_norm=True),
                row(0.6 + lead, 4, 4),
            )
        return experiments.collect(
            experiments.get("table1", "digits"), "digits", self.folder
        )

    def test_takes_the_last_method_with_batch_norm_as_trained(self):
        (one,) = self._write_table_1().panels

        self.assertAllClose(one.measured["KURE"]["3/FP"].mean, 80.0)
        self.assertAllClose(one.measured["KURE"]["FP"].mean, 90.0)
        self.assertEqual(one.details, "100 test images")

    def test_verdicts_make_the_sentence(self):
        outcome = self._write_table_1()

        verdicts = [v.verdict for v in outcome.panels[0].verdicts]
        self.assertEqual(
            verdicts,
            [
                claims.TOO_CLOSE,
                claims.TOO_CLOSE,  # 10 points, of 100 images.
                claims.NOT_MEASURED,
                claims.TOO_CLOSE,
            ],
        )
        self.assertIn("does not contradict", outcome.sentence)

    def test_seeds_are_averaged(self):
        experiment = experiments.get("tableA6", "digits")
        models = [model for model, _ in experiment.sweeps()]
        for model, found in zip(models, (0.8, 0.7, 0.6), strict=True):
            self._write(model, "trained_steps", row(found, 4, 4))

        outcome = experiments.collect(experiment, "digits", self.folder)

        value = outcome.panels[0].measured[panel.KURE]["4/4"]
        self.assertAllClose(value.mean, 70.0)
        self.assertAllClose(value.standard_deviation, 10.0)

    def test_a_missing_measurement_is_named(self):
        with self.assertRaisesRegex(FileNotFoundError, "plain/lapq"):
            experiments.collect(
                experiments.get("table1", "digits"), "digits", self.folder
            )

    def test_weights_are_read_by_quantity(self):
        for model, found in (
            ("kurtosis_1.6", 1.7),
            ("kure", 1.9),
            ("kurtosis_3", 3.1),
            ("kurtosis_6", 5.0),
        ):
            content = {
                "layer": "conv2/kernel",
                "kurtosis": found,
                "sensitivity": {"0.8": found, "1.2": found, "1.5": found},
            }
            path = self.folder / model / "weights.json"
            os.makedirs(path.parent)
            path.write_text(json.dumps(content))

        shape = experiments.collect(
            experiments.get("fig3a", "digits"), "digits", self.folder
        )
        cost = experiments.collect(
            experiments.get("fig3c", "digits"), "digits", self.folder
        )

        self.assertIn("The shape agrees", shape.sentence)
        self.assertLen(cost.panels[0].verdicts, 3)
        self.assertIn("The shape agrees", cost.sentence)

    def test_saved_files_hold_both_sides(self):
        outcome = self._write_table_1()

        page = experiments.save(outcome, self.folder)
        index = experiments.save_index([outcome], self.folder)

        document = json.loads((self.folder / "table1.json").read_text())
        (one,) = document["panels"]
        self.assertAllClose(
            one["published"]["KURE"]["3/FP"]["mean"], 62.6, atol=1e-6
        )
        self.assertAllClose(one["measured"]["KURE"]["3/FP"]["mean"], 80.0)
        text = (self.folder / "table1.md").read_text()
        self.assertRegex(text, r"paper +\| no regularization +\| +69.7")
        self.assertIn("<table", page.read_text())
        self.assertIn('href="table1.html"', index.read_text())

    def test_curves_are_drawn_on_both_sides(self):
        for model in ("lsq_plain", "lsq_kure"):
            run = Run(
                "model",
                (row(0.5, 3, 4, ptq="trained"), row(0.6, 4, 4, ptq="trained")),
                provenance={"ptq": ["trained"]},
            )
            Report((run,)).save(self.folder / model / "trained_bits")
        experiment = experiments.get("fig5", "digits")

        page = experiments.save(
            experiments.collect(experiment, "digits", self.folder),
            self.folder,
        )

        self.assertEqual(page.read_text().count("<figure>"), 2)


if __name__ == "__main__":
    tf.test.main()
