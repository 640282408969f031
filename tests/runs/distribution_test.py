"""Strategies by name."""

import os
from unittest import mock

import pytest
import tensorflow as tf

from kure_tf import runs

pytestmark = pytest.mark.one_keras


class DistributionTest(tf.test.TestCase):
    def test_mirrored_takes_the_logical_cpus_where_there_is_no_gpu(self):
        # `tests/conftest.py` has made two.
        strategy = runs.strategy_named("mirrored")
        self.assertEqual(strategy.num_replicas_in_sync, 2)

    def test_none_is_one_device(self):
        strategy = runs.strategy_named("none")
        self.assertEqual(strategy.num_replicas_in_sync, 1)

    def test_multi_worker_names_the_variable_that_it_needs(self):
        with mock.patch.dict(os.environ):
            os.environ.pop("TF_CONFIG", None)
            with self.assertRaisesRegex(ValueError, "TF_CONFIG.*cluster"):
                runs.strategy_named("multi_worker")

    def test_tpu_says_that_there_is_none(self):
        with self.assertRaisesRegex(ValueError, "machine with TPUs"):
            runs.strategy_named("tpu")

    def test_names_what_there_is(self):
        with self.assertRaisesRegex(ValueError, "none.*mirrored.*'gpus'"):
            runs.strategy_named("gpus")


if __name__ == "__main__":
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()] * 2,
    )
    tf.test.main()
