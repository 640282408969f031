from absl.testing import absltest, parameterized
from measured import full_report, row, run_of

from kure_tf.measurements import Report
from kure_tf.pages import to_markdown

POINTS = {"FP/FP": 0.9, "4/FP": 0.8}


def table_line(report, *cells):
    """Returns the cells of the Markdown table line that starts with `cells`."""
    for line in to_markdown(report).splitlines():
        found = [cell.strip() for cell in line.strip("|").split("|")]
        if found[: len(cells)] == list(cells):
            return found
    raise AssertionError(f"No line {cells} in:\n{to_markdown(report)}")


class MarkdownTest(parameterized.TestCase):
    def test_runs_stand_side_by_side_under_falling_bits(self):
        bits = {"FP/FP": 0.9, "2/FP": 0.1234, "8/FP": 0.88}
        report = Report([run_of("a", bits), run_of("b", POINTS)])

        header = table_line(report, "Step sizes", "Run")
        self.assertEqual(header[2:], ["FP", "W8", "W4", "W2"])
        self.assertEqual(
            table_line(report, "minmax", "a")[2:], ["90.0", "88.0", "-", "12.3"]
        )
        self.assertEqual(
            table_line(report, "", "b")[2:], ["90.0", "-", "80.0", "-"]
        )

    def test_weights_and_activations_have_their_own_table(self):
        points = {"FP/FP": 0.9, "4/4": 0.5, "8/8": 0.7}

        report = Report([run_of("a", points)])

        header = table_line(report, "Step sizes")
        self.assertEqual(header, ["Step sizes", "Run", "FP", "8/8", "4/4"])
        self.assertNotIn("Weights only", to_markdown(report))

    def test_step_ratios_are_rows(self):
        report = full_report()

        self.assertEqual(table_line(report, "0.90"), ["0.90", "-", "70.0"])
        # The ratio 1 comes from the bit-width sweep.
        self.assertEqual(table_line(report, "1.00"), ["1.00", "60.0", "80.0"])

    def test_reestimated_batch_norm_is_a_block_of_its_own(self):
        line = table_line(full_report(), "minmax, batch norm re-estimated")

        self.assertEqual(line[1:], ["KURE", "90.0", "83.0"])

    @parameterized.parameters("bit_width", "power_of_two")
    def test_powers_of_two_of_a_sweep_of_bits_are_a_block(self, sweep):
        report = Report(
            [run_of("KURE", POINTS, rows=[row("4/FP pow2", 0.5, sweep=sweep)])]
        )

        self.assertEqual(table_line(report, "minmax, pow2")[3], "50.0")

    def test_steps_that_were_trained_are_called_so(self):
        report = Report(
            [run_of("KURE", POINTS, rows=[row("4/FP", 0.5, ptq="trained")])]
        )

        self.assertEqual(table_line(report, "steps as trained")[3], "50.0")

    def test_the_largest_standard_error_is_stated(self):
        report = Report([run_of("a", {"4/FP": 0.8}, examples=400)])

        # sqrt(0.8 * 0.2 / 400) = 0.02
        text = " ".join(to_markdown(report).split())
        self.assertIn("n = 400 test examples: at most 2.00 points", text)

    def test_seeds_of_one_run_give_mean_and_standard_deviation(self):
        runs = [
            run_of("a", {"4/FP": accuracy}, seed=seed)
            for seed, accuracy in enumerate([0.70, 0.72, 0.77])
        ]

        report = Report(runs)

        # Mean 73, deviations -3, -1, 4: sqrt((9 + 1 + 16) / 2) = 3.61
        self.assertEqual(table_line(report, "minmax", "a")[3], "73.0 ± 3.6")
        self.assertIn("3 training seeds", to_markdown(report))

    def test_exported_files_show_size_agreement_and_drop(self):
        self.assertEqual(
            table_line(full_report(), "KURE", "int8")[2:],
            ["89.0", "0.4", "99.1", "-", "123.5 kB", "-"],
        )

    def test_lines_of_a_table_are_of_equal_length(self):
        lines = to_markdown(full_report()).splitlines()
        first = next(i for i, x in enumerate(lines) if x.startswith("| Ratio"))
        lengths = {len(line) for line in lines[first : first + 4]}

        self.assertLen(lengths, 1)

    def test_provenance_says_common_facts_once(self):
        text = to_markdown(full_report())

        self.assertEqual(text.count("model: small_cnn"), 1)
        self.assertIn("A note & more.", text)

    def test_texts_cannot_leave_their_cells_nor_become_html(self):
        name = "a | b\\|c\n| d |\n<script>\n# z"
        run = run_of(name, POINTS, provenance={"model": "<img src=x>"})

        text = to_markdown(Report([run], "<h1>\n# x", ["<b>", "n\n# y"]))

        self.assertIn(r"| a \| b\\\|c \| d \| &lt;script> # z |", text)
        self.assertNotIn("<", text)
        self.assertNotRegex(text, r"(?m)^# [xyz]")

    def test_a_report_without_rows_says_so(self):
        self.assertIn("holds no measurements", to_markdown(Report([])))


if __name__ == "__main__":
    absltest.main()
