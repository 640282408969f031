"""A model and a file answer the same questions."""

import functools
import pathlib

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from kure_tf.compat import keras
from kure_tf.data.ports import Port
from kure_tf.evaluation import (
    Runner,
    evaluate,
    keras_runner,
    litert_runner,
    mean_absolute_error,
    top_1,
)
from kure_tf.export import to_tflite

layers = keras.layers
_X = np.random.default_rng(0).normal(size=(10, 4)).astype(np.float32)
_IDS = np.random.default_rng(1).integers(5, size=(10, 3)).astype(np.int32)


@functools.cache
def _model(batch_size=None, **options):
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((4,), batch_size=batch_size),
            layers.Dense(8, activation="relu"),
            layers.Dense(3, name="out", **options),
        ],
        name="small",
    )


@functools.cache
def _file(mode="float", batch_size=None):
    return to_tflite(_model(), _X, mode=mode, batch_size=batch_size).content


@functools.cache
def _two_inputs():
    """Returns a model of two inputs and two outputs, and its file."""
    keras.utils.set_random_seed(0)
    z, ids = keras.Input((4,), name="z"), keras.Input((3,), dtype="int32")
    embedded = layers.Flatten()(layers.Embedding(5, 2)(ids))
    x = layers.Concatenate()([z, embedded])
    model = keras.Model([z, ids], [layers.Dense(3)(x), layers.Dense(1)(x)])
    function = tf.function(
        lambda z, a: dict(zip("pq", model([z, a]), strict=True)),
        input_signature=[
            tf.TensorSpec((None, 4), tf.float32, "z"),
            tf.TensorSpec((None, 3), tf.int32, "a"),
        ],
    )
    concrete = function.get_concrete_function()
    module = tf.Module()
    module.kept = list(concrete.variables)
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [concrete], module
    )
    return model, converter.convert()


class KerasRunnerTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(None, 3, 4, 16)
    def test_it_answers_any_number_of_examples(self, batch_size):
        model = _model(batch_size)
        runner = keras_runner(model)
        self.assertEqual(runner.batch_size, batch_size)
        for count in (1, 3, 10):
            (found,) = runner.outputs(_X[:count])
            self.assertIsInstance(found, np.ndarray)
            self.assertAllClose(found, _model()(_X[:count]), rtol=1e-5)

    def test_ports_say_what_goes_in_and_comes_out(self):
        runner = keras_runner(_two_inputs()[0])
        z, ids = runner.input_ports
        self.assertEqual(z, Port("z", (None, 4), "float32"))
        self.assertEqual((ids.shape, ids.dtype), ((None, 3), "int32"))
        self.assertEqual(
            [port.shape for port in runner.output_ports], [(None, 3), (None, 1)]
        )
        self.assertEqual(runner.output_ports[0].dtype, "float32")

    def test_several_inputs_and_outputs(self):
        model, _ = _two_inputs()
        runner = keras_runner(model)
        for inputs in ((_X, _IDS), {"z": _X, runner.input_ports[1].name: _IDS}):
            for found, wanted in zip(
                runner.outputs(inputs), model([_X, _IDS]), strict=True
            ):
                self.assertAllClose(found, wanted, rtol=1e-5)

    def test_half_precision_is_widened(self):
        (found,) = keras_runner(_model(dtype="bfloat16")).outputs(_X)
        self.assertEqual(found.dtype, np.float32)

    def test_variables_may_change_in_between(self):
        model = keras.models.clone_model(_model())
        runner = keras_runner(model)
        runner.outputs(_X)
        model.set_weights([0 * weight for weight in model.get_weights()])
        self.assertAllEqual(runner.outputs(_X)[0], np.zeros((10, 3)))


class LiteRTRunnerTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.product(
        batch_size=[1, 4, 10, 64],
        resolver=["default", "builtin", "reference"],
    )
    def test_a_float_file_answers_as_the_model(self, batch_size, resolver):
        runner = litert_runner(
            _file(), batch_size=batch_size, resolver=resolver
        )
        (found,) = runner.outputs(_X)
        self.assertAllClose(found, _model()(_X), rtol=1e-4, atol=1e-5)

    def test_an_int8_file_takes_and_gives_numbers(self):
        runner = litert_runner(_file("converter_int8"))
        self.assertEqual(runner.input_ports.dtype, "float32")
        (found,) = runner.outputs(_X)
        wanted = _model()(_X).numpy()
        self.assertAllClose(found, wanted, atol=0.05 * np.abs(wanted).max())

    def test_a_fixed_batch_size_is_kept(self):
        runner = litert_runner(_file(batch_size=4), batch_size=64)
        self.assertEqual(runner.batch_size, 4)
        self.assertEqual(runner.input_ports, Port("image", (4, 4), "float32"))
        self.assertEqual(runner.outputs(_X)[0].shape, (10, 3))

    @parameterized.parameters("default", "builtin")
    def test_threads_change_no_answer(self, resolver):
        one, two = (
            litert_runner(
                _file("converter_int8"),
                resolver=resolver,
                num_threads=n,
                batch_size=3,
            )
            for n in (1, 2)
        )
        self.assertAllEqual(one.outputs(_X)[0], two.outputs(_X)[0])

    def test_a_path_will_do(self):
        path = pathlib.Path(self.get_temp_dir()) / "some.tflite"
        path.write_bytes(_file())
        for given in (path, str(path)):
            runner = litert_runner(given)
            self.assertEqual(runner.name, str(path))
            self.assertEqual(runner.outputs(_X)[0].shape, (10, 3))

    def test_several_inputs_and_outputs_go_by_name(self):
        model, content = _two_inputs()
        runner = litert_runner(content, batch_size=4)
        self.assertEqual(sorted(runner.input_ports), ["a", "z"])
        self.assertEqual(runner.input_ports["a"].dtype, "int32")
        found = dict(
            zip(
                [port.name for port in runner.output_ports],
                runner.outputs({"z": _X, "a": _IDS}),
                strict=True,
            )
        )
        for name, wanted in zip("pq", model([_X, _IDS]), strict=True):
            self.assertAllClose(found[name], wanted, rtol=1e-4, atol=1e-5)
        for one, other in zip(
            runner.outputs((_IDS, _X)), runner.outputs([_IDS, _X]), strict=True
        ):
            self.assertAllEqual(one, other)

    def test_open_sizes_may_change_from_call_to_call(self):
        inputs = keras.Input((None, None, 2))
        model = keras.Model(inputs, layers.GlobalAveragePooling2D()(inputs))
        function = tf.function(
            model, input_signature=[tf.TensorSpec((None, None, None, 2))]
        )
        content = tf.lite.TFLiteConverter.from_concrete_functions(
            [function.get_concrete_function()]
        ).convert()
        runner = litert_runner(content, batch_size=2)
        self.assertEqual(runner.input_ports.shape, (None, None, None, 2))
        random = np.random.default_rng(0)
        for shape in ((3, 5, 4, 2), (1, 7, 7, 2), (3, 5, 4, 2)):
            images = random.normal(size=shape).astype(np.float32)
            self.assertAllClose(
                runner.outputs(images)[0], images.mean((1, 2)), atol=1e-5
            )

    @parameterized.named_parameters(
        ("resolver", _file, {"resolver": "gpu"}, "resolver out of.*'gpu'"),
        ("file", lambda: b"no file", {}, "cannot run this file"),
    )
    def test_what_cannot_run_is_refused(self, content, options, message):
        with self.assertRaisesRegex(ValueError, message):
            litert_runner(content(), **options)

    def test_a_file_that_fails_when_asked_says_so(self):
        """A mask makes LiteRT's interpreter fail in `invoke` only."""
        keras.utils.set_random_seed(0)
        inputs = keras.Input((16,), dtype="int32")
        x = layers.Embedding(100, 16, mask_zero=True)(inputs)
        x = layers.GlobalAveragePooling1D()(layers.Dense(32)(x))
        model = keras.Model(inputs, layers.Dense(4)(x))
        ids = np.random.default_rng(0).integers(1, 100, (64, 16))
        ids[:, 10:] = 0
        runner = litert_runner(
            to_tflite(model, ids, mode="converter_int8").content
        )
        try:
            (found,) = runner.outputs(ids)
        except ValueError as error:
            self.assertIn("cannot run this file", str(error))
        else:  # Where LiteRT can do it, it does it right.
            self.assertAllClose(found, model(ids), atol=0.1)


class SameQuestionsTest(tf.test.TestCase):
    def test_model_and_file_are_evaluated_alike(self):
        labels = _model()(_X).numpy().argmax(1)
        y = _model()(_X).numpy()
        for runner in (keras_runner(_model()), litert_runner(_file())):
            self.assertIsInstance(runner, Runner)
            found = evaluate(runner, (_X, labels), [top_1])
            self.assertEqual(found["accuracy"].value, 1.0)
            found = evaluate(runner, (_X, y), [mean_absolute_error])
            self.assertLess(found["mean_absolute_error"].value, 1e-5)

    def test_a_file_does_not_say_what_its_loss_is(self):
        with self.assertRaisesRegex(TypeError, "metrics.*file"):
            evaluate(litert_runner(_file()), (_X, np.zeros(10, int)))


if __name__ == "__main__":
    tf.test.main()
