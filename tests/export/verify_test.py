import dataclasses
import functools

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

from kure_tf.compat import keras
from kure_tf.export import (
    TFLiteModel,
    Verification,
    VerificationError,
    to_tflite,
    verify,
)

pytestmark = pytest.mark.one_keras

_CLASSES = 4


def _data(count, seed):
    """Returns noisy images of four fixed patterns, and their labels."""
    patterns = np.random.default_rng(7).normal(size=(_CLASSES, 8, 8, 2))
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, _CLASSES, count)
    noise = rng.normal(size=(count, 8, 8, 2))
    return (patterns[labels] + 2.0 * noise).astype(np.float32), labels


@functools.cache
def _trained(softmax=False):
    """Returns a small network that was trained for a few steps."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            keras.layers.Conv2D(8, 3, use_bias=False),
            keras.layers.BatchNormalization(momentum=0.8),
            keras.layers.ReLU(),
            keras.layers.DepthwiseConv2D(3, padding="same"),
            keras.layers.ReLU(),
            keras.layers.Flatten(),
            keras.layers.Dense(
                _CLASSES, activation="softmax" if softmax else None
            ),
        ],
        name="small",
    )
    model.compile(
        keras.optimizers.Adam(0.01),
        keras.losses.SparseCategoricalCrossentropy(from_logits=not softmax),
    )
    model.fit(*_data(512, 1), batch_size=64, epochs=4, verbose=0)
    return model


@functools.cache
def _file(mode="converter_int8", batch_size=None):
    """Returns the trained network as a file."""
    return to_tflite(
        _trained(), _data(128, 1)[0], mode=mode, batch_size=batch_size
    )


def _batches(images, labels, size=60):
    dataset = tf.data.Dataset.from_tensor_slices((images, labels))
    return dataset.batch(size)


def _open(**options):
    """Options that let every file pass."""
    return {
        "min_agreement": 0.0,
        "max_accuracy_drop": 1.0,
        "progress": False,
        **options,
    }


def _int8_outputs(content, images):
    """Runs one image after the other with NumPy around the interpreter."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]
    target = interpreter.get_output_details()[0]
    scale, zero = source["quantization"]
    codes = []
    for image in images:
        code = np.clip(np.rint(image / np.float32(scale)) + zero, -128, 127)
        interpreter.set_tensor(source["index"], code[None].astype(np.int8))
        interpreter.invoke()
        codes.append(interpreter.get_tensor(target["index"])[0])
    return np.stack(codes)


class VerifyTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.named_parameters(("logits", False), ("softmax", True))
    def test_int8_numbers_are_those_of_numpy(self, softmax):
        model = _trained(softmax)
        images, labels = _data(150, 2)
        tflite = to_tflite(model, _data(128, 1)[0])

        found = verify(tflite, model, _batches(images, labels), progress=False)

        keras_class = model.predict(images, verbose=0).argmax(-1)
        codes = _int8_outputs(tflite.content, images)
        self.assertEqual(codes.dtype, np.int8)
        file_class = codes.argmax(-1)
        self.assertEqual(found.images, 150)
        self.assertAllClose(found.agreement, np.mean(keras_class == file_class))
        self.assertAllClose(
            found.keras_accuracy, np.mean(keras_class == labels)
        )
        self.assertAllClose(
            found.tflite_accuracy, np.mean(file_class == labels)
        )
        self.assertAllClose(
            found.accuracy_drop, found.keras_accuracy - found.tflite_accuracy
        )
        self.assertGreater(found.keras_accuracy, 0.9)  # It means something.

    @parameterized.product(
        mode=["converter_int8", "dynamic_range", "float"],
        resolver=["default", "reference"],
    )
    def test_every_mode_and_resolver_passes(self, mode, resolver):
        model = _trained()
        tflite = _file(mode)

        found = verify(
            tflite,
            model,
            _batches(*_data(100, 2)),
            resolver=resolver,
            progress=False,
        )

        self.assertEqual((found.mode, found.resolver), (mode, resolver))
        self.assertEqual(found.float_weights, ())
        self.assertEqual(found.nan_outputs, 0)
        self.assertEqual(found.failures, ())
        self.assertIn("ai-edge-litert", found.interpreter)

    @parameterized.parameters("converter_int8", "dynamic_range", "float")
    def test_the_batch_size_changes_no_answer(self, mode):
        model = _trained()
        batches = _batches(*_data(70, 2), size=33)

        found = [
            verify(_file(mode), model, batches, **_open(batch_size=size))
            for size in (1, 16, 128)
        ] + [verify(_file(mode, 1), model, batches, **_open())]

        answers = {(f.images, f.agreement, f.tflite_accuracy) for f in found}
        self.assertLen(answers, 1)
        self.assertEqual(found[0].images, 70)

    def test_a_model_of_a_fixed_batch_size_is_verified(self):
        model = _trained()
        fixed = keras.Sequential(
            [
                keras.Input((8, 8, 2), batch_size=3),
                *[
                    type(layer).from_config(layer.get_config())
                    for layer in model.layers
                ],
            ]
        )
        fixed.set_weights(model.get_weights())
        images = _data(128, 1)[0]
        batches = _batches(*_data(70, 2))

        found = verify(to_tflite(fixed, images), fixed, batches, **_open())

        wanted = verify(_file(), model, batches, **_open())
        self.assertEqual(found.images, 70)
        self.assertEqual(found.agreement, wanted.agreement)

    def test_the_result_says_whose_step_sizes_and_which_split(self):
        images, labels = _data(40, 2)

        class Split:
            name = "test"
            count = 40

            def batches(self, size):
                return _batches(images, labels, size)

        found = verify(_file(), _trained(), Split(), **_open(num_threads=1))

        self.assertIsInstance(found, Verification)
        self.assertEqual(found.split, "test")
        self.assertEqual(found.step_size_source, "converter")
        self.assertEqual(found.num_threads, 1)
        self.assertIn("step sizes of the TFLite converter", str(found))

    def test_every_broken_limit_is_named_with_its_number(self):
        model = _trained()
        images, _ = _data(100, 2)
        right = model.predict(images, verbose=0).argmax(-1)
        # A model whose first two classes changed places in the file.
        swapped = keras.models.clone_model(model)
        weights = model.get_weights()
        for index in (-2, -1):
            weights[index] = weights[index][..., [1, 0, 2, 3]]
        swapped.set_weights(weights)
        share = np.mean(right <= 1)

        with self.assertRaises(VerificationError) as caught:
            verify(
                to_tflite(swapped, _data(128, 1)[0]),
                model,
                [(images, right)],
                progress=False,
            )

        found = caught.exception.verification
        self.assertAllClose(found.agreement, 1 - share, atol=0.021)
        self.assertEqual(found.keras_accuracy, 1.0)
        message = str(caught.exception)
        self.assertIn(f"for {found.agreement:.2%} of the images", message)
        self.assertIn("min_agreement is 98.00%", message)
        self.assertIn(
            f"drop of {100 * found.accuracy_drop:.2f} points", message
        )
        self.assertIn("max_accuracy_drop is 1.00 points", message)
        self.assertIn("100 images", message)
        self.assertIn("Calibrate with more images", message)
        verify(_file(), model, [(images, right)], progress=False)

    @parameterized.named_parameters(
        ("at_both", 0.98, 1 / 100, 0),
        ("below_agreement", 0.9799, 0.0, 1),
        ("above_drop", 1.0, 101 / 10_000, 1),
        ("beyond_both", 0.5, 0.5, 2),
        ("a_gain", 1.0, -0.5, 0),
    )
    def test_limits_are_inclusive(self, agreement, drop, failures):
        found = verify(_file(), _trained(), [_data(10, 2)], **_open())

        found = dataclasses.replace(
            found,
            agreement=agreement,
            accuracy_drop=drop,
            min_agreement=0.98,
            max_accuracy_drop=0.010,
        )

        self.assertLen(found.failures, failures)

    def test_float_weights_fail_a_full_integer_file_only(self):
        keras.utils.set_random_seed(0)
        model = keras.Sequential(
            [
                keras.Input((8, 8, 2)),
                keras.layers.Reshape((8, 8, 2, 1)),
                keras.layers.Conv3D(2, (3, 3, 1)),
                keras.layers.Flatten(),
                keras.layers.Dense(_CLASSES),
            ]
        )
        images, labels = _data(30, 2)
        dynamic = to_tflite(model, mode="dynamic_range")

        with self.assertRaisesRegex(
            VerificationError, "full-integer file(.|\n)*mode='dynamic_range'"
        ) as caught:
            verify(
                to_tflite(model, images), model, [(images, labels)], **_open()
            )

        self.assertNotEmpty(caught.exception.verification.float_weights)
        self.assertEqual(caught.exception.verification.float_ops, 1)
        self.assertEqual(
            verify(dynamic, model, [(images, labels)], **_open()).float_weights,
            (),
        )

    def test_nan_outputs_are_counted_and_fail(self):
        inputs = keras.Input((2,))
        # The root of a negative number is NaN.
        rooted = keras.Model(inputs, keras.layers.Activation(tf.sqrt)(inputs))
        plain = keras.Model(inputs, keras.layers.Activation(tf.abs)(inputs))
        images = np.array([[1, 2], [-1, 2], [3, -4], [4, 3]], np.float32)
        labels = np.array([1, 1, 1, 0])
        tflite = to_tflite(rooted, mode="float")

        with self.assertRaisesRegex(
            VerificationError, "NaN or infinity for 2 of 4 images"
        ) as caught:
            verify(tflite, plain, [(images, labels)], **_open())
        with self.assertRaisesRegex(ValueError, "infinity itself"):
            verify(tflite, rooted, [(images, labels)], **_open())

        found = caught.exception.verification
        self.assertEqual(found.nan_outputs, 2)
        self.assertEqual(found.agreement, 0.5)
        self.assertEqual(found.tflite_accuracy, 0.5)


