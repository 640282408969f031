"""Scales of biases that are products of other scales."""

import numpy as np
import pytest
import tensorflow as tf

from kure_tf.artifact.scale_products import scale_products


class ScaleProductsTest(tf.test.TestCase):
    @pytest.mark.one_keras
    def test_an_operator_may_leave_its_bias_out(self):
        """As those of layers in float do."""
        kernel = tf.constant(np.ones((3, 2), np.float32))
        function = tf.function(
            lambda x: x @ kernel,
            input_signature=[tf.TensorSpec((1, 3), tf.float32)],
        )
        converter = tf.lite.TFLiteConverter.from_concrete_functions(
            [function.get_concrete_function()]
        )
        self.assertEqual(scale_products(converter.convert()), [])


if __name__ == "__main__":
    tf.test.main()
