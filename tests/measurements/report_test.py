import errno
import json
import os
import pathlib
import tempfile
from unittest import mock

from absl.testing import absltest, parameterized
from measured import full_report, run_of

from kure_tf.measurements import Report

RUN = run_of("KURE", {"FP/FP": 0.9, "4/FP": 0.8})


class ReportFilesTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        folder = self.enter_context(tempfile.TemporaryDirectory())
        self.folder = pathlib.Path(folder) / "report"

    def test_load_returns_what_was_saved(self):
        report = full_report()

        path = report.save(self.folder)

        self.assertEqual(path, self.folder / "report.json")
        self.assertEqual(Report.load(self.folder), report)
        self.assertEqual(Report.load(path), report)

    def test_a_full_disk_leaves_the_old_report(self):
        Report([RUN], "old").save(self.folder)

        with (
            mock.patch("os.fsync", side_effect=OSError(errno.ENOSPC, "full")),
            self.assertRaisesRegex(OSError, "Could not write .*report.json"),
        ):
            Report([RUN], "new").save(self.folder)

        self.assertEqual(Report.load(self.folder).title, "old")
        self.assertEqual(os.listdir(self.folder), ["report.json"])

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
            lambda text: text.replace('version": 3', 'version": 99'),
            "schema version 3.*99",
        ),
        (
            "of_before_rows_had_metrics",
            lambda text: text.replace('version": 3', 'version": 2'),
            "schema version 3.*2.*delete it and measure again",
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
            "changed_number",
            lambda text: text.replace("0.8,", "0.9,"),
            "as it was written.*'sha256'.*if the change is meant",
        ),
        (
            "rows_no_list",
            lambda text: text.replace('"rows": [', '"rows": 3, "x": ['),
            r"runs\[0\].rows to be a list. Received: 3",
        ),
        (
            "rows_missing_name",
            lambda text: text.replace('"name"', '"nmae"'),
            r"runs\[0\].*name",
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
        path.write_text(spoil(Report([RUN]).to_json()))

        with self.assertRaisesRegex(
            ValueError, f"(?s)^(?=.*report.json).*{words}"
        ):
            Report.load(path)

    def test_json_is_plain_and_carries_its_format(self):
        document = json.loads(full_report().to_json())

        self.assertEqual(document["format"], "kure_tf report")
        self.assertEqual(document["schema_version"], 3)


if __name__ == "__main__":
    absltest.main()
