from absl.testing import absltest
from measured import row, seeds_of_one_run

from kure_tf.pages.series import series_of
from kure_tf.pages.tables.draws import calibration_table


def draws(*accuracies):
    return [
        row("4/4", accuracy, calibration_seed=seed, sweep="calibration_seed")
        for seed, accuracy in enumerate(accuracies)
    ]


def line_of(*groups):
    table = calibration_table(series_of(seeds_of_one_run(*groups)))
    (line,) = table.rows
    return [cell.text for cell in line]


class DrawsTest(absltest.TestCase):
    def test_draws_have_mean_deviation_and_ends(self):
        line = line_of([row("4/4", 0.75), *draws(0.70, 0.72)])
        # sd of 70 and 72: 1.41.
        self.assertEqual(line[2:], ["2", "71.0 ± 1.4", "70.0", "72.0"])

    def test_deviation_over_draws_leaves_out_that_of_the_trainings(self):
        line = line_of(draws(0.70, 0.72), draws(0.30, 0.34))
        # sd 1.41 within the first model, 2.83 within the second.
        self.assertEqual(line[2:], ["2", "51.5 ± 2.1", "30.0", "72.0"])


if __name__ == "__main__":
    absltest.main()
