import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized
from numpy_network import NumpyNetwork, images, max_pool, randomize

from kure_tf import compat
from kure_tf.models import resnet18, resnet50
from kure_tf.regularizers import KurtosisRegularizer


class _NumpyResNet(NumpyNetwork):
    """He et al. 2016, table 1, with option B and version 1.5's strides."""

    def _conv_and_norm(self, x, name, norm, stride=1):
        return self.norm(self.conv(x, name, stride), norm)

    def _block(self, x, prefix, convs, strides):
        y = x
        for index, stride in zip(range(1, convs + 1), strides, strict=True):
            name, norm = f"{prefix}_conv{index}", f"{prefix}_bn{index}"
            y = self._conv_and_norm(y, name, norm, stride)
            if index < convs:
                y = np.maximum(y, 0)
        if x.shape != y.shape:
            name = f"{prefix}_downsample"
            stride = max(strides)
            x = self._conv_and_norm(x, f"{name}_0", f"{name}_1", stride)
        return np.maximum(x + y, 0)

    def __call__(self, x, depths, convs):
        x = np.maximum(self._conv_and_norm(x, "conv1", "bn1", 2), 0)
        x = max_pool(x)
        for stage, depth in enumerate(depths, start=1):
            for index in range(depth):
                strides = [1] * convs
                if stage > 1 and index == 0:
                    strides[convs - 2] = 2  # The first 3x3 convolution.
                x = self._block(x, f"layer{stage}_{index}", convs, strides)
        return self.dense(x.mean(axis=(1, 2)), "fc")


_RESNETS = (
    ("resnet18", resnet18, (2, 2, 2, 2), 2),
    ("resnet50", resnet50, (3, 4, 6, 3), 3),
)


class ResNetImageNetTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.named_parameters(*_RESNETS)
    def test_outputs_are_those_of_an_independent_numpy_forward(
        self, build, depths, convs
    ):
        model = build(7, (32, 48, 3))
        randomize(model)
        batch = images(2, (32, 48, 3))

        logits = model(batch)

        expected = _NumpyResNet(model)(batch.astype(float), depths, convs)
        self.assertEqual(logits.shape, (2, 7))
        self.assertAllClose(
            logits / np.std(expected), expected / np.std(expected), atol=1e-4
        )

    @parameterized.parameters((resnet18, 11_689_512), (resnet50, 25_557_032))
    @pytest.mark.one_keras
    def test_has_the_published_number_of_parameters(self, build, published):
        """Torch does not count the statistics of batch normalization."""
        model = build(1000, (32, 32, 3))

        trainable = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
        self.assertEqual(trainable, published)

    @parameterized.parameters((resnet18, 20), (resnet50, 53))
    @pytest.mark.one_keras
    def test_every_kernel_gets_the_regularizer(self, build, convs):
        regularizer = KurtosisRegularizer(1.8)

        model = build(3, (32, 32, 3), regularizer)

        kernels = [
            layer.kernel_regularizer
            for _, layer in compat.layers_of(model)
            if compat.kernels_of(layer)
        ]
        self.assertEqual(kernels, [regularizer] * (convs + 1))


if __name__ == "__main__":
    tf.test.main()
