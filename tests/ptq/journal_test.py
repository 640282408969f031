"""Losses that a killed search has found already."""

import math
import pathlib

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from kure_tf.ptq.journal import Journal
from kure_tf.settings import StepSizes, TensorStep


def _steps(size):
    return StepSizes({"a/kernel": TensorStep(np.array(size), 4)})


class JournalTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(0.1, math.nan, math.inf)
    def test_a_loss_comes_back_as_it_was(self, loss):
        path = pathlib.Path(self.get_temp_dir()) / f"{loss}.json"
        found = Journal(lambda steps: loss, path, {"method": "m"})(_steps(0.5))
        np.testing.assert_equal(found, loss)

        again = Journal(self.fail, path, {"method": "m"})
        np.testing.assert_equal(again(_steps(0.5)), loss)


if __name__ == "__main__":
    tf.test.main()
