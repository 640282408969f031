import gc
import weakref

import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from batch_norm_nets import normal_images, tiny_model

from kure_tf import fake_quantize_model, set_operating_point
from kure_tf.compat import IS_KERAS_3, keras
from kure_tf.fake_quantized import (
    Placement,
    batch_norm_statistics,
)
from kure_tf.ptq import batch_norm as batch_norm_module
from kure_tf.ptq import reestimate_batch_norm

layers = keras.layers
WEIGHTS_ONLY = Placement(activations=None)  # All layers, the ends as well.


def _conv(images, kernel):
    """A 2x2 convolution without padding, in float64."""
    images, kernel = images.astype(np.float64), kernel.astype(np.float64)
    patches = np.lib.stride_tricks.sliding_window_view(
        images, kernel.shape[:2], axis=(1, 2)
    )  # [count, y, x, channels, 2, 2]
    return np.einsum("nyxcij,ijco->nyxo", patches, kernel)


def _normalized(x, norm):
    axes = tuple(range(x.ndim - 1))
    gain = np.array(norm.gamma) / np.sqrt(x.var(axes) + norm.epsilon)
    return (x - x.mean(axes)) * gain + np.array(norm.beta)


def _expected(model, images, kernel=None):
    """(mean, variance) of both layers on one batch, by NumPy."""
    kernel = model.get_weights()[0] if kernel is None else kernel
    nested = model.get_layer("nested")
    weights, bias = nested.get_layer("dense").get_weights()
    first = _conv(images, kernel)
    x = np.maximum(_normalized(first, model.get_layer("bn")), 0.0)
    second = x.mean((1, 2)) @ weights + bias
    return {
        "bn": (first.mean((0, 1, 2)), first.var((0, 1, 2))),
        "nested/bn": (second.mean(0), second.var(0)),
    }


