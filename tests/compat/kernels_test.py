"""The kernels of layers."""

import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from graph_models import Scaled

from kure_tf import compat
from kure_tf.compat import keras


class KernelsTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(
        ("Conv1D", 1, {"filters": 5, "kernel_size": 2}, [(-1,)]),
        ("Conv2D", 2, {"filters": 5, "kernel_size": 2}, [(-1,)]),
        ("Conv3D", 3, {"filters": 5, "kernel_size": 2}, [(-1,)]),
        ("Conv1DTranspose", 1, {"filters": 5, "kernel_size": 2}, [(-2,)]),
        ("Conv2DTranspose", 2, {"filters": 5, "kernel_size": 2}, [(-2,)]),
        ("Conv3DTranspose", 3, {"filters": 5, "kernel_size": 2}, [(-2,)]),
        ("DepthwiseConv1D", 1, {"kernel_size": 2}, [(-2, -1)]),
        (
            "DepthwiseConv2D",
            2,
            {"kernel_size": 2, "depth_multiplier": 4},
            [(-2, -1)],
        ),
        (
            "SeparableConv1D",
            1,
            {"filters": 5, "kernel_size": 2},
            [(-2, -1), (-1,)],
        ),
        (
            "SeparableConv2D",
            2,
            {"filters": 5, "kernel_size": 2},
            [(-2, -1), (-1,)],
        ),
        ("Dense", 0, {"units": 5}, [(-1,)]),
    )
    def test_kernels_regularizers_and_channels(self, name, rank, options, axes):
        layer_class = getattr(keras.layers, name)
        kernels = compat.kernels_of(layer_class(**options))
        l2 = keras.regularizers.L2(1.0)
        layer = layer_class(
            **options, **{kernel.regularizer: l2 for kernel in kernels}
        )
        input_shape = (None, *[6] * rank, 3)
        layer.build(input_shape)

        self.assertEqual([kernel.channel_axes for kernel in kernels], axes)
        variables = [getattr(layer, kernel.attribute) for kernel in kernels]
        self.assertLen(
            [w for w in layer.weights if len(w.shape) > 1], len(variables)
        )
        # The regularizer of that name belongs to that weight.
        self.assertAllClose(
            sum(layer.losses),
            sum(np.sum(np.square(compat.to_numpy(v))) for v in variables),
            rtol=1e-5,
        )
        # The channel axes hold the output channels.
        self.assertEqual(
            np.prod([variables[-1].shape[axis] for axis in axes[-1]]),
            layer.compute_output_shape(input_shape)[-1],
        )

    def test_other_layers_have_none(self):
        for layer in (
            keras.layers.BatchNormalization(),
            keras.layers.Embedding(3, 4),
            keras.layers.LSTM(2),
            Scaled(),
        ):
            self.assertEqual(compat.kernels_of(layer), ())

    def test_subclasses_count(self):
        class Mine(keras.layers.Dense):
            pass

        self.assertLen(compat.kernels_of(Mine(2)), 1)

    @parameterized.parameters(
        ("ab,bc->ac", 3, (-1,)),
        ("ab,cb->ac", 3, (-2,)),
        ("abc,cde->abde", (None, 4, 3), (-2, -1)),
        ("abc,dce->abde", (None, 4, 3), (-1,)),  # d has no neighbour in e.
        ("...x,xy->...y", 3, (-1,)),
    )
    def test_the_channels_of_einsum_dense_are_new_in_the_output(
        self, equation, shape, axes
    ):
        (kernel,) = compat.kernels_of(keras.layers.EinsumDense(equation, shape))

        self.assertEqual(
            (kernel.attribute, kernel.channel_axes), ("kernel", axes)
        )


if __name__ == "__main__":
    tf.test.main()
