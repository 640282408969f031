"""The norm of the smallest loss, against losses that are known."""

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from kure_tf import OperatingPoint, fake_quantize_model, ptq
from kure_tf.compat import keras
from kure_tf.fake_quantized import Placement
from kure_tf.ptq.best_norm import best_norm, parabola_minimum

POINT = OperatingPoint(2, None)


def _calibration():
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(6, name="d")]
    )
    return ptq.calibrate(fake_quantize_model(model, Placement()))


class BestNormTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.named_parameters(
        ("inside", lambda p: (p - 2.3) ** 2, 2.3, 4),
        ("beyond_the_norms", lambda p: (p - 3.9) ** 2, 3.9, 4),
        ("cut_to_five", lambda p: (p - 9.0) ** 2, 5.0, 4),
        ("opens_downwards", lambda p: -((p - 2.4) ** 2), 3.0, 3),
        ("not_finite", lambda p: np.nan if p == 2 else p, 2.5, 3),
    )
    def test_the_norm_of_the_smallest_loss_is_found(self, loss_of, p, count):
        calibration = _calibration()
        found = best_norm(
            calibration, POINT, lambda steps: loss_of(steps.provenance["p"])
        )
        self.assertAllClose(found.p, p, atol=1e-4)
        self.assertLen(found.losses, count)
        self.assertAllClose(found.step_sizes.provenance["p"], found.p)

    def test_no_norms_are_refused(self):
        with self.assertRaisesRegex(ValueError, "at least one norm"):
            best_norm(None, POINT, None, norms=())

    def test_a_parabola_needs_three_points(self):
        self.assertIsNone(parabola_minimum([1.0, 2.0], [1.0, 0.0]))
        # 3 x^2 - 14 x + 21.
        found = parabola_minimum([1, 2, 4], [10, 5, 13])
        self.assertAllClose(found, 14 / 6)


if __name__ == "__main__":
    tf.test.main()
