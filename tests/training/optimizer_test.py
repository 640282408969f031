"""Warm-up, accumulated gradients and averaged weights, in a training run."""

import dataclasses

import numpy as np
import tensorflow as tf
import training_worker
from fit_case import make_dataset

from kure_tf.compat import IS_KERAS_3, keras
from kure_tf.training import Recipe, fit
from kure_tf.training.warm_up import WarmUp

RECIPE = Recipe(1, learning_rate=0.02, batch_size=16, schedule="constant")


class _Weights(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.seen = []

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append(self.model.get_weights())


def _trained(recipe, *callbacks):
    net = training_worker.make_net()
    fit(net, make_dataset(64), recipe, callbacks=callbacks, verbose=0)
    return net.get_weights()


class OptimizerTest(tf.test.TestCase):
    def test_warm_up_rises_to_the_schedule_and_leaves_it_there(self):
        recipe = Recipe(4, learning_rate=0.8, warmup_epochs=2)
        rate = recipe.learning_rate_schedule(5)

        steps = np.arange(20)
        cosine = 0.8 * (1 + np.cos(np.pi * steps / 20)) / 2
        expected = cosine * np.minimum((steps + 1) / 10, 1)
        self.assertAllClose([float(rate(t)) for t in steps], expected)
        again = WarmUp.from_config(rate.get_config())
        self.assertAllClose(float(again(3)), expected[3])
        constant = dataclasses.replace(recipe, schedule="constant")
        rate = constant.learning_rate_schedule(5)
        self.assertAllClose(float(rate(4)), 0.4)

    def test_two_accumulated_batches_make_the_step_of_one_twice_as_large(self):
        if not IS_KERAS_3:
            with self.assertRaisesRegex(ValueError, "needs Keras 3"):
                dataclasses.replace(RECIPE, gradient_accumulation_steps=2)
            return
        halves = _trained(
            dataclasses.replace(RECIPE, gradient_accumulation_steps=2)
        )
        whole = _trained(dataclasses.replace(RECIPE, batch_size=32))

        for ours, expected in zip(halves, whole, strict=True):
            self.assertAllClose(ours, expected, rtol=1e-4, atol=1e-6)

    def test_averaged_weights_are_the_moving_average_of_all_steps(self):
        seen = _Weights()
        plain = _trained(RECIPE, seen)
        averaged = _trained(dataclasses.replace(RECIPE, ema_momentum=0.7))

        self.assertLen(seen.seen, 4)
        # tf_keras begins with the weights before the first step.
        before = (
            [] if IS_KERAS_3 else [training_worker.make_net().get_weights()]
        )
        first, *later = [*before, *seen.seen]
        for place, ours in enumerate(averaged):
            average = first[place]
            for weights in later:
                average = 0.7 * average + 0.3 * weights[place]
            self.assertAllClose(ours, average, rtol=1e-5, atol=1e-7)
        self.assertNotAllClose(averaged[0], plain[0])

    def test_averaging_goes_without_a_choice_of_the_epoch(self):
        with self.assertRaisesRegex(ValueError, "select='last' with ema"):
            dataclasses.replace(RECIPE, ema_momentum=0.9, select="best")


if __name__ == "__main__":
    tf.test.main()
