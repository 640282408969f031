import tensorflow as tf

from kure_tf.report import Report, Row, Run
from kure_tf.report.dimension_tables import dimension_tables
from kure_tf.report.series import places_of, series_of


def _row(accuracy, bits=(4, None), **more):
    weight_bits, activation_bits = bits
    scale = f" x{more['step_scale']}" if "step_scale" in more else ""
    return Row(
        run="KURE",
        point=f"{weight_bits or 'FP'}/{activation_bits or 'FP'}{scale}",
        weight_bits=weight_bits,
        activation_bits=activation_bits,
        ptq=weight_bits and "minmax",
        accuracy=accuracy,
        images=10_000,
        **more,
    )


PLAIN = (_row(0.9, (None, None)), _row(0.8), _row(0.75, (4, 4)))
MORE = (
    _row(0.6, rounding_mode="floor", sweep="rounding_mode"),
    _row(0.70, rounding_mode="stochastic:0", sweep="rounding_mode"),
    _row(0.74, rounding_mode="stochastic:1", sweep="bit_width"),
    _row(0.85, layer="x", sweep="sensitivity"),
    _row(0.65, layer="y", sweep="sensitivity"),
    _row(0.77, layer="x", step_scale=0.8, sweep="sensitivity"),
    _row(0.70, (4, 4), calibration_seed=1, sweep="calibration_seed"),
    _row(0.72, (4, 4), calibration_seed=2, sweep="calibration_seed"),
    _row(0.50, (4, 4), activation_step_scale=0.7, sweep="mine"),
    _row(0.40, step_scale=0.7, sweep="clipping"),
)


def _report(*rows):
    return Report([Run("KURE", rows)])


def _lines(title):
    (table,) = [
        table
        for table in dimension_tables(series_of(_report(*PLAIN, *MORE).runs))
        if table.title.startswith(title)
    ]
    return table, [[cell.text for cell in row] for row in table.rows]


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
        kept = more.to_markdown().split("## Step ratio of the activations")[0]
        alone = plain.to_markdown().split("## Sensitivity of layers")[0]
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

    def test_the_page_shows_the_profile(self):
        page = _report(*PLAIN, *MORE).to_html()
        self.assertIn("Sensitivity of single layers", page)
        self.assertIn("Rounding mode of the quantizer", page)
        self.assertIn("Clipping ratio: W4, minmax", page)
        self.assertNotIn("Sensitivity", _report(*PLAIN).to_html())


if __name__ == "__main__":
    tf.test.main()
