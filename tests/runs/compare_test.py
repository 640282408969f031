"""The whole chain, without and with KURE, from Python."""

import pathlib

import pytest
import tensorflow as tf
from small_run import RECIPE, make_dataset, make_model, make_plan

from kure_tf import runs
from kure_tf.measurements import Report
from kure_tf.runs import Kure

pytestmark = pytest.mark.one_keras


class CompareTest(tf.test.TestCase):
    def _compare(self, folder, **options):
        return runs.compare(
            make_model,
            make_dataset(),
            RECIPE,
            folder,
            [make_plan()],
            **{"kure": Kure(1.0), "modes": (), **options},
        )

    def test_both_models_are_trained_and_measured_for_each_seed(self):
        folder = pathlib.Path(self.get_temp_dir())

        report, page = self._compare(folder, seeds=(0, 1), notes=["Mind."])

        self.assertEqual(
            [(run.name, run.seed) for run in report.runs],
            [
                (name, seed)
                for seed in (0, 1)
                for name in ("no regularization", "KURE")
            ],
        )
        self.assertEqual(Report.load(folder), report)
        self.assertEqual(page, folder / "report.html")
        self.assertEqual(report.title, "tiny on arrays, with and without KURE")
        self.assertIn("Mind.", report.notes)
        without, with_kure = report.runs[:2]
        self.assertFalse(without.kurtosis["b/kernel"]["regularized"])
        self.assertTrue(with_kure.kurtosis["b/kernel"]["regularized"])
        # Both start from the same weights.
        self.assertEqual(
            without.kurtosis["b/kernel"]["before"],
            with_kure.kurtosis["b/kernel"]["before"],
        )

    def test_files_are_exported_and_their_rows_reported(self):
        folder = pathlib.Path(self.get_temp_dir())
        limits = {"min_agreement": 0.0, "max_accuracy_drop": 1.0}

        report, _ = self._compare(
            folder, modes=("float",), export_options=limits
        )

        for run, part in zip(
            report.runs, ("no_regularization_seed0", "kure_seed0"), strict=True
        ):
            row = run.rows[-1]
            self.assertEqual((row.sweep, str(row.point)), ("tflite", "FP/FP"))
            self.assertEqual(
                row.details["file_size"],
                (folder / part / "float.tflite").stat().st_size,
            )

    def test_without_a_coefficient_there_is_nothing_to_compare(self):
        with self.assertRaisesRegex(ValueError, "--kurtosis_coefficient above"):
            self._compare(self.get_temp_dir(), kure=Kure())


if __name__ == "__main__":
    tf.test.main()
