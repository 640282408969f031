"""Files of exactly a model's codes, for several operating points at once."""

import pathlib
from unittest import mock

import pytest
import tensorflow as tf
from litert_files import interpreter_of
from small_run import make_dataset, make_model

from kure_tf import ptq, runs
from kure_tf.compat import keras
from kure_tf.export import file_note
from kure_tf.fake_quantized import fake_quantize_model, paper_placement
from kure_tf.measurements import Report
from kure_tf.pages import to_markdown
from kure_tf.settings import OperatingPoint, Setting

pytestmark = pytest.mark.one_keras


class ExportExactTest(tf.test.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.dataset, cls.model = make_dataset(), make_model()

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.get_temp_dir())

    def test_a_float_model_is_written_at_each_point(self):
        """The paper's scheme leaves the ends in float; files hold 8 bits."""
        report = runs.export_exact(
            self.model,
            self.dataset,
            self.folder,
            ["{8,4}/8"],
            "minmax",
            scheme="paper",
            progress=False,
        )
        rows = report.runs[0].rows

        self.assertEqual([str(row.point) for row in rows], ["8/8", "4/8"])
        for row, name in zip(rows, ("8_8.tflite", "4_8.tflite"), strict=True):
            content = (self.folder / name).read_bytes()
            self.assertEqual(row.details["file"], name)
            self.assertEqual(row.details["file_size"], len(content))
            self.assertGreater(row.details["latency_ms"], 0)
            self.assertEqual(row.examples, self.dataset.test.count)
            interpreter_of(content).allocate_tensors()
        self.assertEqual(Report.load(self.folder), report)
        self.assertIn("4/8 exact, int8", to_markdown(report))

    def test_a_setting_brings_its_own_steps_and_leaves_the_model_alone(self):
        placement = paper_placement(first_layer=8, last_layer=8)
        quantized = fake_quantize_model(self.model, placement)
        calibration = ptq.calibrate(
            quantized, self.dataset.calibration.batches(64), progress=False
        )
        point = OperatingPoint(3, 8)
        steps = ptq.lp_norm(calibration, point)
        before = [array.tolist() for array in quantized.get_weights()]

        report = runs.export_exact(
            quantized,
            self.dataset,
            self.folder,
            [
                Setting(point, step_sizes=steps, provenance={"images": 7}),
            ],
            container=4,
            progress=False,
        )

        (row,) = report.runs[0].rows
        self.assertEqual(row.point, point)
        note = file_note((self.folder / "3_8.tflite").read_bytes())
        self.assertEqual((note["point"], note["ptq"]), ("3/8", "given"))
        self.assertEqual(note["setting"], {"images": 7})
        self.assertEqual(row.details["mode"], "3/8 exact, int4")
        after = [array.tolist() for array in quantized.get_weights()]
        self.assertEqual(after, before)

    def test_layers_that_are_left_in_float_are_named(self):
        shape = self.model.inputs[0].shape[1:]
        model = keras.Sequential(
            [
                keras.Input(shape),
                keras.layers.Flatten(),
                keras.layers.Dense(4, name="first"),
                keras.layers.Activation("softplus", name="soft"),
                keras.layers.Dense(self.dataset.num_classes, name="logits"),
            ]
        )
        options = {"method": "minmax", "progress": False}

        with self.assertRaisesRegex(ValueError, "'soft'.*'softplus'"):
            runs.export_exact(
                model, self.dataset, self.folder, ["8/8"], **options
            )
        report = runs.export_exact(
            model,
            self.dataset,
            self.folder,
            ["8/8"],
            allow_float=True,
            **options,
        )

        details = report.runs[0].rows[0].details
        self.assertEqual(tuple(details["float_layers"]), ("soft",))

    def test_a_killed_run_goes_on_after_the_last_file(self):
        """A point that comes twice, with learned rounding, gets two files."""
        points = ["minmax: 2/8", "lp_norm + adaround: 2/8"]
        arguments = self.model, self.dataset, self.folder, points
        with mock.patch.object(ptq, "adaround", side_effect=KeyboardInterrupt):
            with self.assertRaises(KeyboardInterrupt):
                runs.export_exact(*arguments, progress=False)
        before = (self.folder / "2_8.tflite").stat().st_mtime_ns
        (first,) = Report.load(self.folder).runs[0].rows

        report = runs.export_exact(*arguments, progress=False)

        kept, learned = report.runs[0].rows
        self.assertEqual(kept.value, first.value)
        self.assertEqual(kept.ptq, "minmax")
        self.assertEqual(learned.ptq, "lp_norm p=2 + adaround")
        self.assertEqual(learned.details["file"], "2_8_2.tflite")
        self.assertEqual(
            (self.folder / "2_8.tflite").stat().st_mtime_ns, before
        )

    def test_a_point_in_float_is_refused_and_nothing_is_written(self):
        with self.assertRaisesRegex(ValueError, "in float"):
            runs.export_exact(
                self.model, self.dataset, self.folder, "4/FP", progress=False
            )
        self.assertEmpty(list(self.folder.iterdir()))

    def test_what_only_a_sweep_varies_is_refused(self):
        for text in ("sensitivity: 4/8", "paper: 4/8"):
            with self.assertRaisesRegex(ValueError, f"is no file.*{text}"):
                runs.export_exact(
                    self.model, self.dataset, self.folder, text, progress=False
                )


if __name__ == "__main__":
    tf.test.main()