class ReestimateBatchNormTest(tf.test.TestCase, parameterized.TestCase):
    def assertStatistics(self, model, expected, **tolerance):
        found = batch_norm_statistics(model)
        self.assertEqual(list(found), list(expected))
        for path, (mean, variance) in expected.items():
            self.assertAllClose(found[path].mean, mean, **tolerance)
            self.assertAllClose(found[path].variance, variance, **tolerance)

    def test_one_batch_gives_exactly_its_biased_moments(self):
        """Dropout (0.9) would show, and so would n / (n - 1) of 6 images."""
        model = tiny_model()
        expected = _expected(model, normal_images())
        self.assertEqual(reestimate_batch_norm(model, [normal_images()]), 6)
        self.assertStatistics(model, expected, rtol=1e-5, atol=1e-6)

    def test_moments_of_all_batches_are_pooled_by_their_size(self):
        model = tiny_model()
        batches = [
            normal_images(9, 1),
            normal_images(2, 2),
            normal_images(5, 3) + 3,
        ]
        counts = np.array([9, 2, 5]) / 16

        self.assertEqual(reestimate_batch_norm(model, batches), 16)

        parts = [_expected(model, batch) for batch in batches]
        expected = {}
        for path in parts[0]:
            means = np.array([part[path][0] for part in parts])
            squares = np.array([part[path][1] for part in parts]) + means**2
            mean = counts @ means
            expected[path] = (mean, counts @ squares - mean**2)
        self.assertStatistics(model, expected, rtol=1e-5, atol=1e-6)

    def test_what_the_statistics_were_before_does_not_matter(self):
        model = tiny_model()
        reestimate_batch_norm(model, [normal_images(9, 1), normal_images(4, 2)])
        first = model.get_weights()
        for found in batch_norm_statistics(model):
            layer = model
            for name in found.split("/"):
                layer = layer.get_layer(name)
            layer.moving_mean.assign(layer.moving_mean * 0 + 1e4)
            layer.moving_variance.assign(layer.moving_variance * 0)
        reestimate_batch_norm(model, [normal_images(9, 1), normal_images(4, 2)])
        for before, after in zip(first, model.get_weights(), strict=True):
            self.assertAllEqual(before, after)

    def test_statistics_are_those_of_the_operating_point(self):
        """Conv at 2 bits: its kernel is one step times -1, 0 or 1."""
        model = tiny_model()
        plain = _expected(model, normal_images())
        quantized = fake_quantize_model(model, WEIGHTS_ONLY)
        set_operating_point(quantized, "2/FP")
        kernel = model.get_weights()[0]
        step = np.abs(kernel).max()
        codes = np.clip(np.round(kernel / step), -1, 1)

        reestimate_batch_norm(quantized, [normal_images()])

        found = batch_norm_statistics(quantized)["bn"]
        mean, variance = _expected(model, normal_images(), step * codes)["bn"]
        self.assertAllClose(found.mean, mean, rtol=1e-5)
        self.assertAllClose(found.variance, variance, rtol=1e-5)
        self.assertNotAllClose(found.mean, plain["bn"][0], rtol=1e-2)

    def test_only_moving_statistics_are_written(self):
        model = tiny_model()
        model.compile("sgd", "mse")
        names = [w.name for w in model.weights]
        before = model.get_weights()
        reestimate_batch_norm(model, [normal_images()])
        for name, old, new in zip(
            names, before, model.get_weights(), strict=True
        ):
            if "moving" in name:
                self.assertNotAllClose(old, new)
            else:
                self.assertAllEqual(old, new)
        self.assertNotIn("call", vars(model.get_layer("bn")))

    def test_after_it_inference_agrees_with_training_on_that_batch(self):
        model = tiny_model()
        model.get_layer("dropout").rate = 0.0
        reestimate_batch_norm(model, [normal_images()])
        inference = model(normal_images(), training=False)
        self.assertAllClose(
            inference,
            model(normal_images(), training=True),
            rtol=1e-4,
            atol=1e-4,
        )

    def test_frozen_layers_are_estimated_too(self):
        model = tiny_model()
        expected = _expected(model, normal_images())
        model.trainable = False
        reestimate_batch_norm(model, [normal_images()])
        self.assertStatistics(model, expected, rtol=1e-5, atol=1e-6)

    @parameterized.parameters(
        {"scale": False}, {"center": False}, {"fused": True}, {"fused": False}
    )
    def test_layers_of_all_kinds_give_the_batch_moments(self, **options):
        if IS_KERAS_3 and "fused" in options:
            self.skipTest("Keras 3 chooses by itself.")
        model = keras.Sequential(
            [
                keras.Input((4, 4, 3)),
                layers.BatchNormalization(name="a", **options),
                layers.BatchNormalization(name="b"),
            ]
        )
        x = normal_images(5, shape=(4, 4, 3)).astype(np.float64)
        reestimate_batch_norm(model, [x])
        found = batch_norm_statistics(model)
        variance = x.var((0, 1, 2))
        self.assertAllClose(found["a"].mean, x.mean((0, 1, 2)), rtol=1e-5)
        self.assertAllClose(found["a"].variance, variance, rtol=1e-5)
        self.assertAllClose(found["b"].mean, np.zeros(3), atol=1e-5)
        self.assertAllClose(
            found["b"].variance, variance / (variance + 1e-3), rtol=1e-5
        )

    def test_the_channels_may_be_on_another_axis(self):
        model = keras.Sequential(
            [keras.Input((3, 4)), layers.BatchNormalization(axis=1, name="bn")]
        )
        x = normal_images(6, shape=(3, 4))
        reestimate_batch_norm(model, [x])
        found = batch_norm_statistics(model)["bn"]
        self.assertAllClose(found.mean, x.mean((0, 2)), rtol=1e-5)
        self.assertAllClose(found.variance, x.var((0, 2)), rtol=1e-5)

    def test_a_layer_used_twice_pools_both_uses(self):
        shared = layers.BatchNormalization(name="bn")
        inputs = keras.Input((2,))
        outputs = layers.Add()([shared(inputs), shared(inputs * 3.0)])
        model = keras.Model(inputs, outputs)
        x = normal_images(6, shape=(2,))
        reestimate_batch_norm(model, [x])
        both = np.concatenate([x, 3 * x])
        found = batch_norm_statistics(model)["bn"]
        self.assertAllClose(found.mean, both.mean(0), rtol=1e-5)
        self.assertAllClose(found.variance, both.var(0), rtol=1e-5)

    def test_layers_within_a_layer_are_found(self):
        model = keras.Sequential(
            [keras.Input((2,)), _Block(name="block"), layers.Dense(1)]
        )
        x = normal_images(6, shape=(2,))
        reestimate_batch_norm(model, [x])
        found = batch_norm_statistics(model)
        self.assertEqual(list(found), ["block/bn"])
        self.assertAllClose(found["block/bn"].mean, x.mean(0), rtol=1e-5)

    def test_masked_steps_do_not_count(self):
        model = keras.Sequential(
            [
                keras.Input((4, 2)),
                layers.Masking(9.0),
                layers.BatchNormalization(name="bn"),
            ]
        )
        x = normal_images(5, shape=(4, 2))
        seen = np.ones((5, 4), bool)
        seen[0, 1:] = seen[3, 2:] = False
        x[~seen] = 9.0
        reestimate_batch_norm(model, [x])
        found = batch_norm_statistics(model)["bn"]
        self.assertAllClose(found.mean, x[seen].mean(0), rtol=1e-5)
        self.assertAllClose(found.variance, x[seen].var(0), rtol=1e-5)

    def test_a_large_mean_does_not_cancel_the_variance(self):
        model = keras.Sequential(
            [keras.Input((2,)), layers.BatchNormalization(name="bn")]
        )
        batches = [normal_images(64, seed, (2,)) + 4096.0 for seed in (1, 2)]
        reestimate_batch_norm(model, batches)
        x = np.concatenate(batches).astype(np.float64)
        found = batch_norm_statistics(model)["bn"]
        self.assertAllClose(found.variance, x.var(0), rtol=1e-3)

    @parameterized.parameters("mixed_bfloat16", "mixed_float16")
    def test_mixed_precision_models_are_estimated(self, policy):
        keras.mixed_precision.set_global_policy(policy)
        try:
            model = tiny_model()
        finally:
            keras.mixed_precision.set_global_policy("float32")
        images = normal_images(64)
        expected = _expected(model, images)
        reestimate_batch_norm(model, [images])
        self.assertStatistics(model, expected, rtol=0.05, atol=0.05)
        self.assertEqual(model(images).dtype, policy.removeprefix("mixed_"))

    @parameterized.parameters("bfloat16", "float16")
    def test_half_precision_inputs_are_summed_in_float32(self, dtype):
        model = keras.Sequential(
            [
                keras.Input((2,)),
                layers.BatchNormalization(name="bn", dtype=f"mixed_{dtype}"),
            ]
        )
        x = normal_images(2048, shape=(2,)) + 8
        reestimate_batch_norm(model, [x])
        rounded = tf.cast(tf.cast(x, dtype), tf.float64).numpy()
        found = batch_norm_statistics(model)["bn"]
        self.assertEqual(found.mean.dtype, np.float32)
        self.assertAllClose(found.mean, rounded.mean(0), rtol=1e-5)
        self.assertAllClose(found.variance, rounded.var(0), rtol=1e-5)

    def test_points_and_batches_share_one_trace(self):
        model = fake_quantize_model(tiny_model(), WEIGHTS_ONLY)
        evaluations = []

        @tf.function
        def evaluate(images):
            evaluations.append(1)
            return model(images, training=False)

        outputs = []
        for point in ("4/FP", "2/FP", "FP/FP"):
            set_operating_point(model, point)
            reestimate_batch_norm(
                model, [normal_images(6), normal_images(3, 2)]
            )
            outputs.append(evaluate(normal_images()).numpy())
        function = batch_norm_module._measuring_function(model)
        self.assertEqual(function.experimental_get_tracing_count(), 1)
        self.assertLen(evaluations, 1)
        self.assertNotAllClose(outputs[0], outputs[1])
        self.assertAllClose(outputs[2], model(normal_images()), rtol=1e-5)

    def test_a_model_is_not_kept_alive(self):
        model = tiny_model()
        reestimate_batch_norm(model, [normal_images()])
        alive = weakref.ref(model)
        del model
        keras.backend.clear_session()
        gc.collect()
        self.assertIsNone(alive())

    def test_labels_are_ignored_and_empty_batches_left_out(self):
        model, same = tiny_model(), tiny_model()
        labels = np.zeros(6, np.int64)
        batches = [(normal_images(), labels), (normal_images(0), labels[:0])]
        self.assertEqual(reestimate_batch_norm(model, batches), 6)
        reestimate_batch_norm(
            same, tf.data.Dataset.from_tensors(normal_images())
        )
        for one, other in zip(
            model.get_weights(), same.get_weights(), strict=True
        ):
            self.assertAllEqual(one, other)


class _Block(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.norm = layers.BatchNormalization(name="bn")

    def build(self, input_shape):
        self.norm.build(input_shape)
        super().build(input_shape)

    def call(self, inputs):
        return self.norm(inputs)

    def compute_output_shape(self, input_shape):
        return input_shape


if __name__ == "__main__":
    tf.test.main()
