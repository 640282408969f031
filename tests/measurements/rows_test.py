import dataclasses
import json
import math

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from kure_tf.measurements import Row, Run


def row(**changes):
    values = {"run": "KURE", "point": "4/FP", "weight_bits": 4}
    values |= {"accuracy": 0.9, "images": 100, "ptq": "minmax"}
    return Row(**(values | changes))


class RowTest(parameterized.TestCase, tf.test.TestCase):
    def test_standard_error_is_binomial(self):
        self.assertAllClose(row().standard_error, math.sqrt(0.9 * 0.1 / 100))

    def test_numpy_scalars_become_plain_values(self):
        one = row(
            accuracy=np.float32(0.5),
            images=np.int64(7),
            reestimated_batch_norm=np.bool_(True),
            details={"x": np.arange(2), "y": (np.float64(1), math.nan)},
        )

        json.dumps(dataclasses.asdict(one), allow_nan=False)
        self.assertEqual(one.details, {"x": [0, 1], "y": [1.0, None]})
        self.assertIs(one.reestimated_batch_norm, True)

    def test_a_loss_that_is_not_finite_is_not_available(self):
        self.assertIsNone(row(loss=math.inf).loss)

    def test_key_ignores_what_was_measured(self):
        measured = row(accuracy=0.1, loss=2.0, seconds=3.0, details={"a": 1})

        self.assertEqual(measured.key, row().key)

    @parameterized.parameters(
        {"point": "3/FP"},
        {"run": "other"},
        {"step_scale": 1.05},
        {"activation_step_scale": 1.05},
        {"step_rounding": "up"},
        {"rounding_mode": "floor"},
        {"layer": "conv1"},
        {"calibration_seed": 0},
        {"ptq": "lp_norm p=2"},
        {"scheme": "tflite"},
        {"reestimated_batch_norm": True},
        {"images": 50},
        {"split": "validation"},
        {"sweep": "step_size"},
    )
    def test_key_tells_measurements_apart(self, **changes):
        self.assertNotEqual(row(**changes).key, row().key)

    def test_key_tells_a_layer_alone_from_one_among_others(self):
        among = row(layer="conv1", others="8/FP")
        self.assertNotEqual(among.key, row(layer="conv1").key)

    @parameterized.parameters("nearest", "half_up", "floor", "stochastic:12")
    def test_rounding_modes_are_kept(self, mode):
        self.assertEqual(row(rounding_mode=mode).rounding_mode, mode)

    @parameterized.named_parameters(
        ("accuracy_in_percent", {"accuracy": 90.0}, ValueError, "in 0..1"),
        ("accuracy_nan", {"accuracy": math.nan}, ValueError, "finite"),
        ("accuracy_text", {"accuracy": "0.9"}, TypeError, "a number"),
        ("no_images", {"images": 0}, ValueError, "at least 1"),
        ("fractional_bits", {"weight_bits": 4.5}, TypeError, "an integer"),
        ("bool_bits", {"weight_bits": True}, TypeError, "an integer"),
        ("empty_run", {"run": " "}, ValueError, "not empty"),
        ("seed", {"calibration_seed": -1}, ValueError, "at least 0"),
        ("no_layer", {"layer": ""}, ValueError, "not empty"),
        ("rounding", {"step_rounding": "down"}, ValueError, "'nearest' or"),
        ("mode", {"rounding_mode": "flor"}, ValueError, "'floor' or.*'flor'"),
        ("mode_seed", {"rounding_mode": "stochastic:-1"}, ValueError, "<seed>"),
        ("others", {"others": "8/FP"}, ValueError, "no single layer"),
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
