import os

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from kure_tf import models
from kure_tf.compat import keras
from kure_tf.models import small_cnn
from kure_tf.regularizers import KurtosisRegularizer


def _images(count, shape):
    rng = np.random.default_rng(0)
    return rng.normal(size=(count, *shape)).astype(np.float32)


class SmallCnnTest(tf.test.TestCase, parameterized.TestCase):
    def test_has_the_documented_weights(self):
        model = small_cnn()

        convs = 9 * (1 * 16 + 16 * 32 + 32 * 32 + 32 * 64)
        norms = 4 * (16 + 32 + 32 + 64)
        self.assertEqual(model.count_params(), convs + norms + 64 * 10 + 10)
        self.assertBetween(model.count_params(), 33_000, 35_000)

    @parameterized.named_parameters(
        ("digits", (8, 8, 1), 10),
        ("oblong", (5, 9, 3), 4),
        ("smallest", (2, 2, 1), 2),
    )
    def test_returns_one_logit_for_each_class(self, input_shape, num_classes):
        model = small_cnn(num_classes, input_shape)

        logits = model(_images(3, input_shape))

        self.assertEqual(logits.shape, (3, num_classes))
        self.assertLess(np.min(logits), 0.0)  # No softmax.

    def test_every_kernel_gets_the_regularizer(self):
        model = small_cnn(kernel_regularizer=KurtosisRegularizer(1.8, 0.5))

        self.assertLen(model.losses, 5)
        self.assertEmpty(small_cnn().losses)

    @parameterized.parameters("keras", "h5")
    def test_is_saved_and_loaded(self, suffix):
        model = small_cnn()
        path = os.path.join(self.get_temp_dir(), f"model.{suffix}")

        model.save(path)
        loaded = keras.models.load_model(path)

        images = _images(2, (8, 8, 1))
        self.assertAllEqual(loaded(images), model(images))


class GetTest(tf.test.TestCase):
    def test_finds_models_by_name(self):
        self.assertIs(models.get("small_cnn"), small_cnn)
        self.assertIs(models.get("resnet20"), models.resnet20)

    def test_an_unknown_name_lists_the_choices(self):
        for name in ("resnet21", "import_npz", "torch_arrays", "get", None):
            with self.assertRaisesRegex(ValueError, "resnet20.*small_cnn"):
                models.get(name)


if __name__ == "__main__":
    tf.test.main()
