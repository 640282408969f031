"""Steps learned with batch statistics, against the re-estimated network."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized
from scipy import special

from kure_tf import (
    OperatingPoint,
    fake_quantize_model,
    fake_quantized,
    ptq,
    set_operating_point,
    set_step_sizes,
)
from kure_tf.compat import keras
from kure_tf.fake_quantized import Placement, quantizers_of
from kure_tf.quantizers import UniformQuantizer

pytestmark = pytest.mark.one_keras

POINT = OperatingPoint(2, None)
LEARN = functools.partial(
    ptq.learned_steps, norms=(2.0,), updates=30, batch_size=60, progress=False
)


def _images(count=200, seed=0):
    """Returns points `[count, 4]` and which of 3 regions each lies in."""
    x = np.random.default_rng(seed).normal(size=(count, 4)).astype(np.float32)
    return x, np.digitize(np.square(x).sum(1), [2.5, 4.5])


@functools.cache  # Searches leave the model as it was; compiling takes time.
def _quantized(granularity="per_tensor"):
    """Returns a trained, fake-quantized model and its calibration."""
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(24, use_bias=False, name="a"),
            layers.BatchNormalization(name="bn"),
            layers.ReLU(),
            layers.Dense(3, name="b"),
        ]
    )
    rng = np.random.default_rng(2)
    for layer in ("a", "b"):
        kernel, *rest = model.get_layer(layer).get_weights()
        kernel = rng.normal(0, 0.4, kernel.shape)
        model.get_layer(layer).set_weights([kernel, *rest])
    model.compile(
        keras.optimizers.Adam(0.02),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    x, labels = _images(600, 1)
    model.fit(x, labels, batch_size=60, epochs=12, shuffle=False, verbose=0)
    weights = UniformQuantizer("narrow", granularity)
    copy = fake_quantize_model(model, Placement(weights, activations=None))
    return copy, ptq.calibrate(copy, [_images()], progress=False)


def _reestimated_loss(model, step_sizes):
    """The loss of inference after batch norm was estimated on the images."""
    x, labels = _images()
    set_step_sizes(model, step_sizes)
    set_operating_point(model, POINT)
    with fake_quantized.keeping(model):
        ptq.reestimate_batch_norm(model, [x])
        logs = special.log_softmax(model(x, training=False), -1)
    return -logs[np.arange(len(x)), labels].mean()


class LearnedStepsTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters("per_tensor", "per_channel")
    def test_the_loss_after_reestimation_falls_as_the_provenance_says(
        self, granularity
    ):
        model, calibration = _quantized(granularity)
        start = ptq.lp_norm(calibration, POINT)
        before = _reestimated_loss(model, start)
        steps = LEARN(calibration, POINT)
        after = _reestimated_loss(model, steps)
        said = steps.provenance
        self.assertAllClose(said["first_loss"], before, rtol=1e-4)
        self.assertAllClose(said["loss"], after, rtol=1e-4)
        self.assertLess(after, 0.97 * before)
        for path, step in steps.tensors.items():
            shape = start.tensors[path].step_size.shape
            self.assertEqual(step.step_size.shape, shape)

    def test_the_model_is_left_as_it_was(self):
        model, calibration = _quantized()
        set_step_sizes(model, ptq.minmax(calibration, OperatingPoint(5, None)))
        set_operating_point(model, "4/FP x1.3")

        def state():
            found = fake_quantized.batch_norm_statistics(model)["bn"]
            steps = [
                np.ravel(variable)
                for tensor in quantizers_of(model).values()
                for variable in vars(tensor.state).values()
            ]
            return np.concatenate([found.mean, found.variance, *steps])

        before = state()
        LEARN(calibration, POINT)
        self.assertAllEqual(state(), before)

    def test_the_same_seed_gives_the_same_steps_and_another_others(self):
        _, calibration = _quantized("per_channel")
        first, again, other = (
            LEARN(calibration, POINT, seed=seed).tensors["a/kernel"].step_size
            for seed in (0, 0, 1)
        )
        self.assertAllEqual(first, again)
        self.assertNotAllEqual(first, other)

    def test_the_start_is_kept_where_no_update_is_asked_for(self):
        _, calibration = _quantized()
        steps = LEARN(calibration, POINT, updates=0)
        start = ptq.lp_norm(calibration, POINT)
        for path, step in steps.tensors.items():
            self.assertAllClose(step.step_size, start.tensors[path].step_size)
        self.assertEqual(steps.provenance["forward_passes"], 2.0)

    def test_the_loss_is_measured_each_time_the_images_were_gone_through(self):
        _, calibration = _quantized()
        said = LEARN(calibration, POINT, updates=10).provenance
        # Float, one norm, after 3, 6, 9 and 10 updates of 60 of 200 images.
        self.assertAllClose(said["forward_passes"], 2 + 4 + 10 * 3 * 60 / 200)

    def test_bad_options_are_refused(self):
        for options, message in (
            ({"learning_rate": -0.1}, "learning rate to be positive"),
            ({"batch_size": 0}, "batch size of 1 or more"),
        ):
            with self.assertRaisesRegex(ValueError, message):
                ptq.learned_steps(None, POINT, **options)

    def test_a_model_without_batch_norm_is_refused(self):
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
        copy = fake_quantize_model(model, Placement(activations=None))
        calibration = ptq.calibrate(copy, [_images()], progress=False)
        with self.assertRaisesRegex(ValueError, "batch normalization.*none"):
            LEARN(calibration, POINT)


if __name__ == "__main__":
    tf.test.main()
