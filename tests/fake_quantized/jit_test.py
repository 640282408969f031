"""Fake-quantized models under XLA, at operating points of every kind."""

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from kure_tf import (
    fake_quantize_model,
    ptq,
    set_operating_point,
    set_step_sizes,
)
from kure_tf.compat import IS_KERAS_3, keras

POINTS = (
    "FP/FP",
    "4/FP",
    "8/8",
    "3/4 x1.02",
    "4/8 full",
    "4/4 half_up",
    "4/4 floor",
    "4/4 stochastic:7",
)
# Policies and tolerances; the casts of each Keras are its own.
POLICIES = (("float32", 1e-5),)
POLICIES += (("mixed_bfloat16", 1e-2),) if IS_KERAS_3 else ()
POLICIES += (("mixed_float16", 2e-3),)
# Exact in half precision.
IMAGES = np.random.default_rng(0).integers(-48, 48, (4, 6, 6, 2)) / 16
IMAGES = IMAGES.astype(np.float32)


def _net():
    """Three layers that read the images, so that what is rounded is equal.

    Behind another layer a value may lie so near the border between two levels
    that its last bits, which XLA makes otherwise, choose the level.
    """
    keras.utils.set_random_seed(0)
    layers, images = keras.layers, keras.Input((6, 6, 2))
    flat = layers.Flatten()
    outputs = [
        flat(layers.DepthwiseConv2D(3, activation="relu")(images)),
        flat(layers.Conv2D(4, 1)(images)),  # Ends are pinned to 8 bits.
        flat(layers.Dense(3)(images)),
    ]
    return keras.Model(images, layers.Concatenate()(outputs))


def _calibrated():
    model = fake_quantize_model(_net(), "tflite")
    found = ptq.minmax(ptq.calibrate(model, [IMAGES]), "8/8")
    set_step_sizes(model, found)
    return model


class JitTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(*POLICIES)
    def test_one_compiled_graph_answers_as_the_eager_model(self, policy, tol):
        """In half precision XLA leaves out some roundings to it."""
        keras.mixed_precision.set_global_policy(policy)
        self.addCleanup(keras.mixed_precision.set_global_policy, "float32")
        model = _calibrated()
        compiled = tf.function(model, jit_compile=True, autograph=False)
        answers = {}

        for point in POINTS:
            set_operating_point(model, point)
            eager = np.float32(model(IMAGES))
            answers[point] = np.float32(compiled(IMAGES))
            self.assertAllClose(answers[point], eager, rtol=tol, atol=tol)

        different = {answer.tobytes() for answer in answers.values()}
        self.assertLen(different, len(POINTS))


if __name__ == "__main__":
    tf.test.main()
