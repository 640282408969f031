"""The configurations in a user's hands, as tfmot's guide shows."""

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras
from absl.testing import parameterized

from kure_tf.fake_quantized import (
    kernels_in,
    observe_inputs,
    quantizers_of,
    set_operating_point,
)
from kure_tf.qat.tfmot import (
    DoReFaQuantizeConfig,
    HostedQuantizeConfig,
    KureQuantizeScheme,
    LSQQuantizeConfig,
    quantize_scope,
)
from kure_tf.quantizers import LSQQuantizer, UniformQuantizer

layers = tf_keras.layers
annotate = tfmot.quantization.keras.quantize_annotate_layer
quantize_apply = tfmot.quantization.keras.quantize_apply
X = np.random.default_rng(0).normal(size=(16, 5, 5, 2)).astype(np.float32)


def _applied(config, scheme, activation="linear"):
    model = tf_keras.Sequential(
        [
            layers.Input((5, 5, 2)),
            annotate(layers.Conv2D(3, 3, name="conv"), config),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(name="relu"),
            layers.Flatten(),
            annotate(layers.Dense(2, activation, name="dense"), config),
        ]
    )
    with quantize_scope():
        applied = quantize_apply(
            model, **({"scheme": scheme} if scheme else {})
        )
    return model, applied


class KureQuantizeSchemeTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.named_parameters(
        ("lsq", LSQQuantizeConfig), ("dorefa", DoReFaQuantizeConfig)
    )
    def test_only_annotated_layers_are_wrapped_and_their_inputs_quantized(
        self, config
    ):
        _, applied = _applied(config(3, 4), KureQuantizeScheme())
        wrapped = [
            layer.name
            for layer in applied.layers
            if isinstance(layer, layers.Wrapper)
        ]
        self.assertEqual(wrapped, ["conv", "dense"])
        tensors = quantizers_of(applied)
        bits = {path: int(t.state.bits) for path, t in tensors.items()}
        self.assertEqual(
            bits,
            {
                "conv/kernel": 3,
                "conv/input": 4,
                "dense/kernel": 3,
                "dense/input": 4,
            },
        )

    def test_float_outputs_are_those_of_the_model(self):
        model, applied = _applied(LSQQuantizeConfig(), KureQuantizeScheme())
        self.assertNotAllClose(applied(X), model(X), rtol=1e-3)
        set_operating_point(applied, "FP/FP")
        self.assertAllClose(applied(X), model(X), rtol=1e-5, atol=1e-6)

    def test_lsq_starts_from_its_own_step_and_the_given_range(self):
        """2 mean|w| / sqrt(Q_P), Q_P = 3; and 2 / 7 from a range of +-2."""
        config = LSQQuantizeConfig(3, 4, activation_range=(-2.0, 2.0))
        model, applied = _applied(config, KureQuantizeScheme())
        kernel = model.get_layer(index=0).get_weights()[0]
        tensors = quantizers_of(applied)
        self.assertAllClose(
            tensors["conv/kernel"].state.step_size,
            2 * np.abs(kernel).mean() / np.sqrt(3),
            rtol=1e-5,
        )
        self.assertAllClose(tensors["conv/input"].state.step_size, 2 / 7)

    def test_dorefa_computes_its_formula(self):
        config = DoReFaQuantizeConfig(2, None, grid="reference")
        model, applied = _applied(config, KureQuantizeScheme())
        kernel, bias = model.layers[-1].get_weights()
        bent = np.tanh(kernel.astype(np.float64))
        largest = np.abs(bent).max()
        codes = np.round(3 * (bent / (2 * largest) + 0.5))
        weights = largest * (2 * codes / 3 - 1)
        before = X
        for layer in applied.layers[1:-1]:
            before = layer(before)
        self.assertAllClose(applied(X), before @ weights + bias, atol=1e-5)

    def test_a_layer_annotated_without_a_configuration_is_refused(self):
        model = tf_keras.Sequential(
            [layers.Input((4,)), annotate(layers.Dense(2, name="dense"))]
        )
        with self.assertRaisesRegex(RuntimeError, "dense.*not supported"):
            quantize_apply(model, scheme=KureQuantizeScheme())


