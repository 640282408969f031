"""Quantization-aware models under XLA, which wants sizes that are known."""

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized
from qat_models import make_images

from kure_tf import compat
from kure_tf.compat import IS_KERAS_3, keras
from kure_tf.fake_quantized import quantizers_of
from kure_tf.qat import quantize_aware
from kure_tf.regularizers import GradientL1Model, KurtosisRegularizer

# Each method and each policy in both, the other engine's turn in tf_keras.
CASES = (
    (("lsq", "native"), ("dorefa", "native"), ("nested_lsq", "native"))
    if IS_KERAS_3
    else (("lsq", "native"), ("dorefa", "tfmot"), ("nested_lsq", "tfmot"))
)
POLICIES = (
    (("mixed_bfloat16", "native"), ("mixed_float16", "native"))
    if IS_KERAS_3
    else (("mixed_bfloat16", "native"), ("mixed_float16", "tfmot"))
)


class JitTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(*CASES)
    def test_training_steps_are_those_without_xla(self, method, engine):
        self._check_steps(
            lambda: _quantized(_net(), method, engine=engine), within=1e-4
        )

    @parameterized.parameters(*POLICIES)
    def test_mixed_precision_too(self, policy, engine):
        """With KURE; float16 with its loss scaled."""
        keras.mixed_precision.set_global_policy(policy)
        self.addCleanup(keras.mixed_precision.set_global_policy, "float32")

        # XLA leaves out some of the roundings to half precision.
        self._check_steps(
            lambda: _quantized(_net(KurtosisRegularizer()), engine=engine),
            within=0.02,
        )

    @pytest.mark.one_keras
    def test_the_rival_regularizer_too(self):
        """Gradient-L1 differentiates a gradient."""
        self._check_steps(lambda: GradientL1Model(_net(), 0.05), within=1e-4)

    def _check_steps(self, make, within):
        """The weights differ by less than that part of how far they moved."""
        before, plain = _two_steps(make, jit=False)
        _, compiled = _two_steps(make, jit=True)
        moved = np.linalg.norm(plain - before)
        self.assertGreater(moved, 1e-3)
        self.assertLess(np.linalg.norm(compiled - plain), within * moved)

    @pytest.mark.one_keras
    def test_steps_of_channels_get_the_gradient_of_their_channel(self):
        """XLA sums over constant axes; the sums are those of eager mode."""
        model = _quantized(_net(), placement="tflite", engine="native")
        kernel = quantizers_of(model)["middle/kernel"]
        x, state = kernel.variable, kernel.state
        steps = compat.tf_variable(state.step_size)
        self.assertEqual(steps.shape.rank, 4)

        def gradient():
            with tf.GradientTape() as tape:
                tape.watch(steps)
                y = kernel.quantizer(tf.convert_to_tensor(x), state)
                loss = tf.reduce_sum(tf.sin(y))
            return tape.gradient(loss, steps)

        self.assertAllClose(
            tf.function(gradient, jit_compile=True)(), gradient(), rtol=1e-4
        )


def _net(kernel_regularizer=None):
    """Three layers, of which the middle one is quantized."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.Conv2D(
                4, 3, kernel_regularizer=kernel_regularizer, name="middle"
            ),
            layers.Flatten(),
            layers.Dense(10),
        ]
    )


def _quantized(net, method="lsq", **options):
    return quantize_aware(
        net, method, calibration=[make_images()], verbose=False, **options
    )


def _two_steps(make, jit):
    """Returns all weights before and after two steps of training."""
    keras.utils.set_random_seed(0)
    model = make()
    model.compile(
        _optimizer(model),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=jit,
    )
    before = _flat(model)
    for _ in range(2):
        model.train_on_batch(make_images(), np.arange(16) % 10)
    return before, _flat(model)


def _flat(model):
    return np.concatenate([np.ravel(w) for w in model.get_weights()])


def _optimizer(model):
    optimizer = keras.optimizers.SGD(0.01)
    if model.layers[-1].compute_dtype != "float16":
        return optimizer
    if IS_KERAS_3:
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return keras.mixed_precision.LossScaleOptimizer(optimizer)


if __name__ == "__main__":
    tf.test.main()
