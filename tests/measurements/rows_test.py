import dataclasses
import json
import math

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from kure_tf.measurements import Row, Run
from kure_tf.settings.operating_point import OperatingPoint


def row(**changes):
    values = {"run": "KURE", "point": OperatingPoint(4), "ptq": "minmax"}
    return Row(**(values | {"value": 0.9, "examples": 100} | changes))


class RowTest(parameterized.TestCase, tf.test.TestCase):
    def test_standard_error_is_binomial(self):
        self.assertAllClose(row().standard_error, math.sqrt(0.9 * 0.1 / 100))

    def test_a_standard_error_that_is_given_is_kept(self):
        self.assertEqual(row(standard_error=0.1).standard_error, 0.1)

    def test_other_metrics_have_any_value_and_no_error_of_their_own(self):
        one = row(metric="loss", value=-17.5, higher_is_better=False)

        self.assertEqual((one.value, one.standard_error), (-17.5, None))

    def test_numpy_scalars_become_plain_values(self):
        one = row(
            value=np.float32(0.5),
            examples=np.int64(7),
            higher_is_better=np.bool_(True),
            reestimated_batch_norm=np.bool_(True),
            details={"x": np.arange(2), "y": (np.float64(1), math.nan)},
        )

        values = dataclasses.asdict(one) | {"point": str(one.point)}
        json.dumps(values, allow_nan=False)
        self.assertEqual(one.details, {"x": [0, 1], "y": [1.0, None]})
        self.assertIs(one.reestimated_batch_norm, True)

    @parameterized.named_parameters(
        ("accuracy_in_percent", {"value": 90.0}, ValueError, "in 0..1"),
        ("accuracy_nan", {"value": math.nan}, ValueError, "finite"),
        ("accuracy_text", {"value": "0.9"}, TypeError, "a finite number"),
        ("no_examples", {"examples": 0}, ValueError, "at least 1"),
        ("half_an_example", {"examples": 4.5}, TypeError, "an integer"),
        ("bool_examples", {"examples": True}, TypeError, "an integer"),
        ("text", {"point": "banana"}, TypeError, "OperatingPoint.*'banana'"),
        ("fields", {"weight_bits": 99}, TypeError, "weight_bits"),
        ("empty_run", {"run": " "}, ValueError, "not empty"),
        ("seed", {"calibration_seed": -1}, ValueError, "at least 0"),
        ("no_layer", {"layer": ""}, ValueError, "not empty"),
        ("direction", {"higher_is_better": 1}, TypeError, "a bool"),
        ("others", {"others": OperatingPoint(8)}, ValueError, "no single lay"),
        ("details", {"details": {"a": object()}}, TypeError, r"\['a'\]"),
    )
    def test_wrong_values_are_refused(self, changes, kind, words):
        with self.assertRaisesRegex(kind, words):
            row(**changes)


class RunTest(parameterized.TestCase, tf.test.TestCase):
    def test_a_row_of_another_run_is_refused(self):
        with self.assertRaisesRegex(ValueError, "'plain'.*a row of 'KURE'"):
            Run("plain", [row()])

    def test_renaming_renames_the_rows(self):
        run = Run("KURE", [row()], provenance={"seed": 1}).renamed("new")

        self.assertEqual((run.name, run.rows[0].run), ("new", "new"))
        self.assertEqual(run.seed, 1)

    @parameterized.named_parameters(
        ("number", 2.0),
        ("no_after", {"before": 2.0}),
        ("unknown", {"after": 2.0, "x": 1}),
    )
    def test_malformed_kurtosis_names_the_layer(self, values):
        with self.assertRaisesRegex(ValueError, "kurtosis of layer 'conv'"):
            Run("a", kurtosis={"conv": values})

    def test_malformed_histogram_names_the_layer(self):
        with self.assertRaisesRegex(ValueError, "histogram of layer 'conv'"):
            Run("a", histograms={"conv": {"edges": [0, 1], "counts": [1, 2]}})


if __name__ == "__main__":
    tf.test.main()
