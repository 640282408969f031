"""Sweeps in a folder: one report of all plans, resumed, with its weights."""

import dataclasses
import json
import pathlib

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from small_run import make_dataset, make_model, make_plan

from kure_tf import fake_quantize_model, ptq, runs
from kure_tf.compat import array_hash
from kure_tf.measurements import Report, Run
from kure_tf.settings.operating_point import OperatingPoint

pytestmark = pytest.mark.one_keras


class SweepTest(tf.test.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.dataset, cls.model = make_dataset(), make_model()

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.get_temp_dir())

    def _measure(self, *plans, model=None, **options):
        plans = plans or (make_plan(),)
        model = model or self.model
        return runs.measure(model, self.dataset, plans, self.folder, **options)

    def test_the_report_is_written_with_its_page(self):
        report, page = runs.sweep(
            self.model, self.dataset, [make_plan()], self.folder, name="mine"
        )

        self.assertEqual(Report.load(self.folder), report)
        self.assertEqual(page, self.folder / "report.html")
        self.assertEqual([run.name for run in report.runs], ["mine"])

    def test_placements_stand_in_one_run_each_kept_in_its_folder(self):
        run = self._measure(make_plan(), make_plan(placement="tflite"))

        self.assertEqual(
            [(row.placement, str(row.point)) for row in run.rows],
            [
                (placement, point)
                for placement in ("paper", "tflite")
                for point in ("FP/FP", "4/FP")
            ],
        )
        self.assertEqual(run.provenance["placement"], ["paper", "tflite"])
        kept = Report.load(self.folder / "tflite").runs[0].rows
        self.assertEqual(kept, run.rows[2:])

    def test_what_was_measured_is_not_measured_again(self):
        first = self._measure()
        again = self._measure()

        self.assertEqual(again.rows, first.rows)  # To the same seconds.

    def test_kurtosis_of_a_model_from_elsewhere_is_measured(self):
        run = self._measure()

        self.assertEqual(
            list(run.kurtosis), [f"{layer}/kernel" for layer in "abcd"]
        )
        for path, kurtosis in run.kurtosis.items():
            kernel = np.array(self.model.get_layer(path[0]).kernel).ravel()
            expected = scipy.stats.kurtosis(kernel, fisher=False)
            self.assertAllClose(kurtosis["after"], expected, rtol=1e-4)
            self.assertIsNone(kurtosis["before"])
        self.assertEqual(list(run.histograms), ["b/kernel", "d/kernel"])
        for path, histogram in run.histograms.items():
            count = np.size(self.model.get_layer(path[0]).kernel)
            self.assertEqual(sum(histogram["counts"]), count)

    def test_what_training_noted_is_reported(self):
        record = {
            "run": {"recipe": {"seed": 7, "augment": ["shift=1"]}},
            "chosen_layers": ["b"],
            "kurtosis": {"b/kernel": {"before": 3.0, "after": 2.0}},
            "history": [{"loss": 1.0}],
        }
        run = self._measure(
            make_plan(batch_norm_augment=None),
            record=record,
            provenance={"flags": {"seed": "7"}},
        )

        self.assertEqual(run.seed, 7)
        self.assertEqual(run.kurtosis, record["kurtosis"])
        self.assertEqual(run.history, ({"loss": 1.0},))
        self.assertEqual(run.provenance["flags"], {"seed": "7"})

    def test_further_rows_come_last(self):
        def also(model, dataset, name):
            return Report(
                runs=(Run(name, rows, provenance={"placement": "mine"}),)
            )

        found = self._measure(name="tiny")
        rows = tuple(
            dataclasses.replace(row, sweep="mine") for row in found.rows
        )
        run = self._measure(name="tiny", also=[also])

        self.assertEqual(run.rows, (*found.rows, *rows))
        self.assertEqual(run.provenance["placement"], ["paper", "mine"])

    def test_a_quantized_model_has_one_placement(self):
        quantized = fake_quantize_model(make_model())

        with self.assertRaisesRegex(ValueError, "one placement.*'tflite'"):
            self._measure(
                make_plan(), make_plan(placement="tflite"), model=quantized
            )


def _journaled(calibration, point, *, journal=None):
    journal.write_text(json.dumps([str(point)]))
    return ptq.minmax(calibration, point)


class CalibrateTest(tf.test.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.get_temp_dir())
        self.dataset, self.model = make_dataset(), make_model()

    def _calibrate(self, method, **options):
        point = OperatingPoint(4, 4)
        return runs.calibrate(
            self.model, self.dataset, method, point, self.folder, **options
        )

    def test_step_sizes_are_those_of_the_largest_weights(self):
        found = self._calibrate("minmax", provenance={"seed": 3})

        kernel = np.array(self.model.get_layer("b").kernel)
        self.assertAllClose(
            found.tensors["b/kernel"].step_size, np.abs(kernel).max() / 7
        )
        self.assertEqual(found.provenance["seed"], 3)
        self.assertEqual(found.provenance["images"], 20)

    def test_the_file_holds_what_is_returned(self):
        found = self._calibrate("minmax")

        saved = json.loads((self.folder / "step_sizes.json").read_text())
        self.assertEqual(list(saved["tensors"]), list(found.tensors))

    def test_the_model_is_not_changed(self):
        before = array_hash(self.model)
        self._calibrate("minmax")
        self.assertEqual(array_hash(self.model), before)

    def test_a_search_that_takes_minutes_keeps_a_journal(self):
        self._calibrate(_journaled)
        (first,) = self.folder.glob("search_4_4_*.json")
        self._calibrate(_journaled, provenance={"seed": 3})

        # Another draw has a journal of its own.
        journals = set(self.folder.glob("search_4_4_*.json"))
        self.assertLen(journals, 2)
        self.assertIn(first, journals)


if __name__ == "__main__":
    tf.test.main()
