import numpy as np
import tensorflow as tf
import tf_keras

from kure_tf.fake_quantized import (
    Placement,
    quantizers_of,
    set_operating_point,
    set_step_sizes,
)
from kure_tf.qat.tfmot import quantize_with_tfmot
from kure_tf.quantizers import UniformQuantizer
from kure_tf.settings import StepSizes, TensorStep

KERNEL = np.float32([[0.91, -0.37], [0.18, 0.77], [-0.52, 0.33]])


class RoundingModeTest(tf.test.TestCase):
    def test_tfmots_wrapper_rounds_as_the_operating_point_says(self):
        model = tf_keras.Sequential(
            [
                tf_keras.Input((3,), name="image"),
                tf_keras.layers.Dense(2, use_bias=False, name="d"),
            ]
        )
        model.set_weights([KERNEL])
        placement = Placement(UniformQuantizer(), None, name="everywhere")
        model = quantize_with_tfmot(model, placement, verbose=False)
        self.assertIn("d/kernel", quantizers_of(model))
        set_step_sizes(model, StepSizes({"d/kernel": TensorStep(0.23, 4)}))
        for point, rounded in (("4/FP", np.round), ("4/FP floor", np.floor)):
            set_operating_point(model, point)
            expected = 0.23 * rounded(np.clip(KERNEL / 0.23, -7, 7))
            self.assertAllClose(model(tf.eye(3)), expected, rtol=1e-5)


if __name__ == "__main__":
    tf.test.main()
