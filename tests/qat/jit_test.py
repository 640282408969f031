"""Quantization-aware models under XLA, which wants sizes that are known."""

import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from qat_models import METHODS, make_images, make_quantized

from kure_tf import compat
from kure_tf.compat import keras


class JitTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(*METHODS)
    def test_training_steps_are_those_without_xla(self, method):
        weights = []
        for jit in (False, True):
            keras.utils.set_random_seed(0)
            model = make_quantized(method)
            model.compile(
                keras.optimizers.SGD(0.01),
                keras.losses.SparseCategoricalCrossentropy(from_logits=True),
                jit_compile=jit,
            )
            before = model.get_weights()
            for _ in range(2):
                model.train_on_batch(make_images(), np.arange(16) % 10)
            self.assertNotAllClose(before[0], model.get_weights()[0])
            weights.append(model.get_weights())
        plain, compiled = weights
        for one, other in zip(plain, compiled, strict=True):
            self.assertAllClose(one, other, rtol=1e-3, atol=1e-4)

    def test_steps_of_channels_get_the_gradient_of_their_channel(self):
        """XLA sums over constant axes; the sums are those of eager mode."""
        model = make_quantized("lsq", placement="tflite")
        kernels = [
            tensor
            for tensor in _weights(model)
            if tensor.state.step_size.shape.rank
        ]
        x, state = kernels[0].variable, kernels[0].state
        steps = compat.tf_variable(state.step_size)

        def gradient():
            with tf.GradientTape() as tape:
                tape.watch(steps)
                y = kernels[0].quantizer(tf.convert_to_tensor(x), state)
                loss = tf.reduce_sum(tf.sin(y))
            return tape.gradient(loss, steps)

        self.assertAllClose(
            tf.function(gradient, jit_compile=True)(), gradient(), rtol=1e-4
        )


def _weights(model):
    from kure_tf.fake_quantized import quantizers_of

    return [t for t in quantizers_of(model).values() if t.kind == "weight"]


if __name__ == "__main__":
    tf.test.main()
