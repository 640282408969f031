import csv
import errno
import io
import json
import os
import pathlib
from unittest import mock

import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from measured import row

from kure_tf.measurements import Report, Run
from kure_tf.pages import save_report, to_html, to_markdown


def make_run(name="KURE", accuracies=None, *, seed=0, examples=10_000, **more):
    """Returns a run with {point: accuracy}."""
    accuracies = accuracies or {"FP/FP": 0.9, "4/FP": 0.8}
    rows = [
        row(point, accuracy, run=name, examples=examples)
        for point, accuracy in accuracies.items()
    ]
    rows += more.pop("rows", [])
    provenance = {"seed": seed, "model": "small_cnn"}
    provenance |= more.pop("provenance", {})
    return Run(name, rows, provenance=provenance, **more)


def full_report():
    counts, edges = np.histogram(np.linspace(-1, 1, 100), 10)
    run = make_run(
        rows=[
            row("4/FP x0.9", 0.7, sweep="step_size"),
            row("4/FP pow2-up", 0.85, sweep="step_size"),
            row("4/FP", 0.83, reestimated_batch_norm=True),
            row(
                "8/8",
                0.89,
                sweep="tflite",
                details={
                    "mode": "int8",
                    "file_size": 123_456,
                    "agreement": 0.991,
                    "accuracy_drop": 0.004,
                },
            ),
        ],
        kurtosis={
            "conv1": {"before": 4.0, "after": 4.1, "regularized": False},
            "conv2": {"before": 5.0, "after": 1.9, "regularized": True},
        },
        histograms={"conv2": {"edges": edges, "counts": counts}},
        provenance={"flags": {"seed": 0, "note": "<b>"}},
        history=[{"epoch": 1, "loss": 0.5}],
    )
    plain = make_run("plain", {"FP/FP": 0.91, "4/FP": 0.6})
    return Report([plain, run], "Title <b>", ["A note & more."])


def table_line(report, *cells):
    """Returns the cells of the Markdown table line that starts with `cells`."""
    for line in to_markdown(report).splitlines():
        found = [cell.strip() for cell in line.strip("|").split("|")]
        if found[: len(cells)] == list(cells):
            return found
    raise AssertionError(f"No line {cells} in:\n{to_markdown(report)}")


