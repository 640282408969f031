import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from kure_tf.export.fake_quant.ends import fake_quant_ends


class FakeQuantEndsTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.named_parameters(
        ("int8_kernel", -127, 127),
        ("int4_kernel", -7, 7),
        ("relu", 0, 255),
        ("four_bits", -240, 15),
        ("signed", -128, 127),
    )
    def test_the_converter_finds_every_scale_to_the_last_bit(self, low, high):
        scales = np.exp(
            np.random.default_rng(0).uniform(-18, 4, 20_000)
        ).astype(np.float32)

        lowest, highest = fake_quant_ends(scales, low, high)

        found = (np.float64(highest) - np.float64(lowest)) / (high - low)
        self.assertAllEqual(np.float32(found), scales)
        for end, level in ((lowest, low), (highest, high)):
            self.assertAllClose(end / scales, np.full(20_000, level), atol=1e-4)

    def test_plain_ends_would_miss_some(self):
        scales = np.random.default_rng(0).uniform(1, 2, 2000).astype(np.float32)

        found = np.float64(np.float32(127) * scales) / 127

        self.assertLess(np.mean(np.float32(found) == scales), 1.0)


if __name__ == "__main__":
    tf.test.main()
