"""The example of text and numbers: its data and its table."""

import numpy as np
import pytest
from absl.testing import absltest
from example_module import example_module

pytestmark = pytest.mark.one_keras


class BeyondImagesTest(absltest.TestCase):
    def test_each_package_is_to_train_with_and_to_test_with(self):
        example = example_module("beyond_images")
        for ids, classes in example.text():
            self.assertEqual(ids.shape, (len(classes), example.LENGTH))
            self.assertLess(ids.max(), example.WORDS)
            self.assertEqual(
                set(classes.tolist()), set(range(len(example.PACKAGES)))
            )

    def test_numbers_are_friedmans_but_for_noise_of_one(self):
        x, y = (
            np.concatenate(one)
            for one in zip(
                *example_module("beyond_images").numbers(), strict=True
            )
        )
        clean = 10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 10 * x[:, 3]
        clean += 20 * (x[:, 2] - 0.5) ** 2 + 5 * x[:, 4]
        slope, offset = np.polyfit(clean, y[:, 0], 1)
        noise = (y[:, 0] - offset) / slope - clean
        self.assertAlmostEqual(noise.std(), 1.0, delta=0.05)

    def test_the_table_has_means_and_deviations(self):
        rows = [
            {
                "net": "gru",
                "kure": "none",
                "metric": "accuracy",
                "values": {"FP": value},
                "kurtosis": {"first": 4.0, "a": 2.0, "b": 3.0},
            }
            for value in (0.5, 0.7)
        ]
        self.assertIn(
            "| gru, accuracy | none | 60.0 +- 10.0 | 4.0 / 2.5 |",
            example_module("beyond_images").table(rows),
        )


if __name__ == "__main__":
    absltest.main()
