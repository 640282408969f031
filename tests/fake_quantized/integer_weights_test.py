"""The integer codes behind quantized weights."""

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized
from qat_models import METHODS, make_quantized

from kure_tf import compat
from kure_tf.fake_quantized import (
    integer_weights,
    quantizers_of,
)
from kure_tf.quantizers import UniformQuantizer

pytestmark = pytest.mark.one_keras


class IntegerWeightsTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.product(
        method=METHODS, bits=(2, 4, 8), placement=("paper", "tflite")
    )
    def test_codes_stand_for_the_weights_in_use(self, method, bits, placement):
        quantized = make_quantized(method, bits, placement=placement)
        found = integer_weights(quantized)
        for path, tensor in quantizers_of(quantized).items():
            if tensor.kind != "weight":
                continue
            own = found[path]
            in_use = tensor.quantizer(
                compat.full_precision(tensor.variable), tensor.state
            )
            high = 2 ** ((tensor.pinned_bits or bits) - 1) - 1
            self.assertEqual(own.codes.dtype, np.int8)
            self.assertLessEqual(np.abs(own.codes.astype(int)).max(), high)
            self.assertEqual(own.levels, 2 * high + 1)
            self.assertEqual(own.zero_point, 0)
            self.assertTrue(own.deployable)
            self.assertAllClose(own.to_float(), in_use, rtol=1e-6, atol=1e-8)

    def test_mid_rise_grid_says_that_no_device_holds_it(self):
        from kure_tf.fake_quantized import paper_placement

        placement = paper_placement(weights=UniformQuantizer("reference"))
        quantized = make_quantized("dorefa", 3, placement=placement)
        own = integer_weights(quantized)["conv2/kernel"]
        self.assertEqual((own.levels, own.zero_point), (8, -0.5))
        self.assertFalse(own.deployable)
        tensor = quantizers_of(quantized)["conv2/kernel"]
        in_use = tensor.quantizer(
            compat.full_precision(tensor.variable), tensor.state
        )
        self.assertAllClose(own.to_float(), in_use, rtol=1e-5)

    def test_more_than_8_bits_need_int16(self):
        own = integer_weights(make_quantized(weight_bits=12))["conv2/kernel"]
        self.assertEqual(own.codes.dtype, np.int16)

    def test_a_model_in_float_is_refused_with_the_way_out(self):
        quantized = make_quantized(weight_bits=None)
        with self.assertRaisesRegex(ValueError, "set_operating_point"):
            integer_weights(quantized)


if __name__ == "__main__":
    tf.test.main()
