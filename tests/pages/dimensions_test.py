import dataclasses

import tensorflow as tf
from measured import row as _row

from kure_tf.measurements import Report, Run
from kure_tf.pages import to_html, to_markdown
from kure_tf.pages.series import places_of, series_of
from kure_tf.pages.tables.ratios import dimension_tables

PLAIN = (_row("FP/FP", 0.9), _row("4/FP", 0.8), _row("4/4", 0.75))
MORE = (
    _row("4/FP floor", 0.6, sweep="rounding_mode"),
    _row("4/FP stochastic:0", 0.70, sweep="rounding_mode"),
    _row("4/FP stochastic:1", 0.74, sweep="bit_width"),
    _row("4/FP", 0.85, layer="x", sweep="sensitivity"),
    _row("4/FP", 0.65, layer="y", sweep="sensitivity"),
    _row("4/FP x0.8", 0.77, layer="x", others="4/FP", sweep="sensitivity"),
    _row("4/4", 0.70, calibration_seed=1, sweep="calibration_seed"),
    _row("4/4", 0.72, calibration_seed=2, sweep="calibration_seed"),
    _row("4/4 x1/0.7", 0.50, sweep="mine"),
    _row("4/FP x0.7", 0.40, sweep="clipping"),
)


def _report(*rows):
    return Report([Run("KURE", rows)])


def _lines(title, runs=None):
    runs = runs or _report(*PLAIN, *MORE).runs
    (table,) = [
        table
        for table in dimension_tables(series_of(runs))
        if table.title.startswith(title)
    ]
    return table, [[cell.text for cell in row] for row in table.rows]


def _seeds(*groups):
    """Returns runs that repeat one training: rows of each."""
    return [
        Run("KURE", rows, provenance={"seed": seed})
        for seed, rows in enumerate(groups)
    ]


def _ratios(accuracy, weights, activations, rest="", **more):
    return _row(f"4/4 x{weights}/{activations} {rest}", accuracy, **more)


