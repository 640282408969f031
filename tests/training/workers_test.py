"""Two processes that train one model, on this machine."""

import os
import pathlib
import signal

import numpy as np
import pytest
import tensorflow as tf
import training_worker
from fit_case import make_dataset

from kure_tf.compat import KERAS_NAME
from kure_tf.training import fit

pytestmark = pytest.mark.tool_flow


class WorkersTest(tf.test.TestCase):
    def setUp(self):
        super().setUp()
        self.workdir = pathlib.Path(self.get_temp_dir()) / "run"
        self.keras = "1" if KERAS_NAME == "tf_keras" else "0"
        if self.keras == "0":
            self.skipTest("The `fit` of Keras 3 takes one process.")

    def test_killed_and_started_again_they_end_with_the_weights_of_one(self):
        alone = training_worker.make_net()
        fit(
            alone,
            make_dataset(training_worker.COUNT),
            training_worker.recipe(),
            verbose=0,
        )

        chief, other = training_worker.start(self.workdir, self.keras, killed=1)
        other.communicate()
        chief.kill()  # It would wait for the other one for a while.
        chief.communicate()
        self.assertEqual(other.returncode, -signal.SIGKILL)
        self.assertEqual(os.listdir(self.workdir), ["checkpoint.npz"])
        for worker in training_worker.start(self.workdir, self.keras):
            _, error = worker.communicate()
            self.assertEqual(worker.returncode, 0, error[-2000:])

        for index in range(2):
            with np.load(self.workdir / f"weights{index}.npz") as kept:
                weights = [kept[name] for name in kept]
            for ours, expected in zip(
                weights, alone.get_weights(), strict=True
            ):
                self.assertAllClose(ours, expected, rtol=1e-5, atol=1e-6)


if __name__ == "__main__":
    tf.test.main()
