"""Files of exactly a model's codes, for several operating points at once."""

import pathlib
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf
from litert_files import interpreter_of
from small_run import make_dataset, make_model

from kure_tf import data, evaluation, ptq, runs
from kure_tf.compat import keras
from kure_tf.export import file_note
from kure_tf.fake_quantized import fake_quantize_model, paper_placement
from kure_tf.measurements import Report
from kure_tf.pages import to_markdown
from kure_tf.settings import OperatingPoint, Setting

pytestmark = pytest.mark.one_keras


@evaluation.metric("right", higher_is_better=True)
def _right(y, outputs):
    return outputs.argmax(-1) == y


class ExportExactTest(tf.test.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.dataset, cls.model = make_dataset(), make_model()

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.get_temp_dir())

    def test_a_float_model_is_written_at_each_point(self):
        """The paper's placement leaves the ends in float; files hold 8 bits."""
        report = runs.export_exact(
            self.model,
            self.dataset,
            self.folder,
            ["{8,4}/8"],
            "minmax",
            placement="paper",
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
        quantized = self._quantized()
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

    def test_nine_bits_are_refused_before_the_first_file(self):
        points = ["8/8", "9/9"]
        with self.assertRaisesRegex(ValueError, "up to 8 bits.*'9/9'"):
            self._export(points)
        with self.assertRaisesRegex(ValueError, "'4/FP'.*weight_only"):
            self._export(["8/8", "4/FP"])
        self.assertEmpty(list(self.folder.iterdir()))

    def test_unknown_options_are_refused_before_calibration(self):
        for options in ({"kernels": "xnnpak"}, {"container": 5}):
            with mock.patch.object(ptq, "calibrate") as calibrate:
                with self.assertRaisesRegex(ValueError, "Received"):
                    self._export("4/8", **options)
            calibrate.assert_not_called()

    def test_a_file_asked_for_with_something_else_is_not_kept(self):
        self._export(["8/8"])
        before = (self.folder / "report.json").read_bytes()

        for name, options in {
            "container": {"container": 4},
            "kernels": {"kernels": "builtin"},
            "ptq": {"method": "lp_norm"},
            "quantizers": {"placement": "tflite"},
            "allow_float": {"allow_float": True},
            "labels": {"labels": ["x", "y", "z"]},
            "file_batch_size": {"file_batch_size": 2},
        }.items():
            with self.assertRaisesRegex(ValueError, f"with {name}=.*another"):
                self._export(["8/8"], **options)
        self.assertEqual((self.folder / "report.json").read_bytes(), before)

    def test_a_setting_of_other_arrays_is_not_kept(self):
        model = self._quantized()
        calibration = ptq.calibrate(
            model, self.dataset.calibration.batches(64), progress=False
        )
        small, large = (
            Setting("4/8", step_sizes=ptq.lp_norm(calibration, "4/8", p=p))
            for p in (2.0, 4.0)
        )
        self._export(small, model=model)

        self._export(small, model=model)
        with self.assertRaisesRegex(ValueError, "with setting="):
            self._export(large, model=model)

    def test_the_report_says_the_container_that_kernels_got(self):
        report = self._export("8/8", container=4)

        details = report.runs[0].rows[0].details
        self.assertEqual(details["mode"], "8/8 exact, int8")

    def test_a_transposed_convolution_gets_a_batch_size(self):
        model = keras.Sequential(
            [
                keras.Input(self.model.inputs[0].shape[1:]),
                keras.layers.Conv2DTranspose(2, 2, strides=2, name="up"),
                keras.layers.Flatten(),
                keras.layers.Dense(3, name="logits"),
            ]
        )

        report = self._export("8/8", model=model, file_batch_size=2)

        (row,) = report.runs[0].rows
        self.assertGreater(row.details["latency_ms"], 0)
        interpreter = interpreter_of((self.folder / "8_8.tflite").read_bytes())
        (details,) = interpreter.get_input_details()
        self.assertEqual(details["shape"][0], 2)

    def _quantized(self):
        placement = paper_placement(first_layer=8, last_layer=8)
        return fake_quantize_model(self.model, placement)

    def _export(self, points, *, model=None, **options):
        return runs.export_exact(
            model or self.model,
            self.dataset,
            self.folder,
            points,
            **{
                "method": "minmax",
                "placement": "paper",
                "progress": False,
                **options,
            },
        )

    def test_a_metric_of_inputs_in_a_dictionary(self):
        """Its keys may be names of other input layers of the same shape."""
        keras.utils.set_random_seed(0)
        foo, bar = (keras.Input((3,), name=name) for name in ("foo", "bar"))
        outputs = keras.layers.Dense(4)(foo) - keras.layers.Dense(4)(bar)
        model = keras.Model({"bar": foo, "foo": bar}, outputs)
        rng = np.random.default_rng(0)
        values = {name: rng.normal(size=(96, 3)) for name in ("foo", "bar")}
        labels = rng.integers(0, 4, 96)
        dataset = data.from_arrays((values, labels), (values, labels))

        report = runs.export_exact(
            model, dataset, self.folder, "8/8", metric=_right, progress=False
        )

        (row,) = report.runs[0].rows
        self.assertEqual(row.details["right"], row.value)

    def test_what_only_a_sweep_varies_is_refused(self):
        for text in ("sensitivity: 4/8", "paper: 4/8"):
            with self.assertRaisesRegex(ValueError, f"is no file.*{text}"):
                runs.export_exact(
                    self.model, self.dataset, self.folder, text, progress=False
                )


if __name__ == "__main__":
    tf.test.main()
