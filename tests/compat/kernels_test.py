"""The kernels of layers."""

import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from graph_models import Scaled

from kure_tf import compat
from kure_tf.compat import keras

layers = keras.layers


_RECURRENT = ["kernel", "recurrent_kernel"]
INSIDE = (
    (lambda: layers.Embedding(7, 3), (), ["embeddings"]),
    (lambda: layers.LSTM(3), (4, 2), _RECURRENT),
    (lambda: layers.GRU(3), (4, 2), _RECURRENT),
    (lambda: layers.SimpleRNN(3), (4, 2), _RECURRENT),
    (lambda: layers.ConvLSTM1D(3, 2), (4, 5, 2), _RECURRENT),
    (lambda: layers.ConvLSTM2D(3, 2), (4, 5, 5, 2), _RECURRENT),
    (lambda: layers.RNN(layers.GRUCell(3)), (4, 2), _RECURRENT),
    (
        lambda: layers.RNN([layers.LSTMCell(3), layers.SimpleRNNCell(2)]),
        (4, 2),
        [f"cell_{i}_{name}" for i in (0, 1) for name in _RECURRENT],
    ),
    (lambda: layers.TimeDistributed(layers.Dense(3)), (4, 2), ["kernel"]),
    (
        lambda: layers.TimeDistributed(layers.SeparableConv1D(3, 2)),
        (4, 5, 2),
        ["depthwise_kernel", "pointwise_kernel"],
    ),
    (
        lambda: layers.Bidirectional(layers.GRU(3)),
        (4, 2),
        [f"{way}_{n}" for way in ("forward", "backward") for n in _RECURRENT],
    ),
)


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

    @parameterized.parameters(*INSIDE)
    def test_kernels_of_layers_inside(self, make, shape, names):
        """All weights but biases, and where their regularizers are told."""
        layer = make()
        layer.build((2, *shape))
        kernels = compat.kernels_of(layer)

        self.assertEqual([kernel.name for kernel in kernels], names)
        variables = [kernel.variable_in(layer) for kernel in kernels]
        self.assertCountEqual(
            [id(w) for w in layer.weights if "bias" not in w.name],
            map(id, variables),
        )
        for kernel in kernels:
            self.assertIsNone(kernel.regularizer_in(layer))
            config = layer.get_config()
            for key in kernel.config:
                config = config[key]
            self.assertIn(kernel.regularizer, config)

    def test_a_layer_says_what_it_has(self):
        class Own(keras.layers.Layer):
            def kure_tf_kernels(self):
                return [compat.Kernel("table", None, (-2,))]

        self.assertEqual(
            compat.kernels_of(Own()), (compat.Kernel("table", None, (-2,)),)
        )

    def test_spectral_normalization_has_the_kernel_inside(self):
        inner = keras.layers.DepthwiseConv1D(2)
        if not compat.IS_KERAS_3:  # It wants a `kernel` by that name.
            inner = keras.layers.Embedding(5, 2)
        layer = keras.layers.SpectralNormalization(inner)
        (kernel,) = compat.kernels_of(layer)
        (inside,) = compat.kernels_of(inner)
        self.assertIs(kernel.owner_in(layer), inner)
        self.assertEqual(kernel.channel_axes, inside.channel_axes)

    def test_other_layers_have_none(self):
        for layer in (
            keras.layers.BatchNormalization(),
            keras.layers.TimeDistributed(keras.layers.Activation("relu")),
            keras.layers.Attention(use_scale=True),
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