class ReportFilesTest(parameterized.TestCase, tf.test.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.get_temp_dir()) / "report"

    def test_save_writes_four_files_and_load_returns_the_same(self):
        report = full_report()

        page = save_report(report, self.folder)

        self.assertEqual(page, self.folder / "report.html")
        self.assertCountEqual(
            os.listdir(self.folder),
            ["report.json", "report.csv", "report.md", "report.html"],
        )
        self.assertEqual(Report.load(self.folder), report)
        self.assertEqual(Report.load(self.folder / "report.json"), report)

    def test_equal_reports_give_equal_pages(self):
        self.assertEqual(to_html(full_report()), to_html(full_report()))

    def test_a_full_disk_leaves_the_old_report(self):
        Report([make_run()], "old").save(self.folder)

        with (
            mock.patch("os.fsync", side_effect=OSError(errno.ENOSPC, "full")),
            self.assertRaisesRegex(OSError, "Could not write .*report.json"),
        ):
            Report([make_run()], "new").save(self.folder)

        self.assertEqual(Report.load(self.folder).title, "old")
        self.assertEqual(os.listdir(self.folder), ["report.json"])

    def test_csv_has_one_line_per_row_with_all_columns(self):
        report = full_report()

        lines = list(csv.DictReader(io.StringIO(report.to_csv())))

        self.assertLen(lines, sum(len(run.rows) for run in report.runs))
        self.assertEqual(
            list(lines[0]),
            "run seed point weight_bits activation_bits step_scale "
            "step_rounding activation_step_scale rounding_mode layer "
            "others calibration_seed ptq scheme reestimated_batch_norm "
            "metric value higher_is_better standard_error examples split "
            "seconds sweep details".split(),
        )
        line = next(x for x in lines if x["step_scale"] == "0.9")
        self.assertEqual(line["activation_bits"], "FP")
        self.assertEqual(float(line["value"]), 0.7)
        self.assertAllClose(float(line["standard_error"]), 0.004583, atol=1e-6)

    def test_missing_report_names_what_is_expected(self):
        with self.assertRaisesRegex(FileNotFoundError, "report.json"):
            Report.load(self.folder)

    @parameterized.named_parameters(
        ("empty", lambda text: "", "not valid JSON"),
        ("truncated", lambda text: text[: len(text) // 2], "truncated"),
        ("nan", lambda text: text.replace("0.8,", "NaN,"), "not valid JSON"),
        ("foreign", lambda text: '{"a": 1}', "kure_tf report"),
        ("a_list", lambda text: "[1, 2]", "kure_tf report"),
        (
            "newer",
            lambda text: text.replace('version": 2', 'version": 99'),
            "schema version 2.*99",
        ),
        (
            "of_before_rows_had_metrics",
            lambda text: text.replace('version": 2', 'version": 1'),
            "schema version 2.*1.*delete it and measure again",
        ),
        (
            "no_point",
            lambda text: text.replace('"4/FP"', '"banana"'),
            r"runs\[0\].rows\[1\].*an operating point.*'banana'",
        ),
        (
            "unknown_member",
            lambda text: text.replace('"split"', '"spilt"'),
            r"runs\[0\].rows\[0\].*Unknown: spilt",
        ),
        (
            "impossible_accuracy",
            lambda text: text.replace("0.8,", "80,"),
            r"runs\[0\].rows\[1\].*value.*in 0..1",
        ),
        (
            "rows_no_list",
            lambda text: text.replace('"rows": [', '"rows": 3, "x": ['),
            r"runs\[0\].*Unknown: x",
        ),
        (
            "rows_missing_name",
            lambda text: text.replace('"name"', '"nmae"'),
            r"runs\[0\].*Missing: name",
        ),
        (
            "notes_no_list",
            lambda text: text.replace('"notes": []', '"notes": {}'),
            "notes to be a list. Received: {}",
        ),
    )
    def test_malformed_files_are_named_with_what_is_wrong(self, spoil, words):
        self.folder.mkdir()
        path = self.folder / "report.json"
        path.write_text(spoil(Report([make_run()]).to_json()))

        with self.assertRaisesRegex(
            ValueError, f"(?s)^(?=.*report.json).*{words}"
        ):
            Report.load(path)

    def test_json_is_plain_and_carries_its_format(self):
        document = json.loads(full_report().to_json())

        self.assertEqual(document["format"], "kure_tf report")
        self.assertEqual(document["schema_version"], 2)


class MarkdownTest(parameterized.TestCase, tf.test.TestCase):
    def test_runs_stand_side_by_side_under_falling_bits(self):
        bits = {"FP/FP": 0.9, "2/FP": 0.1234, "8/FP": 0.88}
        report = Report([make_run("a", bits), make_run("b")])

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

        report = Report([make_run("a", points)])

        header = table_line(report, "Step sizes")
        self.assertEqual(header, ["Step sizes", "Run", "FP", "8/8", "4/4"])
        self.assertNotIn("Weights only", to_markdown(report))

    def test_step_ratios_and_powers_of_two_are_rows(self):
        report = full_report()

        self.assertEqual(table_line(report, "0.90"), ["0.90", "-", "70.0"])
        # The ratio 1 comes from the bit-width sweep.
        self.assertEqual(table_line(report, "1.00"), ["1.00", "60.0", "80.0"])
        self.assertEqual(table_line(report, "pow2-up")[2], "85.0")

    def test_reestimated_batch_norm_is_a_block_of_its_own(self):
        line = table_line(full_report(), "minmax, batch norm re-estimated")

        self.assertEqual(line[1:], ["KURE", "90.0", "83.0"])

    @parameterized.parameters("bit_width", "power_of_two")
    def test_powers_of_two_of_a_sweep_of_bits_are_a_block(self, sweep):
        report = Report([make_run(rows=[row("4/FP pow2", 0.5, sweep=sweep)])])

        self.assertEqual(table_line(report, "minmax, pow2")[3], "50.0")

    def test_steps_that_were_trained_are_called_so(self):
        report = Report([make_run(rows=[row("4/FP", 0.5, ptq="trained")])])

        self.assertEqual(table_line(report, "steps as trained")[3], "50.0")

    def test_the_largest_standard_error_is_stated(self):
        report = Report([make_run("a", {"4/FP": 0.8}, examples=400)])

        # sqrt(0.8 * 0.2 / 400) = 0.02
        text = " ".join(to_markdown(report).split())
        self.assertIn("n = 400 test images: at most 2.00 points", text)

    def test_seeds_of_one_run_give_mean_and_standard_deviation(self):
        runs = [
            make_run("a", {"4/FP": accuracy}, seed=seed)
            for seed, accuracy in enumerate([0.70, 0.72, 0.77])
        ]

        report = Report(runs)

        # Mean 73, deviations -3, -1, 4: sqrt((9 + 1 + 16) / 2) = 3.61
        self.assertEqual(table_line(report, "minmax", "a")[3], "73.0 ± 3.6")
        self.assertIn("3 training seeds", to_markdown(report))

    def test_exported_files_show_size_agreement_and_drop(self):
        self.assertEqual(
            table_line(full_report(), "KURE", "int8")[2:],
            ["89.0", "0.4", "99.1", "123.5 kB"],
        )

    def test_lines_of_a_table_are_of_equal_length(self):
        lines = to_markdown(full_report()).splitlines()
        lengths = {len(line) for line in lines if line.startswith("| 0.90")}
        lengths |= {len(line) for line in lines if line.startswith("| pow2")}

        self.assertLen(lengths, 1)

    def test_provenance_says_common_facts_once(self):
        text = to_markdown(full_report())

        self.assertEqual(text.count("model: small_cnn"), 1)
        self.assertIn("A note & more.", text)

    def test_a_bar_in_a_name_does_not_split_the_cell(self):
        self.assertIn(r"a \| b", to_markdown(Report([make_run("a | b")])))

    def test_a_report_without_rows_says_so(self):
        self.assertIn("holds no accuracies", to_markdown(Report([])))


class MergeTest(parameterized.TestCase, tf.test.TestCase):
    def merged(self, *runs):
        merged = Report.merge([Report([run]) for run in runs])
        for run in merged.runs:
            self.assertEqual({row.run for row in run.rows}, {run.name})
        return [run.name for run in merged.runs]

    def test_runs_of_different_names_stand_side_by_side(self):
        self.assertEqual(self.merged(make_run("a"), make_run("b")), ["a", "b"])

    def test_seeds_of_one_run_keep_their_name(self):
        flags = ["--seed={}", "--epochs=3", "--workdir=runs/{}"]
        runs = [
            make_run(
                seed=seed,
                provenance={
                    "checkpoint_hash": f"{seed}",
                    "flags": [flag.format(seed) for flag in flags],
                },
            )
            for seed in range(2)
        ]

        self.assertEqual(self.merged(*runs), ["KURE", "KURE"])

    def test_other_runs_of_equal_name_get_their_seed(self):
        one = make_run(seed=0, provenance={"epochs": 1})
        two = make_run(seed=1, provenance={"epochs": 2})

        self.assertEqual(
            self.merged(one, two), ["KURE (seed 0)", "KURE (seed 1)"]
        )

    def test_runs_that_seeds_do_not_tell_apart_get_a_number(self):
        one = make_run(provenance={"epochs": 1})
        two = make_run(provenance={"epochs": 2})

        self.assertEqual(
            self.merged(one, make_run("KURE (1)"), two),
            ["KURE (2)", "KURE (1)", "KURE (3)"],
        )

    def test_equal_runs_and_notes_are_taken_once(self):
        report = Report([make_run()], "t", ["note"])

        self.assertEqual(Report.merge([report, report]), report)

    def test_nothing_to_merge_is_an_error(self):
        with self.assertRaisesRegex(ValueError, "at least one report"):
            Report.merge([])

    def test_runs_that_cannot_be_told_apart_are_refused(self):
        with self.assertRaisesRegex(ValueError, "Report.merge"):
            Report([make_run(), make_run()])


if __name__ == "__main__":
    tf.test.main()
