"""quantize_aware(engine="tfmot") on tf_keras models."""

import keras
import numpy as np
import tensorflow as tf
import tf_keras
from absl.testing import parameterized

from kure_tf.compat import IS_KERAS_3
from kure_tf.fake_quantized import (
    Placement,
    integer_weights,
    kernels_in,
    paper_placement,
    quantizers_of,
    set_operating_point,
    set_step_sizes,
    strip_quantizers,
)
from kure_tf.ptq import calibrate, minmax
from kure_tf.qat import quantize_aware, to_tf_keras
from kure_tf.qat.tfmot import quantize_with_tfmot
from kure_tf.quantizers import UniformQuantizer
from kure_tf.regularizers import KurtosisRegularizer, SumRegularizer
from kure_tf.settings.operating_point import OperatingPoint

layers = tf_keras.layers
EVERYWHERE = Placement(name="everywhere")
X = np.random.default_rng(0).normal(size=(32, 6, 6, 2)).astype(np.float32)
Y = np.random.default_rng(1).integers(0, 3, 32)


def _net(kernel_regularizer=None, module=tf_keras):
    """Returns a net with a block in it, in either Keras."""
    layers = module.layers
    block = module.Sequential(
        [
            module.Input((6, 6, 3)),
            layers.DepthwiseConv2D(3, padding="same", name="depthwise"),
            layers.BatchNormalization(name="norm"),
        ],
        name="block",
    )
    inputs = module.Input((6, 6, 2), name="image")
    x = layers.Conv2D(
        3,
        3,
        padding="same",
        activation="relu",
        kernel_regularizer=kernel_regularizer,
        name="conv",
    )(inputs)
    x = layers.Add(name="add")([x, block(x)])
    x = layers.GlobalAveragePooling2D(name="mean")(x)
    model = module.Model(inputs, layers.Dense(3, name="logits")(x), name="net")
    _compile(model, module)
    return model


def _compile(model, module=tf_keras):
    model.compile(
        module.optimizers.SGD(0.05, momentum=0.9),
        module.losses.SparseCategoricalCrossentropy(from_logits=True),
        run_eagerly=True,  # Quicker than tracing, for a few steps.
    )


def _quantize(model, method="lsq", *bits, placement=EVERYWHERE, **options):
    return quantize_aware(
        model,
        method,
        *bits or (4, 4),
        placement=placement,
        calibration=[X],
        engine="tfmot",
        verbose=False,
        **options,
    )


def _random_kernels(model):
    random = np.random.default_rng(3)
    for _, kernel in kernels_in(model):
        kernel.assign(random.normal(0, 0.3, kernel.shape))
    return model


def _losses(model, steps):
    """Returns the losses of training steps on the same batch."""
    return [float(model.train_on_batch(X, Y)) for _ in range(steps)]


