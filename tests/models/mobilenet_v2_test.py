import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized
from numpy_network import NumpyNetwork, images, randomize

from kure_tf import compat
from kure_tf.compat import keras
from kure_tf.models import mobilenet_v2
from kure_tf.regularizers import KurtosisRegularizer


class _NumpyMobileNetV2(NumpyNetwork):
    """Sandler et al. 2018, table 2: (expansion, stride) of the 17 blocks."""

    BLOCKS = (
        *((1, 1), (6, 2), (6, 1), (6, 2), (6, 1), (6, 1), (6, 2), (6, 1)),
        *((6, 1), (6, 1), (6, 1), (6, 1), (6, 1), (6, 2), (6, 1), (6, 1)),
        (6, 1),
    )

    def _relu6(self, x, norm):
        return np.clip(self.norm(x, norm), 0, 6)

    def _block(self, x, name, expansion, stride):
        y, at = x, 0
        if expansion > 1:
            y = self._relu6(self.conv(y, f"{name}_0_0"), f"{name}_0_1")
            at = 1
        y = self.depthwise(y, f"{name}_{at}_0", stride)
        y = self._relu6(y, f"{name}_{at}_1")
        y = self.norm(self.conv(y, f"{name}_{at + 1}"), f"{name}_{at + 2}")
        return x + y if x.shape == y.shape else y

    def __call__(self, x):
        x = self._relu6(self.conv(x, "features_0_0", 2), "features_0_1")
        for index, (expansion, stride) in enumerate(self.BLOCKS, start=1):
            x = self._block(x, f"features_{index}_conv", expansion, stride)
        x = self._relu6(self.conv(x, "features_18_0"), "features_18_1")
        return self.dense(x.mean(axis=(1, 2)), "classifier_1")


class MobileNetV2Test(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters((1.0, (32, 32, 3)), (0.35, (48, 32, 1)))
    def test_outputs_are_those_of_an_independent_numpy_forward(
        self, width, input_shape
    ):
        model = mobilenet_v2(7, input_shape, width=width)
        randomize(model)
        batch = images(2, input_shape)

        logits = model(batch)

        expected = _NumpyMobileNetV2(model)(batch.astype(float))
        self.assertAllClose(
            logits / np.std(expected), expected / np.std(expected), atol=1e-4
        )

    @parameterized.parameters(
        # Of torchvision (1.0) and of the paper's authors, who publish 1.66,
        # 2.61 and 6.06 million (github.com/tensorflow/models).
        (1.0, 3_504_872, 0),
        (0.35, 1_660_000, 20_000),
        (0.75, 2_610_000, 30_000),
        (1.4, 6_060_000, 60_000),
    )
    @pytest.mark.one_keras
    def test_has_the_published_number_of_parameters(
        self, width, published, tolerance
    ):
        """Torch does not count the statistics of batch normalization."""
        model = mobilenet_v2(1000, (32, 32, 3), width=width)

        trainable = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
        self.assertNear(trainable, published, tolerance)

    def test_every_kernel_gets_the_regularizer_in_its_slot(self):
        regularizer = KurtosisRegularizer(1.8)

        model = mobilenet_v2(3, (32, 32, 3), regularizer, width=0.35)

        slots = [
            (kernel.regularizer, getattr(layer, kernel.regularizer))
            for _, layer in compat.layers_of(model)
            for kernel in compat.kernels_of(layer)
        ]
        self.assertLen(slots, 53)
        self.assertEqual({found for _, found in slots}, {regularizer})
        depthwise = [s for s, _ in slots if s == "depthwise_regularizer"]
        self.assertLen(depthwise, 17)
        self.assertLen(model.losses, 53)

    @pytest.mark.one_keras
    def test_activations_never_exceed_six(self):
        model = mobilenet_v2(2, (32, 32, 3), width=0.35)
        randomize(model)
        first = keras.Model(
            model.inputs[0], model.get_layer("features_0_2").output
        )

        values = np.array(first(100 * images(2, (32, 32, 3))))

        self.assertEqual((values.min(), values.max()), (0.0, 6.0))

    @pytest.mark.one_keras
    def test_dropout_is_active_only_in_training(self):
        model = mobilenet_v2(5, (32, 32, 3), width=0.35, dropout=0.5)
        randomize(model)
        model.trainable = False  # Keeps batch normalization as it is.
        batch = images(1, (32, 32, 3))

        self.assertAllEqual(model(batch), model(batch))
        self.assertNotAllClose(model(batch, training=True), model(batch))

    @pytest.mark.one_keras
    def test_without_dropout_there_is_no_such_layer(self):
        model = mobilenet_v2(5, (32, 32, 3), width=0.35, dropout=0)

        kinds = [type(layer) for _, layer in compat.layers_of(model)]
        self.assertNotIn(keras.layers.Dropout, kinds)

    @parameterized.parameters(
        ({"width": 0}, "width above 0.*0"),
        ({"width": "1.0"}, "width above 0.*'1.0'"),
        ({"dropout": 1}, r"in \[0, 1\).*1"),
        ({"dropout": None}, r"in \[0, 1\).*None"),
    )
    def test_bad_options_are_refused(self, options, message):
        with self.assertRaisesRegex((TypeError, ValueError), message):
            mobilenet_v2(2, (32, 32, 3), **options)


if __name__ == "__main__":
    tf.test.main()
