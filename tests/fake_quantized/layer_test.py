import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from kure_tf import fake_quantize_model, set_operating_point, set_step_sizes
from kure_tf.compat import IS_KERAS_3, keras, register_serializable
from kure_tf.fake_quantized import FakeQuantized, Placement, quantizers_of
from kure_tf.quantizers import UniformQuantizer
from kure_tf.settings import StepSizes, TensorStep

layers = keras.layers
DEPTHWISE = "kernel" if IS_KERAS_3 else "depthwise_kernel"

# Name, layer, shape of the input, {kernel: axes that the step does not share}.
LAYERS = (
    ("conv1d", lambda: layers.Conv1D(3, 2), (5, 2), {"kernel": [2]}),
    ("conv2d", lambda: layers.Conv2D(3, 2), (5, 5, 2), {"kernel": [3]}),
    (
        "grouped_conv2d",
        lambda: layers.Conv2D(4, 2, groups=2),
        (5, 5, 2),
        {"kernel": [3]},
    ),
    ("conv3d", lambda: layers.Conv3D(3, 2), (4, 4, 4, 2), {"kernel": [4]}),
    (
        "conv1d_transpose",
        lambda: layers.Conv1DTranspose(3, 2),
        (5, 2),
        {"kernel": [1]},
    ),
    (
        "conv2d_transpose",
        lambda: layers.Conv2DTranspose(3, 2, strides=2),
        (4, 4, 2),
        {"kernel": [2]},
    ),
    (
        "conv3d_transpose",
        lambda: layers.Conv3DTranspose(3, 2),
        (3, 3, 3, 2),
        {"kernel": [3]},
    ),
    (
        "depthwise_conv1d",
        lambda: layers.DepthwiseConv1D(2, depth_multiplier=3),
        (5, 2),
        {DEPTHWISE: [1, 2]},
    ),
    (
        "depthwise_conv2d",
        lambda: layers.DepthwiseConv2D(2, depth_multiplier=3),
        (5, 5, 2),
        {DEPTHWISE: [2, 3]},
    ),
    (
        "separable_conv1d",
        lambda: layers.SeparableConv1D(3, 2, depth_multiplier=2),
        (5, 2),
        {"depthwise_kernel": [1, 2], "pointwise_kernel": [2]},
    ),
    (
        "separable_conv2d",
        lambda: layers.SeparableConv2D(3, 2, depth_multiplier=2),
        (5, 5, 2),
        {"depthwise_kernel": [2, 3], "pointwise_kernel": [3]},
    ),
    ("dense", lambda: layers.Dense(3, "relu"), (4,), {"kernel": [1]}),
    ("dense_on_sequences", lambda: layers.Dense(3), (2, 4), {"kernel": [1]}),
    (
        "einsum_dense",
        lambda: layers.EinsumDense("abc,cd->abd", (None, 3), bias_axes="d"),
        (2, 4),
        {"kernel": [1]},
    ),
)


def _round(x, step, low, high):
    """Half to even, in float64; float32 keeps what comes out."""
    x = np.asarray(x, np.float64)
    return np.clip(np.round(x / step), low, high) * step


def _quantized_kernel(kernel, bits, own_axes):
    """Max-abs steps on the narrow grid, one for each index of `own_axes`."""
    axes = tuple(i for i in range(kernel.ndim) if i not in own_axes)
    high = 2 ** (bits - 1) - 1
    step = np.abs(kernel).max(axes, keepdims=True).astype(np.float64) / high
    return _round(kernel, step, -high, high)


def _one_layer_model(layer, shape, seed=0):
    inputs = keras.Input(shape)
    model = keras.Model(inputs, layer(inputs))
    rng = np.random.default_rng(seed)
    model.set_weights(
        [rng.normal(0, 0.4, w.shape) for w in model.get_weights()]
    )
    return model


def _images(shape, seed=1, count=3):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, *shape)).astype(np.float32)


class QuantizedOutputsTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.named_parameters(*LAYERS)
    def test_are_those_of_kernels_quantized_by_hand(self, make, shape, kernels):
        layer = make()
        model = _one_layer_model(layer, shape)
        images = _images(shape)
        self.assertAllEqual(
            model(images), fake_quantize_model(model, Placement())(images)
        )
        for granularity in ("per_tensor", "per_channel"):
            placement = Placement(
                weights=UniformQuantizer("narrow", granularity)
            )
            copy = fake_quantize_model(model, placement)
            expected = _one_layer_model(make(), shape)
            expected.set_weights(model.get_weights())
            for name, axes in kernels.items():
                own = axes if granularity == "per_channel" else []
                value = np.array(getattr(layer, name))
                getattr(expected.layers[-1], name).assign(
                    _quantized_kernel(value, 3, own)
                )

            set_operating_point(copy, "3/FP")

            self.assertAllClose(
                copy(images), expected(images), rtol=1e-5, atol=1e-5
            )
            self.assertNotAllClose(copy(images), model(images), atol=1e-3)

    @parameterized.named_parameters(
        ("unsigned", "signed_or_unsigned", 0.0, 0.1, (0, 15)),
        ("signed", "signed_or_unsigned", -2.0, 0.3, (-7, 7)),
        ("zero_point_5", "asymmetric", -0.5, 0.1, (-5, 10)),
        ("zero_point_rounded", "asymmetric", -0.56, 0.1, (-6, 9)),
        ("zero_point_0", "asymmetric", 0.0, 0.1, (0, 15)),
        ("zero_point_at_the_top", "asymmetric", -9.0, 0.1, (-15, 0)),
    )
    def test_are_those_of_an_input_quantized_by_hand(
        self, grid, origin, step, levels
    ):
        model = _one_layer_model(layers.Dense(3, name="d"), (6,))
        copy = fake_quantize_model(
            model, Placement(activations=UniformQuantizer(grid))
        )
        set_step_sizes(
            copy, StepSizes({"d/input": TensorStep(step, 4, origin)})
        )
        images = _images((6,), count=20)

        set_operating_point(copy, "FP/4")

        by_hand = _round(images, np.float32(step), *levels).astype(np.float32)
        self.assertAllClose(copy(images), model(by_hand), atol=1e-5)

    def test_quantize_weights_and_input_together(self):
        model = _one_layer_model(layers.Conv2D(2, 2, name="c"), (4, 4, 2))
        copy = fake_quantize_model(model, Placement())
        set_step_sizes(copy, StepSizes({"c/input": TensorStep(0.25, 4, -1.0)}))
        images = _images((4, 4, 2))
        kernel, bias = model.get_weights()

        set_operating_point(copy, "2/4")

        model.set_weights([_quantized_kernel(kernel, 2, []), bias])
        self.assertAllClose(
            copy(images), model(_round(images, 0.25, -7, 7)), atol=1e-5
        )

    def test_keep_the_operating_point_inside_a_compiled_function(self):
        model = _one_layer_model(layers.Dense(3), (6,))
        copy = fake_quantize_model(model, Placement())
        compiled = tf.function(copy)
        images = _images((6,))
        for point in ("FP/FP", "4/FP", "2/FP", "FP/FP"):
            set_operating_point(copy, point)
            self.assertAllClose(compiled(images), copy(images), atol=1e-6)


@register_serializable("kure_tf_test")
class Scaled(layers.Layer):
    """A user's layer, with a configuration."""

    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def build(self, input_shape):
        self.gain = self.add_weight(name="gain", shape=(input_shape[-1],))
        super().build(input_shape)

    def call(self, inputs):
        return inputs * self.gain * self.factor

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


class Plain(layers.Layer):
    """A user's layer without arguments and without `get_config`."""

    def build(self, input_shape):
        self.gain = self.add_weight(name="gain", shape=(input_shape[-1],))
        super().build(input_shape)

    def call(self, inputs):
        return inputs + self.gain


class Opaque(layers.Layer):
    """A user's layer whose argument no configuration can hold."""

    def __init__(self, function, **kwargs):
        super().__init__(**kwargs)
        self._function = function

    def call(self, inputs):
        return self._function(inputs)

    def get_config(self):
        return super().get_config()


class Block(layers.Layer):
    """A user's layer that hides a dense layer."""

    def build(self, input_shape):
        self.dense = layers.Dense(input_shape[-1])
        self.dense.build(input_shape)
        super().build(input_shape)

    def call(self, inputs):
        return self.dense(inputs)


class UsersDense(layers.Dense):
    """A user's own kind of dense layer."""

    def call(self, inputs):
        return 2.0 * super().call(inputs)


