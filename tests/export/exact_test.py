"""Files of exactly a model's codes, written once they answer as foretold."""

import hashlib
import json
import pathlib
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized
from litert_files import at_point, interpreter_of, randomized, run

from kure_tf.compat import keras
from kure_tf.export import (
    VerificationError,
    export_exact,
    integer_runner,
    simulate,
    to_integer_graph,
)
from kure_tf.export import exact as exact_module
from kure_tf.fake_quantized import integer_weights

pytestmark = pytest.mark.one_keras

_SHAPE = (6, 6, 2)


def _net():
    keras.utils.set_random_seed(0)
    inputs = keras.Input(_SHAPE, name="image")
    x = keras.layers.Conv2D(6, 3, use_bias=False, name="conv")(inputs)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.ReLU()(x)
    y = keras.layers.Conv2D(6, 3, padding="same", name="inner")(x)
    x = keras.layers.Add()([x, y])
    x = keras.layers.GlobalAveragePooling2D()(x)
    outputs = keras.layers.Dense(3, name="logits")(x)
    return randomized(keras.Model(inputs, outputs, name="net"))


def _images(count=48, seed=0):
    random = np.random.default_rng(seed)
    return random.normal(size=(count, *_SHAPE)).astype(np.float32)


class ExportExactTest(tf.test.TestCase, parameterized.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.images = _images()
        cls.model = at_point(_net(), cls.images, "4/4")
        cls.labels = np.arange(48) % 3

    def setUp(self):
        super().setUp()
        self.path = pathlib.Path(self.get_temp_dir()) / "m.tflite"

    def _export(self, **options):
        arguments = {
            "path": self.path,
            "calibration": [self.images],
            "split": [(self.images, self.labels)],
            "progress": False,
            **options,
        }
        return export_exact(self.model, **arguments)

    @parameterized.named_parameters(
        ("int8", {}),
        ("int4", {"container": 4}),
        ("builtin_kernels", {"kernels": "builtin"}),
        ("reference_kernels", {"kernels": "reference"}),
        ("float_ports", {"float_ports": True}),
        ("fixed_batch", {"file_batch_size": 16}),
    )
    def test_every_code_is_the_foretold_one(self, options):
        found = self._export(**options)

        self.assertEqual(found.differing_codes, 0)
        self.assertEqual(found.codes, 48 * 3)
        self.assertEqual(found.examples, 48)
        self.assertEqual(found.float_operators, 0)
        self.assertEqual(found.file_size, self.path.stat().st_size)
        record = json.loads(self.path.with_suffix(".json").read_text())
        self.assertEqual(
            record["file"]["sha256"],
            hashlib.sha256(self.path.read_bytes()).hexdigest(),
        )
        self.assertEqual(record["verification"]["answers"][0]["codes"], 144)

    def test_several_sets_of_kernels_are_told_apart(self):
        found = self._export(kernels=("xnnpack", "builtin"), batch_size=7)

        self.assertEqual(
            [one.kernels for one in found.answers], ["xnnpack", "builtin"]
        )
        self.assertEqual([one.codes for one in found.answers], [144, 144])
        self.assertEqual(found.differing_codes, 0)
        self.assertEqual((found.kernels, found.equal_kernels), (3, 3))

    def test_the_file_stores_the_codes_of_the_quantizers(self):
        """But for the sign, which a negative gain of batch norm turns."""
        self._export()
        interpreter = interpreter_of(self.path.read_bytes(), "reference")
        interpreter.allocate_tensors()
        tensors = {
            detail["name"]: detail["index"]
            for detail in interpreter.get_tensor_details()
        }
        for path, own in integer_weights(self.model).items():
            stored = interpreter.get_tensor(tensors[path])
            stored = stored.reshape(own.codes.shape[-1], -1).T
            codes = own.codes.reshape(-1, own.codes.shape[-1])
            self.assertAllEqual(np.abs(stored), np.abs(codes), path)

    def test_accuracies_are_those_of_file_and_model(self):
        found = self._export()
        graph = to_integer_graph(self.model, [self.images])
        given = graph.quantization(graph.inputs[0]).codes_of(self.images)
        answers = run(self.path.read_bytes(), [given])
        self.assertAllEqual(answers, simulate(graph, self.images))
        for logits, accuracy in (
            (answers, found.file_accuracy),
            (np.asarray(self.model(self.images)), found.keras_accuracy),
        ):
            right = np.argmax(logits, -1) == self.labels
            self.assertAlmostEqual(accuracy, right.mean())

    def test_a_class_for_each_position_counts_by_its_share(self):
        inputs = keras.Input(_SHAPE)
        outputs = keras.layers.Conv2D(3, 3, name="logits")(inputs)
        model = randomized(keras.Model(inputs, outputs, name="pixels"))
        model = at_point(model, self.images, "4/4")
        places = model.output_shape[1:-1]
        labels = np.arange(48 * np.prod(places)).reshape(48, *places) % 3

        found = export_exact(
            model,
            self.path,
            [self.images],
            [(self.images, labels[..., np.newaxis])],
            progress=False,
        )

        self.assertEqual(found.differing_codes, 0)
        self.assertEqual(found.codes, labels.size * 3)
        graph = to_integer_graph(model, [self.images])
        answers = np.argmax(simulate(graph, self.images), -1)
        own = np.argmax(model(self.images), -1)
        self.assertAlmostEqual(found.file_accuracy, np.mean(answers == labels))
        self.assertAlmostEqual(found.keras_accuracy, np.mean(own == labels))
        self.assertAlmostEqual(found.agreement, np.mean(own == answers))

    @parameterized.named_parameters(
        ("several_numbers", 3, None, "mean_absolute_error", False),
        ("one_number", 1, None, None, False),
        ("two_classes", 1, "sigmoid", "binary_crossentropy", True),
    )
    def test_targets_are_held_against_the_loss(
        self, units, activation, loss, binary
    ):
        inputs = keras.Input(_SHAPE)
        x = keras.layers.Conv2D(6, 3, activation="relu", name="conv")(inputs)
        x = keras.layers.GlobalAveragePooling2D()(x)
        x = keras.layers.Dense(units, activation, name="top")(x)
        model = randomized(keras.Model(inputs, x, name="numbers"))
        if loss:
            metrics = ["accuracy"] if binary else []
            model.compile("sgd", loss, metrics=metrics)
        noise = np.random.default_rng(1).normal(size=(48, units))
        targets = (noise > 0.3) * 1.0 if binary else noise
        model = at_point(model, self.images, "8/8")

        found = export_exact(
            model,
            self.path,
            [self.images],
            [
                (self.images[:30], targets[:30]),
                (self.images[30:], targets[30:]),
            ],
            progress=False,
        )

        graph = to_integer_graph(model, [self.images])
        answers = integer_runner(graph).outputs(self.images)[0]
        own = np.asarray(model(self.images))
        self.assertEqual(found.differing_codes, 0)
        self.assertEqual(found.codes, 48 * units)
        if binary:
            right, same = (
                (answers > 0.5) == targets,
                (answers > 0.5) == (own > 0.5),
            )
            self.assertAllClose(found.file_accuracy, np.mean(right))
            self.assertAllClose(found.agreement, np.mean(same))
            self.assertIsNone(found.file_loss)
            return
        of_error = np.abs if loss else np.square
        self.assertAllClose(
            found.file_loss, np.mean(of_error(answers - targets))
        )
        self.assertAllClose(found.keras_loss, np.mean(of_error(own - targets)))
        apart = np.sum(np.square(answers - own)) / np.sum(
            np.square(own - own.mean(0))
        )
        self.assertAllClose(found.agreement, 1 - apart)
        self.assertGreater(found.agreement, 0.9)
        self.assertIsNone(found.file_accuracy)
        self.assertIsNone(found.keras_accuracy)

    def test_a_file_that_was_tampered_with_is_not_written(self):
        write = exact_module.write

        def tampered(graph, **options):
            content = bytearray(write(graph, **options))
            codes = next(iter(graph.weights.values())).codes
            content[content.index(np.moveaxis(codes, -1, 0).tobytes())] ^= 1
            return bytes(content)

        with mock.patch.object(exact_module, "write", tampered):
            with self.assertRaisesRegex(
                VerificationError, "conv/kernel.*1 of 108 numbers"
            ) as caught:
                self._export()
        self.assertFalse(self.path.exists())
        found = caught.exception.verification
        self.assertNotEmpty(found.differences)
        self.assertEqual((found.kernels, found.equal_kernels), (3, 2))

    def test_examples_without_labels_are_refused(self):
        with self.assertRaisesRegex(ValueError, "accuracy needs labels"):
            self._export(split=[self.images])
        self.assertFalse(self.path.exists())

    def test_unknown_kernels_list_the_choices(self):
        with self.assertRaisesRegex(ValueError, "xnnpack.*Received: 'gpu'"):
            self._export(kernels="gpu")


if __name__ == "__main__":
    tf.test.main()
