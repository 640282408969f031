"""Transformers are quantized whole, and 8 bits leave their logits."""

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized
from transformer_models import bert_like, vit_like

from kure_tf import (
    compat,
    fake_quantize_model,
    ptq,
    set_operating_point,
    set_step_sizes,
)
from kure_tf.compat import keras
from kure_tf.fake_quantized import quantizers_of


def _bert():
    ids = np.random.default_rng(0).integers(0, 300, (8, 12)).astype(np.int32)
    return bert_like(300, 12, 32, 2, blocks=2), ids


def _vit():
    images = np.random.default_rng(0).normal(size=(8, 16, 16, 3))
    return vit_like(16, 4, 32, 2, blocks=2, classes=10), images.astype("f4")


class TransformersTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.named_parameters(("bert_like", _bert), ("vit_like", _vit))
    def test_it_is_quantized_whole(self, make):
        model, _ = make()
        quantized = fake_quantize_model(model, "tflite")
        kernels = sum(
            np.prod(tensor.variable.shape)
            for tensor in quantizers_of(quantized).values()
            if tensor.kind == "weight"
        )
        self.assertGreater(kernels / model.count_params(), 0.95)

    @parameterized.named_parameters(("bert_like", _bert), ("vit_like", _vit))
    @pytest.mark.one_keras
    def test_8_bits_keep_its_logits(self, make):
        # One draw of weights says little: they are 28 to 39 dB apart.
        found = [_ratio_in_db(*_drawn(make, seed)) for seed in range(3)]
        self.assertGreater(np.median(found), 30.0)


def _drawn(make, seed):
    keras.utils.set_random_seed(seed)
    return make()


def _ratio_in_db(model, inputs):
    """Returns the power of the logits to that of their error at 8/8."""
    quantized = fake_quantize_model(model, "tflite")
    calibration = ptq.calibrate(quantized, [inputs], progress=False)
    set_step_sizes(quantized, ptq.minmax(calibration, "8/8"))
    set_operating_point(quantized, "8/8")
    for tensor in quantizers_of(quantized).values():
        assert compat.to_numpy(tensor.state.bits) == 8
    logits = np.asarray(model(inputs), np.float64)
    error = np.asarray(quantized(inputs), np.float64) - logits
    power = np.sum((logits - logits.mean(0)) ** 2)
    return 10 * np.log10(power / np.sum(error**2))


if __name__ == "__main__":
    tf.test.main()