class OtherLayersTest(tf.test.TestCase, parameterized.TestCase):
    def _check(self, model, images, reasons):
        copy = fake_quantize_model(model, Placement(activations=None))
        self.assertAllEqual(model(images), copy(images))
        set_operating_point(copy, "2/FP")
        self.assertNotAllClose(model(images), copy(images), atol=1e-4)
        skipped = Placement().chosen(model).skipped
        for name, kind in reasons.items():
            self.assertEqual(
                skipped[name], f"{kind} has no kernels that kure_tf knows"
            )
        return copy

    def test_a_users_own_layers_stay_as_they_are(self):
        model = keras.Sequential(
            [
                keras.Input((4,)),
                Scaled(3.0, name="scaled"),
                Plain(name="plain"),
                Block(name="block"),
                layers.Dense(3),
            ]
        )
        reasons = {"scaled": "Scaled", "plain": "Plain", "block": "Block"}
        copy = self._check(model, _images((4,)), reasons)
        self.assertLen(quantizers_of(copy), 1)
        self.assertIsInstance(copy.get_layer("scaled"), Scaled)
        self.assertEqual(copy.get_layer("scaled").factor, 3.0)

    def test_a_users_kind_of_dense_layer_is_quantized(self):
        model = _one_layer_model(UsersDense(3, name="own"), (4,))
        copy = self._check(model, _images((4,)), {})
        self.assertEqual(list(quantizers_of(copy)), ["own/kernel"])

    def test_a_layer_that_cannot_be_copied_is_named_with_the_way_out(self):
        model = keras.Sequential(
            [keras.Input((4,)), Opaque(tf.nn.relu, name="odd"), layers.Dense(3)]
        )
        with self.assertRaisesRegex(
            TypeError, "'odd' of class Opaque.*get_con"
        ):
            fake_quantize_model(model, Placement())

    def test_layers_without_a_kernel_stay_float_and_say_why(self):
        inputs = keras.Input((5, 4))
        x = layers.LayerNormalization(name="norm")(inputs)
        x = layers.PReLU(name="slopes")(x)
        model = keras.Model(inputs, layers.Dense(2)(x))
        reasons = {"norm": "LayerNormalization", "slopes": "PReLU"}
        self._check(model, _images((5, 4)), reasons)

    def test_operations_in_the_graph_stay_as_they_are(self):
        inputs = keras.Input((4,))
        x = layers.Dense(4)(inputs)
        if IS_KERAS_3:
            x = keras.ops.tanh(x * 2.0) + inputs
        else:
            x = tf.tanh(x * 2.0) + inputs
        model = keras.Model(inputs, layers.Dense(2)(x))
        self._check(model, _images((4,)), {})


class FakeQuantizedTest(tf.test.TestCase):
    def test_refuses_a_layer_without_a_kernel(self):
        with self.assertRaisesRegex(TypeError, "BatchNormalization.*'norm'"):
            FakeQuantized(layers.BatchNormalization(name="norm"))

    def test_takes_name_and_precision_of_its_layer(self):
        layer = FakeQuantized(
            layers.Dense(2, name="d", dtype="mixed_bfloat16"),
            UniformQuantizer("narrow"),
        )
        outputs = layer(np.ones((1, 3), np.float32))
        self.assertEqual(layer.name, "d")
        self.assertEqual(outputs.dtype, tf.bfloat16)
        self.assertEqual(
            tf.as_dtype(layer.states["kernel"].bits.dtype), tf.float32
        )

    def test_round_trips_through_its_configuration(self):
        layer = FakeQuantized(
            layers.Dense(2, name="d"),
            UniformQuantizer("full", "per_channel"),
            UniformQuantizer("asymmetric"),
            pinned_bits=8,
        )
        copy = FakeQuantized.from_config(layer.get_config())
        self.assertEqual(copy.weight_quantizer, layer.weight_quantizer)
        self.assertEqual(copy.input_quantizer, layer.input_quantizer)
        self.assertEqual(copy.pinned_bits, 8)
        self.assertEqual(copy.layer.units, 2)

    def test_gradient_passes_inside_the_clip_only(self):
        model = _one_layer_model(
            layers.Dense(1, use_bias=False, name="d"), (3,)
        )
        model.set_weights([np.array([[0.11], [0.29], [5.0]])])
        copy = fake_quantize_model(model, Placement())
        set_step_sizes(copy, StepSizes({"d/kernel": TensorStep(0.1, 4)}))
        set_operating_point(copy, "4/FP")
        (kernel,) = copy.trainable_variables
        with tf.GradientTape() as tape:
            y = copy(np.array([[2.0, 3.0, 4.0]], np.float32))
        gradient = tape.gradient(y, kernel.value if IS_KERAS_3 else kernel)
        self.assertAllClose(y, [[2 * 0.1 + 3 * 0.3 + 4 * 0.7]])
        self.assertAllClose(gradient, [[2.0], [3.0], [0.0]])


if __name__ == "__main__":
    tf.test.main()
