"""Tests for qat/nested_weights.py."""

import functools

import numpy as np
import tensorflow as tf
from absl.testing import absltest
from litert_files import run

import kure_tf
from kure_materialize import materialize
from kure_tf import artifact, ptq
from kure_tf.compat import keras
from kure_tf.export import simulate
from kure_tf.fake_quantized import (
    apply,
    keeping,
    paper_placement,
    set_operating_point,
)
from kure_tf.integer_graph import to_integer_graph
from kure_tf.qat import SampledPrecision, nested_weights

BITS = (8, 4, 3, 2)


def _images():
    rng = np.random.default_rng(0)
    return rng.normal(size=(64, 8, 8, 3)).astype(np.float32)


def _labels():
    return (_images().mean((1, 2)).argmax(1)).astype(np.int64)


def _net():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(6, 3, name="first"),
            keras.layers.ReLU(),
            keras.layers.Conv2D(8, 3, use_bias=False, name="conv"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.ReLU(),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3, name="last"),
        ]
    )


@functools.cache
def _trained():
    model = kure_tf.quantize_aware(
        _net(),
        "nested_lsq",
        2,
        8,
        placement=paper_placement(first_layer=8, last_layer=8),
        calibration=[_images()],
        engine="native",
        verbose=False,
    )
    model.compile(
        keras.optimizers.SGD(0.02, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    sampled = SampledPrecision(BITS, (8,), final="2/8")
    history = model.fit(
        _images(),
        _labels(),
        batch_size=16,
        epochs=8,
        verbose=0,
        callbacks=[sampled],
        shuffle=False,
    )
    return model, history.history["loss"]


def _outputs(model):
    return np.asarray(model(tf.constant(_images()), training=False))


class NestedWeightsTest(absltest.TestCase):
    def test_each_width_answers_as_in_training(self):
        model, losses = _trained()
        nested = nested_weights(model, BITS)
        calibration = ptq.calibrate(model, [_images()], progress=False)
        for setting in ptq.nested_settings(calibration, nested, method=None):
            with keeping(model):
                set_operating_point(model, setting.point)
                expected = _outputs(model)
            with keeping(model):
                apply(model, setting)
                found = _outputs(model)
            np.testing.assert_allclose(found, expected, atol=1e-5)
        self.assertLess(losses[-1], losses[0])

    def test_files_of_one_artifact_answer_as_foretold(self):
        model, _ = _trained()
        calibration = ptq.calibrate(model, [_images()], progress=False)
        settings = ptq.nested_settings(
            calibration, nested_weights(model, BITS), method=None
        )
        content = artifact.pack(model, settings, [_images()], containers=(8,))
        for setting in settings:
            with keeping(model):
                apply(model, setting)
                graph = to_integer_graph(model, [_images()])
            (name,) = graph.inputs
            codes = graph.quantization(name).codes_of(_images())
            file = materialize(content, setting.provenance["nested_bits"])
            np.testing.assert_array_equal(
                run(file, [codes]), simulate(graph, codes)
            )

    def test_a_model_of_another_method_is_refused(self):
        model = kure_tf.quantize_aware(
            _net(), "lsq", 4, None, engine="native", verbose=False
        )
        with self.assertRaisesRegex(ValueError, "nested_lsq.*LSQQuantizer"):
            nested_weights(model)

    def test_bits_are_checked(self):
        with self.assertRaisesRegex(ValueError, "up to 8"):
            nested_weights(_trained()[0], (9, 4))


if __name__ == "__main__":
    absltest.main()
