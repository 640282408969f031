from absl.testing import absltest
from measured import row, seeds_of_one_run

from kure_tf.pages.series import series_of
from kure_tf.pages.tables.layers import layer_tables

PLAIN = (row("FP/FP", 0.9), row("8/FP", 0.88), row("4/FP", 0.8))


def tables(*rows):
    """Returns {title after the colon: (table, its texts)}."""
    found = layer_tables(series_of(seeds_of_one_run([*PLAIN, *rows])))
    return {
        table.title.partition(": ")[2]: (
            table,
            [[cell.text for cell in line] for line in table.rows],
        )
        for table in found
    }


class LayersTest(absltest.TestCase):
    def test_layers_are_listed_worst_first_by_what_they_cost(self):
        found = tables(
            row("4/FP", 0.85, layer="x"), row("4/FP", 0.65, layer="y")
        )
        _, lines = found["4/FP, minmax"]
        self.assertEqual(lines, [["y", "65.0", "25.0"], ["x", "85.0", "5.0"]])

    def test_a_perturbed_layer_is_compared_with_the_unperturbed_point(self):
        found = tables(row("4/FP x0.8", 0.77, layer="x", others="4/FP"))
        _, lines = found["4/FP x0.8 among 4/FP, minmax"]
        self.assertEqual(lines, [["x", "77.0", "3.0"]])

    def test_one_layer_among_others_is_compared_with_all_at_their_point(self):
        found = tables(
            row("4/FP", 0.8, layer="x"),
            row("4/FP", 0.6, layer="x", others="8/FP"),
        )
        self.assertEqual(found["4/FP, minmax"][1], [["x", "80.0", "10.0"]])
        table, lines = found["4/FP among 8/FP, minmax"]
        self.assertEqual(lines, [["x", "60.0", "28.0"]])
        self.assertIn("all others at 8/FP", table.caption)

    def test_points_of_the_others_are_found_however_they_are_written(self):
        others = "8/8 x0.9/1.123456789 pow2 half-up"
        found = tables(
            row(others, 0.7), row("4/FP", 0.6, layer="x", others=others)
        )
        ((_, lines),) = found.values()
        self.assertEqual(lines, [["x", "60.0", "10.0"]])

    def test_a_drop_on_another_split_is_not_known(self):
        found = tables(row("4/FP", 0.6, layer="x", split="train"))
        ((_, lines),) = found.values()
        self.assertEqual(lines, [["x", "60.0", "-"]])


if __name__ == "__main__":
    absltest.main()
