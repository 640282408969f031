import time

import numpy as np
import tensorflow as tf

from kure_tf import (
    compat,
    fake_quantize_model,
    keeping,
    set_operating_point,
)
from kure_tf.compat import keras
from kure_tf.fake_quantized import Placement, apply, operating_point_of
from kure_tf.settings import Setting, StepSizes, TensorStep

layers = keras.layers


def _model(placement=None):
    model = keras.Sequential(
        [
            keras.Input((3,)),
            layers.Dense(2, name="d"),
            layers.BatchNormalization(name="bn"),
        ]
    )
    return fake_quantize_model(model, placement or Placement())


class KeepingTest(tf.test.TestCase):
    def test_everything_is_put_back_even_after_an_exception(self):
        model = _model(Placement(activations=None))
        set_operating_point(model, "3/FP x1.5")
        before = model.get_weights()
        with self.assertRaises(KeyboardInterrupt), keeping(model):
            steps = StepSizes({"d/kernel": TensorStep(2.0, 5)})
            apply(model, Setting("2/FP pow2", step_sizes=steps))
            model.set_weights([w + 1 for w in model.get_weights()])
            raise KeyboardInterrupt
        for old, new in zip(before, model.get_weights(), strict=True):
            self.assertAllEqual(old, new)
        self.assertEqual(operating_point_of(model), (3, None))

    def test_what_was_not_calibrated_is_so_again(self):
        model = _model()
        with keeping(model):
            steps = StepSizes({"d/input": TensorStep(0.1, 8)})
            apply(model, Setting("8/8", step_sizes=steps))
        with self.assertRaisesRegex(ValueError, "'d/input' to be calibrated"):
            set_operating_point(model, "8/8")

    def test_a_float_model_is_kept_too(self):
        model = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
        kernel = np.array(model.layers[-1].kernel)
        with keeping(model):
            model.layers[-1].kernel.assign(np.ones((3, 2)))
        self.assertAllEqual(model.layers[-1].kernel, kernel)

    def test_what_does_not_change_is_not_copied(self):
        model = _model()
        before = [compat.to_numpy(weight) for weight in model.weights]
        with keeping(model):
            pass
        for old, weight in zip(before, model.weights, strict=True):
            self.assertTrue(np.shares_memory(old, compat.to_numpy(weight)))

    def test_it_costs_no_more_than_a_few_copies_of_the_weights(self):
        model = keras.Sequential([keras.Input((2000,)), layers.Dense(2000)])
        weights = model.get_weights()

        def fastest(action):
            times = []
            for _ in range(5):
                start = time.perf_counter()
                action()
                times.append(time.perf_counter() - start)
            return min(times)

        def kept():
            with keeping(model):
                pass

        copies = fastest(lambda: [w.copy() for w in weights for _ in range(4)])
        self.assertLess(fastest(kept), 5 * copies + 0.02)


if __name__ == "__main__":
    tf.test.main()
