import os

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized
from float_net import SHAPE, float_images, float_net

from kure_tf.compat import keras
from kure_tf.export import TFLiteModel, to_tflite, verify


def _interpreter(content):
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_content=content,
        experimental_op_resolver_type=(
            OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        ),
    )
    interpreter.allocate_tensors()
    return interpreter


def _run(content, images):
    """Runs one image after the other, as a device would."""
    interpreter = _interpreter(content)
    source = interpreter.get_input_details()[0]
    target = interpreter.get_output_details()[0]
    outputs = []
    for image in images:
        if np.issubdtype(source["dtype"], np.integer):
            scale, zero = source["quantization"]
            limits = np.iinfo(source["dtype"])
            codes = np.rint(image / scale) + zero
            image = np.clip(codes, limits.min, limits.max)
        interpreter.set_tensor(
            source["index"], image[np.newaxis].astype(source["dtype"])
        )
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(target["index"])[0])
    outputs = np.stack(outputs)
    if np.issubdtype(target["dtype"], np.integer):
        scale, zero = target["quantization"]
        outputs = (outputs.astype(np.float32) - zero) * scale
    return outputs


class ToTFLiteTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.named_parameters(
        ("converter_int8", "converter_int8", 0.05),
        ("converter_16x8", "converter_16x8", 0.02),
        ("dynamic_range", "dynamic_range", 0.05),
        ("float16", "float16", 1e-3),
        ("float", "float", 1e-5),
    )
    def test_the_file_computes_what_the_model_computes(self, mode, tolerance):
        model, images = float_net(), float_images()

        tflite = to_tflite(model, images, mode=mode)

        expected = np.asarray(model(images, training=False))
        spread = expected.max() - expected.min()
        self.assertAllClose(
            _run(tflite.content, images), expected, atol=tolerance * spread
        )
        self.assertEqual(tflite.mode, mode)

    def test_an_int8_file_holds_integers_only(self):
        tflite = to_tflite(float_net(), float_images())

        tensors = _interpreter(tflite.content).get_tensor_details()
        dtypes = {np.dtype(tensor["dtype"]) for tensor in tensors}
        details = tflite.details
        self.assertContainsSubset(dtypes, {np.dtype("int8"), np.dtype("int32")})
        self.assertEqual(set(details["tensors"]), {"int8", "int32"})
        self.assertEqual(details["float_ops"], 0)
        self.assertEqual(details["float_weights"], [])

    def test_details_agree_with_the_interpreter(self):
        tflite = to_tflite(float_net(), float_images())

        interpreter = _interpreter(tflite.content)
        for port, found in [
            ("input", interpreter.get_input_details()[0]),
            ("output", interpreter.get_output_details()[0]),
        ]:
            said = tflite.details[port]
            self.assertEqual(
                (said["scale"], said["zero_point"]), found["quantization"]
            )
            self.assertEqual(said["dtype"], "int8")
            self.assertEqual(said["shape"], [None, *found["shape"][1:]])
        self.assertEqual(tflite.details["size"], len(tflite.content))
        self.assertEqual(
            sum(tflite.details["ops"].values()),
            len(interpreter._get_ops_details()),
        )

    @pytest.mark.one_keras
    def test_details_say_whose_step_sizes_they_are(self):
        model, images = float_net(), float_images()

        said = [
            to_tflite(model, images, mode=mode).details["step_size_source"]
            for mode in ("converter_int8", "dynamic_range", "float")
        ]

        self.assertEqual(said, ["converter", "converter", None])

    def test_the_input_range_is_that_of_the_calibration_images(self):
        images = float_images()

        port = to_tflite(float_net(), images).details["input"]

        spread = float(images.max() - images.min())
        self.assertAllClose(port["scale"], spread / 255, rtol=1e-5)
        self.assertAllClose(
            port["zero_point"], -128 - images.min() / port["scale"], atol=0.5
        )

    def test_dynamic_range_stores_int8_kernels_and_computes_in_float(self):
        # The converter leaves kernels of less than 1024 elements in float.
        model = float_net(keras.layers.Conv2D(64, 3, padding="same"))

        tflite = to_tflite(model, mode="dynamic_range")

        self.assertGreater(tflite.details["tensors"]["int8"], 0)
        self.assertGreater(tflite.details["float_ops"], 0)
        self.assertEqual(tflite.details["input"]["dtype"], "float32")
        self.assertIsNone(tflite.details["input"]["scale"])

    def test_an_operator_without_integer_kernel_is_counted(self):
        model = float_net(
            keras.layers.Reshape((4, 4, 4, 1)),
            keras.layers.Conv3D(2, 3, padding="same"),
            keras.layers.Reshape((4, 4, 8)),
        )

        details = to_tflite(model, float_images()).details

        self.assertEqual(details["float_op_names"], {"CONV_3D": 1})
        self.assertEqual(details["float_ops"], 1)
        self.assertNotEmpty(details["float_weights"])

    @pytest.mark.one_keras
    def test_every_kind_of_calibration_set_gives_the_same_file(self):
        model, images = float_net(), float_images()
        labels = np.zeros(len(images), np.int64)

        class Split:
            name = "calibration"
            count = len(images)

            def batches(self, size):
                both = tf.data.Dataset.from_tensor_slices((images, labels))
                return both.batch(size)

        split = Split()
        files = [
            to_tflite(model, source)
            for source in [
                images,
                [images[:16], images[16:]],
                ((images[i : i + 16], labels[i : i + 16]) for i in (0, 16, 32)),
                tf.data.Dataset.from_tensor_slices(images).batch(7),
                split,
            ]
        ]

        self.assertLen({file.content for file in files}, 1)
        self.assertEqual(files[-1].details["calibration"], "calibration")
        self.assertEqual(
            {file.details["calibration_images"] for file in files}, {40}
        )

    @parameterized.named_parameters(("any", None, [None]), ("one", 1, [1]))
    @pytest.mark.one_keras
    def test_the_batch_size_is_any_or_the_given_one(self, size, expected):
        tflite = to_tflite(float_net(), float_images(), batch_size=size)

        self.assertEqual(tflite.details["input"]["shape"], [*expected, *SHAPE])

    @parameterized.parameters("converter_int8", "dynamic_range", "float")
    @pytest.mark.one_keras
    def test_integer_inputs_stay_integers(self, mode):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((16,), dtype="int32")
        x = keras.layers.Embedding(2000, 16)(inputs)
        x = keras.layers.Dense(32, activation="relu")(keras.layers.Flatten()(x))
        model = keras.Model(inputs, keras.layers.Dense(4)(x))
        ids = np.random.default_rng(0).integers(2000, size=(64, 16))
        labels = np.array(model(ids)).argmax(-1)

        tflite = to_tflite(model, [ids], mode=mode)

        self.assertEqual(tflite.details["input"]["dtype"], "int32")
        found = verify(tflite, model, (ids, labels), progress=False)
        self.assertEqual(found.keras_accuracy, 1.0)

    def test_a_fixed_batch_size_of_the_model_is_kept(self):
        model = float_net(batch_size=3)

        tflite = to_tflite(model, float_images(count=40))

        self.assertEqual(tflite.details["input"]["shape"], [3, *SHAPE])

    def test_nested_models_and_the_name_in_convert(self):
        inner = keras.Sequential(
            [keras.Input((4, 4, 4)), keras.layers.DepthwiseConv2D(3)]
        )
        images = float_images()
        inputs = keras.Input(SHAPE, name="in")
        x = inner(keras.layers.Conv2D(4, 3)(inputs))
        x = keras.layers.Flatten()(x)
        model = keras.Model(inputs, keras.layers.Dense(3)(x))

        content = to_tflite(model, mode="float").content

        self.assertAllClose(
            _run(content, images),
            np.asarray(model(images, training=False)),
            atol=1e-5,
        )

    @parameterized.named_parameters(
        ("bfloat16", "mixed_bfloat16"), ("float16", "mixed_float16")
    )
    def test_mixed_precision_is_exported_as_the_float32_model(self, policy):
        keras.mixed_precision.set_global_policy(policy)
        self.addCleanup(keras.mixed_precision.set_global_policy, "float32")
        wrapped = keras.layers.TimeDistributed(keras.layers.Dense(4))
        mixed = float_net(wrapped)
        images = float_images()

        content = to_tflite(mixed, mode="float").content

        keras.mixed_precision.set_global_policy("float32")
        plain = float_net(keras.layers.TimeDistributed(keras.layers.Dense(4)))
        plain.set_weights(mixed.get_weights())
        self.assertAllClose(
            _run(content, images),
            np.asarray(plain(images, training=False)),
            atol=1e-5,
        )
        self.assertNotEqual(mixed.layers[0].compute_dtype, "float32")

    @pytest.mark.one_keras
    def test_the_model_is_left_as_it_was(self):
        model, images = float_net(), float_images()
        model.compile("sgd", "mse")
        before = model.get_weights(), model.to_json()
        path = os.path.join(self.get_temp_dir(), "after.keras")

        to_tflite(model, images)

        for old, new in zip(before[0], model.get_weights(), strict=True):
            self.assertAllEqual(old, new)
        self.assertEqual(model.to_json(), before[1])
        model.save(path)
        self.assertAllEqual(
            keras.models.load_model(path)(images), model(images)
        )

    def test_conversion_prints_nothing(self):
        path = os.path.join(self.get_temp_dir(), "printed")
        saved = [os.dup(fd) for fd in (1, 2)]
        with open(path, "wb") as file:
            for fd in (1, 2):
                os.dup2(file.fileno(), fd)
            try:
                tflite = to_tflite(float_net(), float_images())
                verify(
                    tflite,
                    float_net(),
                    [(float_images(), np.zeros(40, np.int64))],
                    min_agreement=0.0,
                    max_accuracy_drop=1.0,
                    progress=False,
                )
            finally:
                for fd, copy in zip((1, 2), saved, strict=True):
                    os.dup2(copy, fd)
                    os.close(copy)

        with open(path, "rb") as file:
            self.assertEqual(file.read(), b"")
        self.assertIsInstance(tflite, TFLiteModel)


if __name__ == "__main__":
    tf.test.main()
