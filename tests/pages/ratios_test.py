from absl.testing import absltest
from measured import row, seeds_of_one_run

from kure_tf.pages.dimensions import RATIOS, STEPS
from kure_tf.pages.series import series_of
from kure_tf.pages.tables.ratios import ratio_tables

_, ACTIVATIONS, JOINT = RATIOS


def tables(ratio, *groups):
    """Returns [(table, its texts)] of runs that are seeds of one."""
    found = ratio_tables(series_of(seeds_of_one_run(*groups)), ratio)
    return [
        (table, [[cell.text for cell in line] for line in table.rows])
        for table in found
    ]


class RatiosTest(absltest.TestCase):
    def test_ratio_1_is_the_point_itself(self):
        rows = [row("4/FP", 0.8), row("4/FP x0.7", 0.4), row("4/FP x1.2", 0.7)]
        ((table, lines),) = tables(STEPS, rows)
        self.assertEqual(table.title, "Step ratio: minmax")
        self.assertEqual(
            lines, [["0.70", "40.0"], ["1.00", "80.0"], ["1.20", "70.0"]]
        )

    def test_the_sweep_s_name_says_nothing(self):
        rows = [row("4/4 x1/0.7", 0.5, sweep="step_size")]
        self.assertEqual(tables(STEPS, rows), [])
        ((_, lines),) = tables(ACTIVATIONS, rows)
        self.assertEqual(lines, [["0.70", "50.0"]])

    def test_unknown_sweeps_have_tables_of_their_own(self):
        rows = [row("4/FP x0.7", 0.5), row("4/FP x0.7", 0.6, sweep="mine")]
        titles = [table.title for table, _ in tables(STEPS, rows)]
        self.assertEqual(
            titles, ["Step ratio: minmax", "Step ratio: minmax, mine"]
        )

    def test_ratios_are_joint_only_where_both_are_equal(self):
        rows = [row("4/4 x1.2/1.2", 0.6), row("4/4 x1.1/1.2", 0.8)]
        ((_, joint),) = tables(JOINT, rows)
        self.assertEqual(joint, [["1.20", "60.0"]])
        ((table, lines),) = tables(ACTIVATIONS, rows)
        self.assertEqual(table.header[1], "4/4 x1.1\nKURE")
        self.assertEqual(lines, [["1.20", "80.0"]])

    def test_rounded_steps_are_columns_of_their_own(self):
        rows = [row("4/4 x1/1.1", 0.7), row("4/4 x1/1.1 pow2", 0.3)]
        ((table, lines),) = tables(ACTIVATIONS, rows)
        self.assertEqual(table.header[1:], ("4/4\nKURE", "4/4 pow2\nKURE"))
        self.assertEqual(lines, [["1.10", "70.0", "30.0"]])

    def test_a_measurement_repeated_on_more_examples_is_not_averaged(self):
        few = row("4/4 x1/1.1", 0.1, examples=100)
        ((_, lines),) = tables(ACTIVATIONS, [row("4/4 x1/1.1", 0.7), few])
        self.assertEqual(lines, [["1.10", "70.0"]])

    def test_placements_that_differ_are_in_the_titles(self):
        rows = [
            row("4/FP x0.9", 0.7, placement="paper"),
            row("4/FP x0.9", 0.6, placement="tflite"),
        ]
        titles = [table.title for table, _ in tables(STEPS, rows)]
        self.assertEqual(
            titles,
            [
                "Step ratio: minmax, paper placement",
                "Step ratio: minmax, tflite placement",
            ],
        )

    def test_seeds_have_a_mean_and_a_deviation(self):
        groups = [[row("4/FP x0.9", a)] for a in (0.70, 0.72, 0.77)]
        ((table, lines),) = tables(STEPS, *groups)
        # Mean 73, deviations -3, -1, 4: sqrt((9 + 1 + 16) / 2) = 3.61
        self.assertEqual(lines, [["0.90", "73.0 ± 3.6"]])
        self.assertIn("over 3 training seeds", table.caption)


if __name__ == "__main__":
    absltest.main()
