"""Models of quantization-aware training as integers."""

import functools

import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from litert_files import EIGHT_BIT_ENDS, randomized, run

from kure_tf.compat import IS_KERAS_3, keras
from kure_tf.export import simulate, to_integer_graph, write
from kure_tf.fake_quantized import integer_weights, paper_placement
from kure_tf.qat import quantize_aware
from kure_tf.quantizers import UniformQuantizer

_SHAPE = (6, 6, 2)
# DoReFa's own levels, odd multiples of half a step: 8 bits do not fit.
_ODD = paper_placement(
    weights=UniformQuantizer("reference"), first_layer=7, last_layer=7
)

# Keras 3 runs most of what the native engine trains: codes are the same there.
_CASES = (
    ("lsq", "native", "lsq", 4, EIGHT_BIT_ENDS),
    ("lsq_folded", "native", "lsq", 2, "tflite"),
    ("dorefa", "native", "dorefa", 4, EIGHT_BIT_ENDS),
    ("dorefa_with_its_own_levels", "native", "dorefa", 3, _ODD),
)
if not IS_KERAS_3:
    _CASES = (
        ("lsq_folded", "native", "lsq", 2, "tflite"),
        ("lsq_in_tfmot", "tfmot", "lsq", 4, EIGHT_BIT_ENDS),
        ("dorefa_in_tfmot", "tfmot", "dorefa", 3, EIGHT_BIT_ENDS),
    )


def _images(count=64, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, *_SHAPE)).astype(np.float32)


@functools.cache
def _net():
    keras.utils.set_random_seed(0)
    layers = [
        keras.Input(_SHAPE, name="image"),
        keras.layers.Conv2D(8, 3, padding="same", name="first"),
        keras.layers.BatchNormalization(),
        keras.layers.ReLU(),
        keras.layers.DepthwiseConv2D(3, name="second"),
        keras.layers.BatchNormalization(name="norm"),
        keras.layers.ReLU(),
        keras.layers.Conv2D(8, 1, activation="relu", name="third"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(4, name="logits"),
    ]
    return randomized(keras.Sequential(layers, name="net"))


def _trained(engine, method, bits, placement):
    """Returns the net after a few steps of training."""
    model = quantize_aware(
        _net(),
        method,
        bits,
        4,
        placement=placement,
        calibration=[_images()],
        engine=engine,
        verbose=False,
    )
    model.compile(keras.optimizers.SGD(0.01), "mse")
    labels = np.random.default_rng(1).normal(size=(64, 4))
    model.fit(_images(), labels, batch_size=16, epochs=1, verbose=0)
    return model


class QATTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.named_parameters(*_CASES)
    def test_codes_and_answers_are_exact(self, engine, method, bits, placement):
        model = _trained(engine, method, bits, placement)

        graph = to_integer_graph(model, [_images()])

        weights = {one.path: one for one in graph.weights.values()}
        expected = integer_weights(model)
        self.assertEqual(set(weights), set(expected))
        for path, found in weights.items():
            codes = np.abs(expected[path].codes - expected[path].zero_point)
            if expected[path].zero_point:
                codes = 2 * codes
            self.assertAllEqual(np.abs(found.codes.astype(int)), codes)
        codes = graph.quantization("image").codes_of(_images())
        self.assertAllEqual(run(write(graph), [codes]), simulate(graph, codes))


class PlainTfmotTest(tf.test.TestCase):
    """quantize_apply without a placement of ours: outputs are quantized."""

    def setUp(self):
        super().setUp()
        if IS_KERAS_3:
            self.skipTest("tensorflow-model-optimization needs tf_keras.")

    def _applied(self, own=False):
        from kure_tf.qat.tfmot import LSQQuantizeConfig, quantize_scope
        from kure_tf.qat.tfmot.imported import tfmot

        tools, layers = tfmot.quantization.keras, keras.layers

        def annotated(layer, bits, activation_range):
            config = LSQQuantizeConfig(
                4, bits, activation_range=activation_range
            )
            return tools.quantize_annotate_layer(layer, config)

        keras.utils.set_random_seed(0)
        conv = layers.Conv2D(8, 3, activation="relu", name="conv")
        last = layers.Dense(3, name="logits")
        last = (
            tools.quantize_annotate_layer(last)
            if own
            else annotated(last, 8, (-6.0, 6.0))
        )
        model = keras.Sequential(
            [
                keras.Input(_SHAPE, name="image"),
                annotated(conv, 4, (0.0, 6.0)),
                layers.MaxPooling2D(2),
                layers.Flatten(),
                last,
            ]
        )
        with quantize_scope():
            return tools.quantize_apply(model)

    def test_outputs_are_on_the_grids_of_their_quantizers(self):
        model = self._applied()
        model.compile(keras.optimizers.SGD(0.01), "mse")
        model.fit(_images(), np.zeros((64, 3)), verbose=0)

        graph = to_integer_graph(model, [_images()])

        kinds = [operator.kind for operator in graph.operators]
        self.assertEqual(
            kinds, ["CONV_2D", "MAX_POOL_2D", "RESHAPE", "FULLY_CONNECTED"]
        )
        weights = {one.path: one for one in graph.weights.values()}
        for path, expected in integer_weights(model).items():
            self.assertAllEqual(weights[path].codes, expected.codes)
        conv, last = model.get_layer("quant_conv"), model.layers[-1]
        for name, layer, zero_point in (
            ("conv", conv, 112),  # 16 levels from 0.
            ("logits", last, 0),
        ):
            found = graph.quantization(name)
            state = layer.kure_tf_tensors["output"].state
            self.assertEqual(found.scale, state.step_size.numpy())
            self.assertEqual(found.zero_point, zero_point)
        seen = model.layers[0].get_weights()[:2]
        ends = graph.quantization("image").values_of([-128, 127])
        self.assertAllClose(ends, seen, atol=0.02)
        codes = graph.quantization("image").codes_of(_images())
        for kernels in ("xnnpack", "builtin"):
            self.assertAllEqual(
                run(write(graph), [codes], kernels),
                simulate(graph, codes, kernels),
            )
        answers = graph.quantization("logits").values_of(
            simulate(graph, _images())
        )
        apart = np.abs(answers - model.predict(_images(), verbose=0))
        self.assertLess(apart.mean(), graph.quantization("logits").scale)

    def test_quantizers_of_its_own_are_refused(self):
        with self.assertRaisesRegex(ValueError, "'logits'.*own. Annotate"):
            to_integer_graph(self._applied(own=True), [_images()])


if __name__ == "__main__":
    tf.test.main()
