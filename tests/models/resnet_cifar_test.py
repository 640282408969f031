import os

import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from numpy_network import NumpyNetwork, images, randomize

from kure_tf.compat import keras
from kure_tf.models import resnet20
from kure_tf.regularizers import KurtosisRegularizer


class _NumpyResNet20(NumpyNetwork):
    """He et al. 2016, section 4.2."""

    def _block(self, x, prefix, filters, stride):
        y = self.conv(x, f"{prefix}_conv1", stride)
        y = np.maximum(self.norm(y, f"{prefix}_bn1"), 0)
        y = self.norm(self.conv(y, f"{prefix}_conv2"), f"{prefix}_bn2")
        if stride > 1:  # Option A: every second pixel, channels of zeros.
            side = (filters - x.shape[-1]) // 2
            x = np.pad(
                x[:, ::stride, ::stride],
                [(0, 0), (0, 0), (0, 0), (side, side)],
            )
        return np.maximum(x + y, 0)

    def __call__(self, x):
        x = np.maximum(self.norm(self.conv(x, "conv1"), "bn1"), 0)
        for stage, filters in ((1, 16), (2, 32), (3, 64)):
            for index in range(3):
                stride = 2 if stage > 1 and index == 0 else 1
                x = self._block(x, f"layer{stage}_{index}", filters, stride)
        return self.dense(x.mean(axis=(1, 2)), "linear")


class ResNet20Test(tf.test.TestCase, parameterized.TestCase):
    @parameterized.named_parameters(
        ("cifar", (32, 32, 3), 10),
        ("oblong_grey", (16, 24, 1), 7),
        ("smallest", (4, 4, 3), 2),
    )
    def test_outputs_are_those_of_an_independent_numpy_forward(
        self, input_shape, num_classes
    ):
        model = resnet20(num_classes, input_shape)
        randomize(model)
        batch = images(2, input_shape)

        logits = model(batch)

        expected = _NumpyResNet20(model)(batch.astype(np.float64))
        self.assertEqual(logits.shape, (2, num_classes))
        self.assertAllClose(logits, expected, rtol=1e-4, atol=1e-4)

    def test_has_the_papers_number_of_weights(self):
        model = resnet20()

        # Convolutions, batch norms (4 values each), dense layer.
        convs = 9 * (3 * 16 + 6 * 16**2 + 16 * 32 + 5 * 32**2)
        convs += 9 * (32 * 64 + 5 * 64**2)
        norms = 4 * (7 * 16 + 6 * 32 + 6 * 64)
        self.assertEqual(model.count_params(), convs + norms + 64 * 10 + 10)
        self.assertLen(
            [w for w in model.layers if "conv" in w.name and w.weights], 19
        )

    def test_every_kernel_gets_the_regularizer(self):
        model = resnet20(kernel_regularizer=KurtosisRegularizer(1.8, 0.5))

        self.assertLen(model.losses, 20)
        first = np.array(model.get_layer("conv1").kernel, np.float64)
        d = first - first.mean()
        kurtosis = np.mean(d**4) / np.mean(d**2) ** 2
        losses = [float(loss) for loss in model.losses]
        expected = 0.5 * (kurtosis - 1.8) ** 2
        self.assertLess(np.min(np.abs(np.array(losses) - expected)), 1e-4)

    def test_without_a_regularizer_there_are_no_losses(self):
        self.assertEmpty(resnet20().losses)

    @parameterized.parameters("keras", "h5")
    def test_is_saved_and_loaded(self, suffix):
        model = resnet20(10, (8, 8, 3))
        randomize(model)
        path = os.path.join(self.get_temp_dir(), f"model.{suffix}")

        model.save(path)
        loaded = keras.models.load_model(path)

        batch = images(2, (8, 8, 3))
        self.assertAllEqual(loaded(batch), model(batch))

    def test_any_batch_size_and_one_training_step(self):
        model = resnet20(3, (8, 8, 3))
        model.compile(
            "sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        )

        loss = model.train_on_batch(images(5, (8, 8, 3)), np.arange(5) % 3)

        self.assertTrue(np.all(np.isfinite(loss)))
        self.assertEqual(model(images(1, (8, 8, 3))).shape, (1, 3))


if __name__ == "__main__":
    tf.test.main()