class DimensionsTest(tf.test.TestCase):
    def test_other_tables_and_the_summary_do_not_change(self):
        layers = [row for row in MORE if row.layer is not None]
        others = [row for row in MORE if row.layer is None]
        # Margins name the layers that cost most.
        plain = _report(*PLAIN, *layers)
        more = _report(*PLAIN, *layers, *others)
        self.assertEqual(
            places_of(series_of(plain.runs)), places_of(series_of(more.runs))
        )
        kept = to_markdown(more).split("## Step ratio of the activations")[0]
        alone = to_markdown(plain).split("## Sensitivity of layers")[0]
        self.assertEqual(kept.strip(), alone.strip())

    def test_rounding_modes_are_columns_and_seeds_are_pooled(self):
        table, lines = _lines("Rounding mode")
        self.assertEqual(table.header[2:], ("nearest", "floor", "stochastic"))
        # sd of 70 and 74: 2.83.
        self.assertEqual(lines[0][2:], ["80.0", "60.0", "72.0 ± 2.8"])

    def test_layers_are_listed_worst_first_by_what_they_cost(self):
        _, lines = _lines("Sensitivity of layers: 4/FP, minmax")
        self.assertEqual(lines, [["y", "65.0", "25.0"], ["x", "85.0", "5.0"]])

    def test_a_perturbed_layer_is_compared_with_the_unperturbed_point(self):
        _, lines = _lines("Sensitivity of layers: 4/FP x0.8")
        self.assertEqual(lines, [["x", "77.0", "3.0"]])

    def test_calibration_draws_have_mean_deviation_and_ends(self):
        _, lines = _lines("Other draws")
        self.assertEqual(lines[0][2:], ["2", "71.0 ± 1.4", "70.0", "72.0"])

    def test_ratios_of_activations_and_clips_are_tables_of_their_own(self):
        self.assertEqual(_lines("Step ratio of the act")[1], [["0.70", "50.0"]])
        self.assertEqual(_lines("Clipping ratio")[1], [["0.70", "40.0"]])

    def test_modes_at_other_steps_are_lines_of_their_own(self):
        rows = [
            _row("4/FP floor", 0.9),
            _row("4/FP x0.7 floor", 0.5),
            _row("4/FP x0.7", 0.6, sweep="step_size"),
            _row("4/FP pow2-up floor", 0.4),
        ]
        table, lines = _lines("Rounding mode", _seeds(rows))
        self.assertEqual(table.header[2:], ("nearest", "floor"))
        self.assertEqual(
            lines,
            [
                ["W4, minmax", "KURE", "-", "90.0"],
                ["W4 x0.7, minmax", "KURE", "60.0", "50.0"],
                ["W4 pow2-up, minmax", "KURE", "-", "40.0"],
            ],
        )

    def test_ratios_are_joint_only_where_both_are_equal(self):
        runs = _seeds([_ratios(0.6, 1.2, 1.2), _ratios(0.8, 1.1, 1.2)])
        self.assertEqual(
            _lines("Step ratio of weights and", runs)[1], [["1.20", "60.0"]]
        )
        table, lines = _lines("Step ratio of the act", runs)
        self.assertEqual(table.header[1], "4/4 x1.1, minmax\nKURE")
        self.assertEqual(lines, [["1.20", "80.0"]])

    def test_rounded_steps_are_columns_of_their_own(self):
        rows = [
            _ratios(0.7, 1, 1.1),
            _ratios(0.3, 1, 1.1, "pow2"),
        ]
        table, lines = _lines("Step ratio of the act", _seeds(rows))
        self.assertEqual(
            table.header[1:], ("4/4, minmax\nKURE", "4/4 pow2, minmax\nKURE")
        )
        self.assertEqual(lines, [["1.10", "70.0", "30.0"]])

    def test_a_measurement_repeated_on_more_images_is_not_averaged(self):
        few = dataclasses.replace(_ratios(0.1, 1, 1.1), examples=100)
        _, lines = _lines("Step ratio of", _seeds([_ratios(0.7, 1, 1.1), few]))
        self.assertEqual(lines, [["1.10", "70.0"]])

    def test_deviation_over_draws_leaves_out_that_of_the_trainings(self):
        def draws(*accuracies, **more):
            return [
                _row("4/4", a, calibration_seed=seed, **more)
                for seed, a in enumerate(accuracies)
            ]

        runs = _seeds(draws(0.70, 0.72), draws(0.30, 0.34))
        # sd 1.41 within the first model, 2.83 within the second.
        _, lines = _lines("Other draws", runs)
        self.assertEqual(lines[0][2:], ["2", "51.5 ± 2.1", "30.0", "72.0"])

    def test_deviation_over_stochastic_seeds_is_within_one_model(self):
        def modes(*accuracies):
            return [
                _row(f"4/FP stochastic:{seed}", a)
                for seed, a in enumerate(accuracies)
            ]

        runs = _seeds(modes(0.70, 0.72), modes(0.30, 0.34))
        _, lines = _lines("Rounding mode", runs)
        self.assertEqual(lines[0][2:], ["51.5 ± 2.1"])

    def test_schemes_and_splits_that_differ_are_in_the_labels(self):
        rows = [
            _ratios(0.7, 1, 1.1, scheme="paper"),
            _ratios(0.6, 1, 1.1, scheme="tflite"),
        ]
        table, _ = _lines("Step ratio of the act", _seeds(rows))
        self.assertEqual(
            table.header[1:],
            (
                "4/4, minmax, paper scheme\nKURE",
                "4/4, minmax, tflite scheme\nKURE",
            ),
        )

    def test_one_layer_among_others_is_compared_with_all_at_their_point(self):
        rows = [
            _row("FP/FP", 0.95),
            _row("8/FP", 0.9),
            _row("4/FP", 0.8, layer="x"),
            _row("4/FP", 0.6, layer="x", others="8/FP"),
        ]
        runs = _seeds(rows)
        _, alone = _lines("Sensitivity of layers: 4/FP, minmax", runs)
        self.assertEqual(alone, [["x", "80.0", "15.0"]])
        table, among = _lines("Sensitivity of layers: 4/FP among 8/FP", runs)
        self.assertEqual(among, [["x", "60.0", "30.0"]])
        self.assertIn("all others at 8/FP", table.caption)

    def test_the_page_shows_the_profile(self):
        page = to_html(_report(*PLAIN, *MORE))
        self.assertIn("Sensitivity of single layers", page)
        self.assertIn("Rounding mode of the quantizer", page)
        self.assertIn("Clipping ratio: W4, minmax", page)
        self.assertNotIn("Sensitivity", to_html(_report(*PLAIN)))


if __name__ == "__main__":
    tf.test.main()
