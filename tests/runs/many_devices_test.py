"""A sweep that several processes or devices share gives the same rows."""

import dataclasses
import pathlib
import tempfile

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized
from small_run import make_dataset

from kure_tf import runs
from kure_tf.compat import keras
from kure_tf.measurements import Report
from kure_tf.sweeps import SweepPlan, check_devices, device_profiles

# 2 ways x (1 + 2 + 2 layers + 1) points.
PLAN = SweepPlan(
    ("{4,3}/FP", "sensitivity: 3/FP", "learned_steps: 3/4"),
    reestimate_batch_norm="both",
    batch_size=15,  # 20 test images: 15 and 5, neither divides by two.
    batch_norm_images=32,
)
# 1 + 1 points.
OTHER = SweepPlan(("3/FP",), placement="tflite", batch_size=15)


def _model():
    layers = keras.layers
    net = keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            layers.Conv2D(3, 3, activation="relu", name="a"),
            layers.Flatten(),
            layers.Dense(6, name="b"),
            layers.BatchNormalization(name="norm"),
            layers.Dense(5, name="c"),
            layers.Dense(3, name="d"),
        ],
        name="tiny",
    )
    random = np.random.default_rng(0)
    net.set_weights(
        [np.abs(random.normal(1, 0.2, w.shape)) for w in net.get_weights()]
    )
    return net


def _rows(report):
    (run,) = report.runs
    return [
        dataclasses.replace(row, seconds=None, details={**row.details})
        for row in run.rows
    ]


def _without_rows(report):
    (run,) = report.runs
    return dataclasses.replace(
        report, runs=(dataclasses.replace(run, rows=()),)
    )


class ManyDevicesTest(tf.test.TestCase, parameterized.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.whole = cls._sweep("whole", None)

    @classmethod
    def _sweep(cls, folder, shard):
        folder = cls.folder / folder
        options = {"provenance": {"flags": {"a": "b"}}, "shard": shard}
        report, _ = runs.sweep(
            _model(), make_dataset(), [PLAN, OTHER], folder, **options
        )
        return report

    @pytest.mark.one_keras
    def test_shards_merge_to_the_report_of_one_process(self):
        shards = [
            self._sweep(f"shard{index}", f"{index}/2") for index in range(2)
        ]
        merged = Report.merge(shards[::-1])

        self.assertLen(_rows(self.whole), 14)
        self.assertEqual([len(_rows(part)) for part in shards], [7, 7])
        for part in shards:
            self.assertEqual(part.runs[0].provenance["planned_rows"], 14)
        self.assertEqual(_rows(merged), _rows(self.whole))
        self.assertEqual(_without_rows(merged), _without_rows(self.whole))

    def test_two_replicas_give_the_rows_of_one(self):
        with runs.strategy_named("mirrored").scope() as strategy:
            report = self._sweep("replicas", None)

        self.assertEqual(strategy.num_replicas_in_sync, 2)
        found, expected = _rows(report), _rows(self.whole)
        # Half a batch may be summed in another order, by the processor.
        losses = [
            [one.details.pop("loss") for one in r] for r in (found, expected)
        ]
        self.assertAllClose(*losses, rtol=1e-6)
        self.assertEqual(found, expected)

    def test_two_replicas_give_the_step_sizes_of_one(self):
        def found(folder):
            folder = self.folder / folder
            folder.mkdir()
            options = _model(), make_dataset(), "aciq", "3/4", folder
            return runs.calibrate(*options).to_dict()

        with runs.strategy_named("mirrored").scope():
            spread = found("spread")
        self.assertEqual(spread, found("one"))

    def test_two_replicas_find_of_a_device_what_one_finds(self):
        def found():
            profiles = device_profiles(["w4a8_per_channel"])
            return _rows(check_devices(_model(), make_dataset(), profiles))

        with runs.strategy_named("mirrored").scope():
            spread = found()
        self.assertEqual(spread, found())


if __name__ == "__main__":
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()] * 2,
    )
    tf.test.main()
