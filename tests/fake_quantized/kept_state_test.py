import numpy as np
import tensorflow as tf

from kure_tf import fake_quantize_model, set_operating_point, set_step_sizes
from kure_tf.compat import keras
from kure_tf.fake_quantized import Placement, kept_state, operating_point_of
from kure_tf.quantizers import StepSizes, TensorStep


class KeptStateTest(tf.test.TestCase):
    def test_variables_are_put_back_even_after_an_error(self):
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
        copy = fake_quantize_model(model, Placement())
        set_operating_point(copy, "4/FP x1.5")
        x = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
        before = copy(x)
        (kernel,) = [w for w in copy.weights if "step_size" in w.name][:1]
        step_size = np.array(kernel)

        with self.assertRaisesRegex(KeyError, "on the way"), kept_state(copy):
            path = f"{copy.layers[0].name}/kernel"
            set_step_sizes(copy, StepSizes({path: TensorStep(0.9, 2)}))
            set_operating_point(copy, "2/FP")
            self.assertNotAllClose(copy(x), before)
            raise KeyError("on the way")

        self.assertAllEqual(copy(x), before)
        self.assertAllEqual(kernel, step_size)
        self.assertEqual(operating_point_of(copy), (4, None))


if __name__ == "__main__":
    tf.test.main()
