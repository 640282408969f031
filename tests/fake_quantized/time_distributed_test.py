"""Models inside TimeDistributed: opened like nested ones."""

import functools

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from kure_tf import (
    compat,
    fake_quantize_model,
    quantize_aware,
    regularize_kurtosis,
    set_operating_point,
    set_step_sizes,
)
from kure_tf.compat import keras
from kure_tf.fake_quantized import (
    Placement,
    fold_batch_norm,
    initial_step_sizes,
    observe_inputs,
    quantized_share,
)
from kure_tf.settings import StepSizes

layers = keras.layers
_ALL = Placement()
_STEPS = 3


@functools.cache
def _frame():
    """What is computed at each step."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4, 4, 2))
    x = layers.Conv2D(3, 2, name="conv")(inputs)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.Dense(2, name="dense")(layers.Flatten()(layers.ReLU()(x)))
    return keras.Model(inputs, x, name="frame")


@functools.cache
def _net():
    inputs = keras.Input((_STEPS, 4, 4, 2))
    x = layers.TimeDistributed(_frame(), name="frames")(inputs)
    x = layers.Dense(2, name="logits")(layers.Flatten()(x))
    return keras.Model(inputs, x, name="net")


def _clips(count=16):
    random = np.random.default_rng(0)
    return random.normal(size=(count, _STEPS, 4, 4, 2)).astype(np.float32)


class TimeDistributedTest(tf.test.TestCase):
    def test_each_step_is_what_the_model_inside_answers(self):
        """With the same step sizes, on that step alone."""
        inputs = keras.Input((_STEPS, 4, 4, 2))
        outputs = layers.TimeDistributed(_frame(), name="frames")(inputs)
        quantized = fake_quantize_model(keras.Model(inputs, outputs), _ALL)
        alone, clips = fake_quantize_model(_frame(), _ALL), _clips()
        seen, _ = observe_inputs(quantized, clips, False)
        bits = {"weight": 4, "activation": 4}
        steps = initial_step_sizes(quantized, bits, seen)
        set_step_sizes(quantized, steps)
        own = {p.removeprefix("frames/"): s for p, s in steps.tensors.items()}
        set_step_sizes(alone, StepSizes(own))
        for model in (quantized, alone):
            set_operating_point(model, "4/4")

        answers = np.asarray(quantized(clips))
        for step in range(_STEPS):
            self.assertAllClose(answers[:, step], alone(clips[:, step]))
        self.assertNotAllClose(answers[:, 0], _frame()(clips[:, 0]))

    def test_all_of_it_counts(self):
        """27 places of 2 x 2 x 2 x 3 numbers, 3 times 27 x 2, and 6 x 2."""
        made = compat.multiply_adds_of(_net())
        counts = {k.name: sum(v.values()) for k, v in made.items()}
        expected = {"conv": 27 * 24, "dense": 3 * 54, "logits": 12}
        self.assertEqual({k: v for k, v in counts.items() if v}, expected)
        share = quantized_share(fake_quantize_model(_net(), "tflite"))
        self.assertEqual((share.parameters, share.multiply_adds), (1, 1))

    def test_kure_reaches_the_kernels_inside(self):
        model = regularize_kurtosis(_net(), layers=["*"], coefficient=3.0)
        frame, net = _frame().get_layer, _net().get_layer
        kernels = frame("conv").kernel, frame("dense").kernel
        total = sum(
            (scipy.stats.kurtosis(np.ravel(k), fisher=False) - 1.8) ** 2
            for k in map(compat.to_numpy, (*kernels, net("logits").kernel))
        )
        self.assertAllClose(sum(model.losses), total)

    @pytest.mark.one_keras
    def test_batch_norm_inside_is_folded(self):
        folded = dict(compat.layers_of(fold_batch_norm(_net())))
        self.assertEqual(type(folded["frames/norm"]).__name__, "FoldedAway")

    def test_it_is_trained_saved_and_loaded(self):
        clips = _clips(4)
        quantized = quantize_aware(_net(), "lsq", calibration=clips)
        before = [w.numpy() for w in quantized.trainable_variables]
        quantized.compile(keras.optimizers.SGD(0.1), "mse")
        quantized.fit(clips, np.ones((4, 2)), verbose=0)
        after = [w.numpy() for w in quantized.trainable_variables]
        for old, new in zip(before, after, strict=True):
            self.assertNotAllEqual(old, new)

        file = f"{self.get_temp_dir()}/model.keras"
        quantized.save(file)
        self.assertAllEqual(compat.load_model(file)(clips), quantized(clips))


if __name__ == "__main__":
    tf.test.main()