class VerifyErrorTest(parameterized.TestCase, tf.test.TestCase):
    def _verify(self, batches, **options):
        return verify(_file("float"), _trained(), batches, **_open(**options))

    @parameterized.named_parameters(
        ("empty", [], "images to verify with. Received none"),
        ("no_labels", [np.zeros((2, 8, 8, 2))], "inputs only"),
        (
            "wrong_shape",
            [(np.zeros((2, 7, 8, 2)), [0, 1])],
            r"\['batch', 8, 8, 2\].*Received: \[2, 7, 8, 2\]",
        ),
        (
            "one_hot",
            [(np.zeros((2, 8, 8, 2)), np.eye(4)[:2])],
            r"One-hot|one-hot labels of shape \[2, 4\]",
        ),
        (
            "outside",
            [(np.zeros((2, 8, 8, 2)), [0, 4])],
            r"labels in 0\.\.3.*from 0 to 4",
        ),
    )
    def test_unusable_splits(self, batches, message):
        with self.assertRaisesRegex(ValueError, message):
            self._verify(batches)

    @parameterized.named_parameters(
        ("agreement", {"min_agreement": 98}, "share from 0 to 1.*98"),
        ("drop", {"max_accuracy_drop": float("nan")}, "max_accuracy_drop"),
        ("resolver", {"resolver": "gpu"}, "'reference'.*'gpu'"),
    )
    def test_unusable_options(self, options, message):
        with self.assertRaisesRegex(ValueError, message):
            self._verify([(np.zeros((2, 8, 8, 2)), [0, 1])], **options)

    def test_the_file_of_another_model_is_refused(self):
        other = keras.Sequential(
            [
                keras.Input((8, 8, 2)),
                keras.layers.Flatten(),
                keras.layers.Dense(3),
            ]
        )
        tflite = to_tflite(other, mode="float")

        with self.assertRaisesRegex(ValueError, r"'batch', 3\].*'batch', 4\]"):
            verify(tflite, _trained(), [])

    def test_something_else_than_a_file_is_refused(self):
        with self.assertRaisesRegex(TypeError, "to_tflite.*bytes"):
            verify(b"TFL3", _trained(), [])
        broken = TFLiteModel(
            content=b"no file",
            mode="float",
            details=_file("float").details,
        )
        with self.assertRaisesRegex(ValueError, "cannot run this file"):
            verify(broken, _trained(), [])


if __name__ == "__main__":
    tf.test.main()
