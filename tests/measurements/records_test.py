import csv
import io

import numpy as np
from absl.testing import absltest, parameterized
from measured import row, run_of

from kure_tf.measurements import Report
from kure_tf.settings.operating_point import OperatingPoint

COLUMNS = (
    "run seed point weight_bits activation_bits step_scale step_rounding "
    "activation_step_scale rounding_mode grid layer others calibration_seed "
    "ptq placement reestimated_batch_norm metric value higher_is_better "
    "standard_error examples split seconds sweep details".split()
)


def report(name="KURE", **more):
    alone = row("4/FP x0.9", 0.7, run=name, layer="conv", others="8/FP", **more)
    return Report([run_of(name, {"FP/FP": 0.9}, seed=3, rows=[alone])])


class CsvTest(parameterized.TestCase):
    def read(self, report):
        return list(csv.DictReader(io.StringIO(report.to_csv())))

    def test_there_is_one_line_for_each_row_with_all_columns(self):
        in_float, alone = self.read(report())

        self.assertEqual(list(alone), COLUMNS)
        self.assertEqual(in_float["weight_bits"], "FP")
        self.assertEqual((in_float["ptq"], in_float["seed"]), ("", "3"))
        self.assertEqual(alone["point"], "4/FP x0.9")
        self.assertEqual(
            (alone["step_scale"], alone["others"]), ("0.9", "8/FP")
        )
        self.assertEqual(float(alone["value"]), 0.7)
        # sqrt(0.7 * 0.3 / 10,000)
        self.assertAlmostEqual(float(alone["standard_error"]), 0.004583)

    def test_every_field_of_an_operating_point_is_a_column(self):
        """A new dimension needs nothing here."""
        self.assertContainsSubset(vars(OperatingPoint()), COLUMNS)

    @parameterized.parameters(
        "=HYPERLINK(1)", "+1", "-1", "@SUM(1)", "\t=1", "\n=1"
    )
    def test_text_that_spreadsheets_would_run_is_not_run(self, text):
        _, alone = self.read(report(ptq=text))

        self.assertEqual(alone["ptq"], f"'{text}")

    def test_numbers_stay_numbers(self):
        loss = row("8/FP", -1.5, metric="gain", standard_error=0.25)

        (line,) = self.read(Report([run_of("KURE", {}, rows=[loss])]))

        self.assertEqual(
            (line["value"], line["standard_error"]), ("-1.5", "0.25")
        )

    def test_a_break_in_a_name_does_not_break_the_line(self):
        for text in ("a\nb,c", "a\rb,c"):
            lines = self.read(report(text))

            self.assertEqual([line["run"] for line in lines], ["a\nb,c"] * 2)


class FrameTest(absltest.TestCase):
    def test_a_frame_holds_the_rows_or_says_what_to_install(self):
        try:
            import pandas  # noqa: F401
        except ImportError:
            with self.assertRaisesRegex(ImportError, "kure-tf.frames"):
                report().to_frame()
            return

        frame = report("=1").to_frame()

        self.assertEqual(list(frame.columns), COLUMNS)
        self.assertEqual(frame["run"].tolist(), ["=1", "=1"])
        self.assertEqual(frame["point"].tolist(), ["FP/FP", "4/FP x0.9"])
        self.assertTrue(np.isnan(frame["weight_bits"][0]))
        self.assertEqual(frame["weight_bits"][1], 4)
        self.assertAlmostEqual(frame["value"].mean(), 0.8)


if __name__ == "__main__":
    absltest.main()