class QuantizeWithTfmotTest(tf.test.TestCase, parameterized.TestCase):
    def test_float_outputs_names_and_paths_are_those_of_the_model(self):
        model = _net()
        quantized = quantize_with_tfmot(model, EVERYWHERE)
        self.assertAllClose(quantized(X), model(X), rtol=1e-5)
        self.assertEqual(
            list(quantizers_of(quantized)),
            [
                "conv/kernel",
                "conv/input",
                "block/depthwise/depthwise_kernel",
                "block/depthwise/input",
                "logits/kernel",
                "logits/input",
            ],
        )
        self.assertEqual(
            [path for path, _ in kernels_in(quantized)],
            [path for path, _ in kernels_in(model)],
        )
        self.assertEqual(
            [layer.name for layer in quantized.layers],
            "image conv block.depthwise block.norm add mean logits".split(),
        )

    def test_only_what_is_planned_is_wrapped(self):
        quantized = quantize_with_tfmot(_net(), "paper")
        wrapped = [
            layer.name
            for layer in quantized.layers
            if isinstance(layer, tf_keras.layers.Wrapper)
        ]
        self.assertEqual(wrapped, ["block.depthwise"])

    def test_the_original_is_not_changed(self):
        model = _net()
        before = model.get_weights()
        quantized = _quantize(model)
        _losses(quantized, 2)
        for was, now in zip(before, model.get_weights(), strict=True):
            self.assertAllEqual(was, now)
        self.assertIsNot(quantized.optimizer, model.optimizer)

    @parameterized.named_parameters(("lsq", "lsq"), ("dorefa", "dorefa"))
    def test_training_moves_kernels_and_only_lsqs_steps(self, method):
        quantized = _quantize(_net(), method)
        tensors = quantizers_of(quantized)
        before = {
            path: (tensor.state.step_size.numpy(), tensor.variable)
            for path, tensor in tensors.items()
        }
        kernels = {p: v.numpy() for p, v in kernels_in(quantized)}
        _losses(quantized, 3)
        for path, (step_size, _) in before.items():
            now = tensors[path].state.step_size.numpy()
            self.assertEqual(bool(np.any(now != step_size)), method == "lsq")
        for path, kernel in kernels_in(quantized):
            self.assertNotAllClose(kernel, kernels[path], rtol=1e-6)

    @parameterized.named_parameters(
        ("lsq", "lsq", "per_channel"), ("dorefa", "dorefa", "per_tensor")
    )
    def test_losses_are_those_of_the_native_engine(self, method, granularity):
        """Under Keras 3, that of the model and its copy in tf_keras."""
        model = _random_kernels(_net(module=keras if IS_KERAS_3 else tf_keras))
        placement = Placement(
            weights=UniformQuantizer("narrow", granularity), last_layer=8
        )
        hosted = to_tf_keras(model) if IS_KERAS_3 else model
        if IS_KERAS_3:
            _compile(hosted)
        native = quantize_aware(
            model,
            method,
            4,
            4,
            placement=placement,
            calibration=[X],
            engine="native",
            verbose=False,
        )
        hosted = _quantize(hosted, method, placement=placement)
        theirs, ours = _losses(native, 20), _losses(hosted, 20)
        self.assertAllClose(theirs, ours, atol=1e-4)
        self.assertLess(ours[-1], ours[0] - 0.01)

    def test_operating_points_and_ptq_work_as_on_the_native_host(self):
        model = _random_kernels(_net())
        quantized = quantize_with_tfmot(model, EVERYWHERE)
        point = OperatingPoint(4, 4)
        set_step_sizes(
            quantized, minmax(calibrate(quantized, [X], progress=False), point)
        )
        set_operating_point(quantized, point)

        def rounded(x, step_size, low, high):
            return step_size * np.clip(np.round(x / step_size), low, high)

        kernel = model.get_layer("logits").get_weights()[0]
        before = tf_keras.Model(
            quantized.input, quantized.get_layer("mean").output
        )(X).numpy()
        seen = tf_keras.Model(model.input, model.get_layer("mean").output)(X)
        low, high = (-7, 7) if np.min(seen) < 0 else (0, 15)
        inputs = rounded(before, np.abs(seen).max() / high, low, high)
        weights = rounded(kernel, np.abs(kernel).max() / 7, -7, 7)
        self.assertAllClose(quantized(X), inputs @ weights, atol=1e-5)
        set_operating_point(quantized, "FP/FP")
        self.assertAllClose(quantized(X), model(X), rtol=1e-5, atol=1e-6)

    def test_moving_to_another_operating_point_does_not_retrace(self):
        quantized = _quantize(_net())
        compiled = tf.function(lambda x: quantized(x, training=False))
        outputs = [compiled(X)]
        for point in ("8/8", "3/4 x1.1", "FP/FP", "4/4 pow2"):
            set_operating_point(quantized, point)
            outputs.append(compiled(X))
            self.assertNotAllClose(outputs[-1], outputs[-2], rtol=1e-6)
        self.assertEqual(compiled.experimental_get_tracing_count(), 1)

    def test_integer_weights_are_within_their_bits(self):
        quantized = _quantize(_net(), "lsq", 3, 4)
        codes = integer_weights(quantized)
        self.assertLen(codes, 3)
        for tensor in codes.values():
            self.assertLessEqual(np.abs(tensor.codes).max(), 3)

    def test_pinned_layers_keep_their_bits(self):
        quantized = _quantize(_net(), placement=Placement(first_layer=8))
        state = quantizers_of(quantized)["conv/kernel"].state
        self.assertEqual(float(state.bits), 8)
        set_operating_point(quantized, "3/3")
        self.assertEqual(float(state.bits), 8)

    def test_regularizers_are_kept(self):
        model = _net(SumRegularizer("l2", KurtosisRegularizer(1.8, 0.5)))
        quantized = _quantize(model)
        self.assertLen(quantized.losses, 1)
        self.assertAllClose(quantized.losses, model.losses, rtol=1e-6)

    def test_activity_regularizers_are_kept(self):
        inputs = layers.Input((4,))
        dense = layers.Dense(3, activity_regularizer="l2")
        model = tf_keras.Model(inputs, dense(inputs))
        quantized = quantize_with_tfmot(model, EVERYWHERE)
        batch = X.reshape(-1, 4)
        model(batch)
        quantized(batch)
        self.assertLen(quantized.losses, 1)
        self.assertAllClose(quantized.losses, model.losses, rtol=1e-6)

    def test_frozen_layers_stay_frozen(self):
        """tfmot's own wrapper trains them."""
        model = _net()
        model.get_layer("conv").trainable = False
        quantized = _quantize(model)
        before = quantized.get_layer("conv").get_weights()
        names = [w.name for w in quantized.trainable_weights]
        self.assertFalse([n for n in names if n.startswith("conv/")])
        _losses(quantized, 2)
        after = quantized.get_layer("conv").get_weights()
        for was, now in zip(before, after, strict=True):
            self.assertAllEqual(was, now)

    def test_each_layer_keeps_its_precision(self):
        inputs = layers.Input((6, 6, 2))
        policy = "mixed_bfloat16"
        x = layers.Conv2D(3, 3, dtype=policy)(inputs)
        x = layers.BatchNormalization(dtype=policy)(x)
        x = layers.GlobalAveragePooling2D(dtype=policy)(x)
        model = tf_keras.Model(inputs, layers.Dense(3, dtype="float32")(x))
        _compile(model)
        quantized = _quantize(model)
        self.assertEqual(
            [layer.compute_dtype for layer in quantized.layers],
            [layer.compute_dtype for layer in model.layers],
        )
        for tensor in quantizers_of(quantized).values():
            self.assertEqual(tensor.state.step_size.dtype, tf.float32)
        losses = _losses(quantized, 5)
        self.assertLess(losses[-1], losses[0])

    def test_a_shared_layer_has_one_quantizer(self):
        dense = layers.Dense(4, name="shared")
        inputs = layers.Input((4,))
        model = tf_keras.Model(inputs, dense(layers.ReLU()(dense(inputs))))
        quantized = quantize_with_tfmot(model, EVERYWHERE)
        self.assertLen(quantizers_of(quantized), 2)
        self.assertLen(quantized.trainable_weights, 2)

    @parameterized.named_parameters(
        ("conv1d", (8, 2), lambda: layers.Conv1D(3, 3, padding="causal")),
        ("transposed", (4, 4, 2), lambda: layers.Conv2DTranspose(3, 2)),
        ("separable", (6, 6, 2), lambda: layers.SeparableConv2D(3, 3)),
        ("einsum", (4, 2), lambda: layers.EinsumDense("abc,cd->abd", (4, 3))),
    )
    def test_every_kind_of_layer_with_a_kernel_trains(self, shape, make):
        """Layers without one, which tfmot refuses to wrap, stay as they are."""
        inputs = layers.Input(shape)
        x = layers.PReLU()(layers.Rescaling(0.5)(inputs))
        x = layers.LayerNormalization()(make()(x))
        model = tf_keras.Model(inputs, layers.Flatten()(x))
        model.compile("sgd", "mse", run_eagerly=True)
        batch = np.random.default_rng(0).normal(size=(4, *shape))
        quantized = quantize_aware(
            model,
            placement=EVERYWHERE,
            calibration=[batch.astype(np.float32)],
            engine="tfmot",
            verbose=False,
        )
        states = quantizers_of(quantized).values()
        before = [tensor.state.step_size.numpy() for tensor in states]
        quantized.train_on_batch(batch, np.ones_like(quantized(batch)))
        for tensor, step_size in zip(states, before, strict=True):
            self.assertNotAllEqual(tensor.state.step_size, step_size)

    def test_tf_keras_models_go_to_tfmot_by_default(self):
        quantized = quantize_aware(
            _net(), "lsq", 4, None, placement=EVERYWHERE, verbose=False
        )
        self.assertIsInstance(
            quantized.get_layer("conv"), tf_keras.layers.Wrapper
        )

    def test_stripped_it_is_the_float_model_that_was_trained(self):
        if IS_KERAS_3:
            self.skipTest("Stripping copies models of the active Keras.")
        quantized = _quantize(_net())
        _losses(quantized, 2)
        stripped = strip_quantizers(quantized)
        self.assertEmpty(quantizers_of(stripped))
        set_operating_point(quantized, "FP/FP")
        self.assertAllClose(stripped(X), quantized(X), rtol=1e-5, atol=1e-6)

    def test_a_subclassed_model_is_refused(self):
        class Mine(tf_keras.Model):
            def call(self, inputs):
                return inputs

        with self.assertRaisesRegex(TypeError, "subclassed model 'Mine'"):
            quantize_with_tfmot(Mine())

    def test_layers_behind_a_mask_compute_as_before(self):
        model = tf_keras.Sequential(
            [
                tf_keras.Input((5, 4)),
                layers.Masking(),
                layers.Dense(3, name="a"),
                layers.Dense(3, name="b"),
                layers.GRU(2, name="gru"),
                layers.Dense(3),
            ]
        )
        with self.assertRaisesRegex(ValueError, "cannot host: gru .GRU"):
            quantize_with_tfmot(model)
        x = np.random.default_rng(0).normal(size=(2, 5, 4))
        x[:, 3:] = 0.0

        placement = paper_placement(pinned={"gru": "float"})
        copy = quantize_with_tfmot(model, placement)

        self.assertIn("b/kernel", quantizers_of(copy))
        self.assertAllEqual(copy(x), model(x))

    def test_losses_added_to_the_model_are_refused(self):
        """tfmot leaves them out of its copy."""
        model = _net()
        model.add_loss(tf.reduce_mean(model.layers[1].output))

        with self.assertRaisesRegex(TypeError, "'add_loss'.*native"):
            quantize_with_tfmot(model)

    def test_losses_and_metrics_that_no_layer_has_are_refused(self):
        model = _net()
        model.extra = tf_keras.metrics.Mean()
        with self.assertRaisesRegex(TypeError, "has 1 metrics of its own"):
            quantize_with_tfmot(model)
        model = _net()
        kernel = model.layers[1].kernel
        model.add_loss(lambda: tf.reduce_sum(kernel**2))
        with self.assertRaisesRegex(TypeError, "losses of its own"):
            quantize_with_tfmot(model)

    def test_a_model_with_nothing_to_quantize_is_refused(self):
        model = tf_keras.Sequential([layers.Input((4,)), layers.ReLU()])
        with self.assertRaisesRegex(ValueError, "something to quantize"):
            quantize_with_tfmot(model)


if __name__ == "__main__":
    tf.test.main()
