from absl.testing import absltest
from measured import row, seeds_of_one_run

from kure_tf.pages.series import places_of, series_of
from kure_tf.pages.tables.choices import choice_tables


def table_of(*groups):
    """Returns the table, and its texts, of runs that are seeds of one."""
    (table,) = choice_tables(series_of(seeds_of_one_run(*groups)))
    return table, [[cell.text for cell in line] for line in table.rows]


class ChoicesTest(absltest.TestCase):
    def test_rounding_modes_are_columns_and_seeds_are_pooled(self):
        table, lines = table_of(
            [
                row("4/FP", 0.8),
                row("4/FP floor", 0.6, sweep="rounding_mode"),
                row("4/FP stochastic:0", 0.70, sweep="rounding_mode"),
                row("4/FP stochastic:1", 0.74, sweep="bit_width"),
            ]
        )
        self.assertEqual(table.header[2:], ("nearest", "floor", "stochastic"))
        # sd of 70 and 74: 2.83.
        self.assertEqual(lines[0][2:], ["80.0", "60.0", "72.0 ± 2.8"])

    def test_modes_at_other_steps_are_lines_of_their_own(self):
        table, lines = table_of(
            [
                row("4/FP floor", 0.9),
                row("4/FP x0.7 floor", 0.5),
                row("4/FP x0.7", 0.6),
                row("4/FP pow2-up half-up", 0.4),
            ]
        )
        self.assertEqual(table.header[2:], ("nearest", "floor", "half up"))
        self.assertEqual(
            lines,
            [
                ["W4, minmax", "KURE", "-", "90.0", "-"],
                ["W4 x0.7, minmax", "KURE", "60.0", "50.0", "-"],
                ["W4 pow2-up, minmax", "KURE", "-", "-", "40.0"],
            ],
        )

    def test_grids_are_columns(self):
        table, lines = table_of(
            [
                row("4/FP full", 0.7, sweep="grid"),
                row("4/FP", 0.8),
                row("4/FP x0.7", 0.6),
                row("4/FP x0.7 full", 0.5),
            ]
        )
        self.assertEqual(table.title, "Grid of the weights")
        self.assertEqual(table.header[2:], ("narrow", "full"))
        self.assertEqual(
            lines,
            [
                ["W4, minmax", "KURE", "80.0", "70.0"],
                ["W4 x0.7, minmax", "KURE", "60.0", "50.0"],
            ],
        )

    def test_deviation_over_stochastic_seeds_is_within_one_model(self):
        def modes(*accuracies):
            return [
                row(f"4/FP stochastic:{seed}", accuracy)
                for seed, accuracy in enumerate(accuracies)
            ]

        _, lines = table_of(modes(0.70, 0.72), modes(0.30, 0.34))
        # sd 1.41 within the first model, 2.83 within the second.
        self.assertEqual(lines[0][2:], ["51.5 ± 2.1"])

    def test_they_are_no_points_of_the_tables_of_bits(self):
        runs = seeds_of_one_run([row("4/FP", 0.8), row("4/FP floor", 0.6)])
        places = places_of(series_of(runs))
        self.assertEqual([str(place.point) for place in places], ["4/FP"])


if __name__ == "__main__":
    absltest.main()
