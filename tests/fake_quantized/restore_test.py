import numpy as np
import tensorflow as tf

from kure_tf import fake_quantize_model, set_operating_point, set_step_sizes
from kure_tf.compat import keras
from kure_tf.fake_quantized import (
    Placement,
    keeping_quantizers,
    operating_point_of,
)
from kure_tf.settings import StepSizes, TensorStep


def _model(placement=None):
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(2, name="d")]
    )
    return fake_quantize_model(model, placement or Placement())


class KeepingQuantizersTest(tf.test.TestCase):
    def test_everything_is_put_back_even_after_an_exception(self):
        model = _model(Placement(activations=None))
        set_operating_point(model, "3/FP x1.5")
        before = model.get_weights()
        with self.assertRaises(KeyboardInterrupt), keeping_quantizers(model):
            set_step_sizes(model, StepSizes({"d/kernel": TensorStep(2.0, 5)}))
            set_operating_point(model, "2/FP pow2")
            raise KeyboardInterrupt
        for old, new in zip(before, model.get_weights(), strict=True):
            self.assertAllEqual(old, new)
        self.assertEqual(operating_point_of(model), (3, None))

    def test_what_was_not_calibrated_is_so_again(self):
        model = _model()
        with keeping_quantizers(model):
            set_step_sizes(model, StepSizes({"d/input": TensorStep(0.1, 8)}))
            set_operating_point(model, "8/8")
        with self.assertRaisesRegex(ValueError, "'d/input' to be calibrated"):
            set_operating_point(model, "8/8")

    def test_kernels_are_left_alone(self):
        model = _model()
        with keeping_quantizers(model):
            model.get_layer("d").layer.kernel.assign(np.ones((3, 2)))
        self.assertAllEqual(model.get_layer("d").layer.kernel, np.ones((3, 2)))


if __name__ == "__main__":
    tf.test.main()
