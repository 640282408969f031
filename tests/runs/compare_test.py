"""The whole chain, without and with KURE, from Python."""

import pathlib
import tempfile

import pytest
import tensorflow as tf
from small_run import RECIPE, make_dataset, make_model, make_plan

from kure_tf import runs
from kure_tf.measurements import Report
from kure_tf.runs import Kure

pytestmark = pytest.mark.one_keras


def _compare(folder, **options):
    return runs.compare(
        make_model,
        make_dataset(),
        RECIPE,
        folder,
        [make_plan()],
        **{"kure": Kure(1.0), "modes": (), **options},
    )


class CompareTest(tf.test.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        cls.folder = pathlib.Path(temporary.name)
        cls.report, cls.page = _compare(
            cls.folder,
            seeds=(0, 1),
            notes=["Mind."],
            modes=("float",),
            export_options={"min_agreement": 0.0, "max_accuracy_drop": 1.0},
        )

    def test_both_models_are_trained_and_measured_for_each_seed(self):
        report = self.report

        self.assertEqual(
            [(run.name, run.seed) for run in report.runs],
            [
                (name, seed)
                for seed in (0, 1)
                for name in ("no regularization", "KURE")
            ],
        )
        self.assertEqual(Report.load(self.folder), report)
        self.assertEqual(self.page, self.folder / "report.html")
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
        for run in self.report.runs:
            part = f"{run.name.replace(' ', '_').lower()}_seed{run.seed}"
            row = run.rows[-1]
            self.assertEqual((row.sweep, str(row.point)), ("tflite", "FP/FP"))
            self.assertEqual(
                row.details["file_size"],
                (self.folder / part / "float.tflite").stat().st_size,
            )

    def test_two_replicas_report_what_one_does(self):
        with runs.strategy_named("mirrored").scope() as strategy:
            spread, _ = _compare(self.get_temp_dir())

        self.assertEqual(strategy.num_replicas_in_sync, 2)
        for of_two, of_one in zip(
            spread.runs, self.report.runs[:2], strict=True
        ):
            self.assertEqual(of_two.name, of_one.name)
            for path, of_kernel in of_one.kurtosis.items():
                self.assertAllClose(
                    of_two.kurtosis[path]["after"],
                    of_kernel["after"],
                    rtol=1e-4,
                )
            # The last row of one is that of its exported file.
            self.assertEqual(
                [(row.point, row.value) for row in of_two.rows],
                [(row.point, row.value) for row in of_one.rows[:-1]],
            )

    def test_without_a_coefficient_there_is_nothing_to_compare(self):
        with self.assertRaisesRegex(ValueError, "--kurtosis_coefficient above"):
            _compare(self.get_temp_dir(), kure=Kure())


if __name__ == "__main__":
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()] * 2,
    )
    tf.test.main()