class PlainTfmotTest(tf.test.TestCase, parameterized.TestCase):
    """tfmot's own wrapper and scheme."""

    def test_kernels_and_outputs_are_quantized_and_found(self):
        _, applied = _applied(LSQQuantizeConfig(3, 4), None)
        self.assertEqual(
            list(quantizers_of(applied)),
            ["conv/kernel", "conv/output", "dense/kernel", "dense/output"],
        )
        state = quantizers_of(applied)["dense/output"].state
        codes = applied(X) / state.step_size
        self.assertAllClose(codes, np.round(codes), atol=1e-4)

    def test_kernels_are_variables_after_a_call(self):
        """tfmot leaves the quantized tensor of the last call in the layer."""
        _, applied = _applied(LSQQuantizeConfig(3, None), None)
        applied.predict(X, verbose=0)
        for path, kernel in kernels_in(applied):
            self.assertIsInstance(kernel, tf.Variable, path)
        for layer in applied.layers:
            if isinstance(getattr(layer, "layer", None), layers.Dense):
                self.assertIsInstance(layer.layer.kernel, tf.Variable)

    def test_outputs_are_observed(self):
        _, applied = _applied(LSQQuantizeConfig(), None)
        set_operating_point(applied, "FP/FP")
        observations, images = observe_inputs(applied, [X], progress=False)
        self.assertEqual(images, 16)
        self.assertAllClose(
            observations["dense/output"].highest, applied(X).numpy().max()
        )

    def test_gradients_reach_kernels_and_steps_without_a_training_flag(self):
        """The flag is then a tensor, and tfmot puts a conditional around."""
        _, applied = _applied(LSQQuantizeConfig(), None)

        @tf.function
        def gradients(x):
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(tf.square(applied(x)))
            return tape.gradient(loss, applied.trainable_weights)

        self.assertNotIn(None, gradients(X))


class ConfigsTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.named_parameters(
        ("lsq", LSQQuantizeConfig(3, None, granularity="per_channel")),
        ("dorefa", DoReFaQuantizeConfig(2, 3, clip=2.0, rescale=False)),
        (
            "any",
            HostedQuantizeConfig(
                LSQQuantizer(),
                UniformQuantizer("asymmetric"),
                pinned_bits=8,
                path="a/b",
                activations="input",
            ),
        ),
    )
    def test_serialized_and_read_again_it_is_the_same(self, config):
        form = tf_keras.utils.legacy.serialize_keras_object(config)
        with quantize_scope():
            again = tf_keras.utils.legacy.deserialize_keras_object(form)
        self.assertEqual(again, config)
        self.assertNotEqual(again, LSQQuantizeConfig(7, 7))

    def test_bits_that_do_not_exist_are_refused(self):
        with self.assertRaisesRegex(ValueError, "weight_bits.*Received: 40"):
            LSQQuantizeConfig(40)
        with self.assertRaisesRegex(ValueError, "at least 2 bits"):
            LSQQuantizeConfig(1)

    def test_an_empty_range_is_refused(self):
        with self.assertRaisesRegex(ValueError, r"Received: \(1.0, 2.0\)"):
            LSQQuantizeConfig(activation_range=(1.0, 2.0))

    def test_a_place_that_does_not_exist_is_refused(self):
        with self.assertRaisesRegex(ValueError, "Received: 'inside'"):
            LSQQuantizeConfig(activations="inside")

    def test_a_layer_without_kernel_is_named(self):
        with self.assertRaisesRegex(TypeError, "ReLU 'relu'.*does not reach"):
            LSQQuantizeConfig().get_weights_and_quantizers(
                layers.ReLU(name="relu")
            )

    def test_a_quantizer_that_is_not_registered_is_named(self):
        config = LSQQuantizeConfig().get_config()
        config = {
            "weight_quantizer": {"name": "mine>Mine", "options": {}},
            "activation_quantizer": None,
            "weight_bits": config["weight_bits"],
        }
        with self.assertRaisesRegex(ValueError, "'mine>Mine', which is not"):
            HostedQuantizeConfig.from_config(config)


if __name__ == "__main__":
    tf.test.main()
