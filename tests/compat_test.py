import importlib
import json
import os
import pathlib
import subprocess
import sys
import zipfile

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from kure_tf import compat
from kure_tf.compat import keras

OTHER = "tf_keras" if compat.IS_KERAS_3 else "keras"
OTHER_FLAG = "1" if compat.IS_KERAS_3 else "0"

# tensorflow-model-optimization changes the variable behind everybody's back.
ASK_AFTER_THE_VARIABLE_CHANGED = """
import os
import tensorflow as tf
tf.keras.Model
os.environ["TF_USE_LEGACY_KERAS"] = {changed!r}
from kure_tf import compat
print(compat.KERAS_NAME, compat.keras.__name__)
"""


@keras.utils.register_keras_serializable("compat_test")
class _Scaled(keras.layers.Layer):
    """A user's own layer, with a weight, an option and a loss."""

    def __init__(self, factor=2.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def build(self, input_shape):
        self.gain = self.add_weight(
            name="gain", shape=(input_shape[-1],), initializer="ones"
        )
        super().build(input_shape)

    def call(self, inputs):
        self.add_loss(tf.reduce_sum(tf.square(tf.convert_to_tensor(self.gain))))
        return inputs * self.gain * self.factor

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


class _NoConfig(keras.layers.Layer):
    def __init__(self, size):
        super().__init__(name="no_config")
        self.size = size

    def call(self, inputs):
        return inputs

    def get_config(self):
        return {"name": "no_config"}


class _Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(3)

    def call(self, inputs):
        return self.dense(inputs)


def _other_keras():
    """Returns the Keras that is not in use."""
    return importlib.import_module(OTHER)


def _plain():
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((4,), name="image"),
            layers.Dense(5, activation="relu", name="a"),
            _Scaled(3.0, name="scaled"),
            layers.BatchNormalization(name="bn"),
            layers.Dropout(0.5, name="dropout"),
            layers.Dense(2, name="b"),
        ]
    )


def _two_in_two_out():
    layers = keras.layers
    left, right = keras.Input((4,), name="left"), keras.Input((4,), name="r")
    shared = layers.Dense(4, name="shared")
    inner = keras.Sequential(
        [keras.Input((4,)), layers.Dense(4, name="deep")], name="inner"
    )
    x = layers.Add(name="add")([inner(shared(left)), shared(right)])
    y = layers.Concatenate(name="concatenate")([inner(x), right])
    return keras.Model([left, right], {"x": x, "y": y})


def _nested_twice():
    layers = keras.layers
    core = keras.Sequential(
        [keras.Input((4,)), layers.Dense(4, name="dense")], name="core"
    )
    inputs = keras.Input((4,))
    middle = keras.Model(
        inputs, layers.ReLU(name="relu")(core(inputs)), name="middle"
    )
    return keras.Sequential(
        [keras.Input((4,)), middle, layers.Dense(2, name="head")]
    )


def _with_operations():
    inputs = keras.Input((4,))
    x = keras.layers.Dense(4, name="dense")(inputs)
    return keras.Model(
        inputs, keras.layers.Dense(2, name="head")(x * 2.0 + 1.0)
    )


MODELS = {
    "plain": (_plain, ["a", "scaled", "bn", "dropout", "b"]),
    "two_in_two_out": (
        _two_in_two_out,
        ["shared", "inner/deep", "add", "concatenate"],
    ),
    "nested_twice": (
        _nested_twice,
        ["middle/core/dense", "middle/relu", "head"],
    ),
}


def _inputs(model):
    rng = np.random.default_rng(0)
    values = [rng.normal(size=(3, 4)).astype(np.float32) for _ in model.inputs]
    return values if len(values) > 1 else values[0]


def _plain_copy(path, layer):
    copy = compat.copy_layer(layer)
    return copy, copy


def _randomize(model):
    rng = np.random.default_rng(1)
    model.set_weights(
        [rng.uniform(0.5, 1.5, w.shape) for w in model.get_weights()]
    )


class ActiveKerasTest(tf.test.TestCase, parameterized.TestCase):
    def test_it_is_what_tf_keras_resolves_to(self):
        self.assertIs(keras.layers.Dense, tf.keras.layers.Dense)
        self.assertEqual(compat.KERAS_NAME, keras.__name__)
        self.assertEqual(compat.KERAS_VERSION, keras.__version__)

    def test_the_variable_does_not_matter_later(self):
        result = subprocess.run(
            [
                sys.executable,
                "-c",
                ASK_AFTER_THE_VARIABLE_CHANGED.format(changed=OTHER_FLAG),
            ],
            env={
                **os.environ,
                "TF_USE_LEGACY_KERAS": "0" if compat.IS_KERAS_3 else "1",
            },
            capture_output=True,
            text=True,
            check=False,
        )

        self.assertEqual(
            result.stdout.split(), [compat.KERAS_NAME] * 2, result.stderr
        )

    def test_keras_of_tells_the_two_apart(self):
        other = _other_keras()

        self.assertEqual(
            compat.keras_of(keras.layers.Dense(2)), compat.KERAS_NAME
        )
        self.assertEqual(compat.keras_of(_Scaled()), compat.KERAS_NAME)
        self.assertEqual(compat.keras_of(other.layers.Dense(2)), OTHER)
        self.assertIsNone(compat.keras_of("dense"))

    def test_a_model_of_the_other_keras_is_refused_with_the_way_out(self):
        other = _other_keras()
        model = other.Sequential(
            [other.layers.InputLayer((3,)), other.layers.Dense(2)]
        )

        for check in (compat.check_active_keras, compat.check_graph_model):
            with self.assertRaisesRegex(
                TypeError,
                f"model of {compat.KERAS_NAME},.*model of {OTHER}:.*"
                f"TF_USE_LEGACY_KERAS={OTHER_FLAG}",
            ):
                check(model)

    def test_registered_classes_are_serializable(self):
        @compat.register_serializable("compat_test")
        class Registered(keras.layers.Layer):
            pass

        copy = keras.layers.deserialize(
            keras.layers.serialize(Registered(name="x"))
        )

        self.assertIsInstance(copy, Registered)


class GraphModelTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(*MODELS)
    def test_functional_and_sequential_models_pass(self, name):
        compat.check_graph_model(MODELS[name][0]())

    def test_layers_subclassed_models_and_others_do_not(self):
        subclassed = _Subclassed()
        subclassed(np.zeros((1, 3), np.float32))

        self.assertFalse(compat.is_graph_model(subclassed))
        self.assertFalse(compat.is_graph_model(keras.layers.Dense(2)))
        with self.assertRaisesRegex(TypeError, "subclassed.*functional API"):
            compat.check_graph_model(subclassed)
        for thing in ("model", None, keras.layers.Dense(2)):
            with self.assertRaisesRegex(TypeError, "sequential Keras model"):
                compat.check_graph_model(thing)

    def test_unbuilt_models_do_not(self):
        for model in (
            keras.Sequential(),
            keras.Sequential([keras.layers.Dense(2)]),
        ):
            with self.assertRaisesRegex(ValueError, "unbuilt.*input shape"):
                compat.check_graph_model(model)

    def test_a_sequential_model_that_was_called_passes(self):
        model = keras.Sequential([keras.layers.Dense(2)])
        model(np.zeros((1, 3), np.float32))

        compat.check_graph_model(model)

    @parameterized.parameters(*MODELS)
    def test_layers_are_listed_once_in_order_with_their_paths(self, name):
        make, paths = MODELS[name]

        self.assertEqual([path for path, _ in compat.layers_of(make())], paths)

    def test_edges_and_outputs_of_a_graph(self):
        model = _two_in_two_out()

        edges = [(a.name, b.name) for a, b in compat.graph_edges(model)]

        self.assertCountEqual(
            edges,
            [
                ("left", "shared"),
                ("r", "shared"),
                ("shared", "inner"),
                ("inner", "add"),
                ("shared", "add"),
                ("add", "inner"),
                ("inner", "concatenate"),
                ("r", "concatenate"),
            ],
        )
        self.assertCountEqual(
            [layer.name for layer in compat.output_layers(model)],
            ["add", "concatenate"],
        )

    def test_edges_and_outputs_of_a_sequential_model(self):
        model = _plain()

        edges = [(a.name, b.name) for a, b in compat.graph_edges(model)]

        self.assertIn(("a", "scaled"), edges)
        self.assertLen(edges, 5)
        self.assertEqual(
            [layer.name for layer in compat.output_layers(model)], ["b"]
        )

    def test_output_shape(self):
        model = _plain()

        self.assertEqual(compat.output_shape(model.get_layer("a")), (None, 5))
        self.assertEqual(compat.output_shape(model), (None, 2))


class CloneModelTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(*MODELS)
    def test_the_copy_computes_the_same_with_weights_of_its_own(self, name):
        model = MODELS[name][0]()
        _randomize(model)
        x = _inputs(model)
        outputs = model(x)

        copy = compat.clone_model(model, _plain_copy)

        tf.nest.map_structure(self.assertAllEqual, copy(x), outputs)
        self.assertEqual(copy.name, model.name)
        self.assertEqual(
            [path for path, _ in compat.layers_of(copy)],
            [path for path, _ in compat.layers_of(model)],
        )
        copy.set_weights([w * 0 for w in copy.get_weights()])
        tf.nest.map_structure(self.assertAllEqual, model(x), outputs)

    def test_an_adapted_normalization_stays_adapted(self):
        norm = keras.layers.Normalization()
        x = np.random.default_rng(0).normal(3, 2, (50, 4)).astype(np.float32)
        norm.adapt(x)
        inputs = keras.Input((4,))
        model = keras.Model(inputs, keras.layers.Dense(2)(norm(inputs)))
        copy = compat.clone_model(model, _plain_copy)
        self.assertAllEqual(copy(x), model(x))

    def test_operations_between_layers_are_copied(self):
        model = _with_operations()
        x = _inputs(model)

        self.assertAllEqual(compat.clone_model(model, _plain_copy)(x), model(x))

    def test_losses_that_layers_add_are_kept(self):
        model = _plain()
        _randomize(model)
        x = _inputs(model)
        model(x)

        copy = compat.clone_model(model, _plain_copy)

        copy(x)
        self.assertAllClose(sum(copy.losses), sum(model.losses))

    def test_trainable_flags_are_kept(self):
        model = _nested_twice()
        model.get_layer("head").trainable = False
        frozen = compat.clone_model(model, _plain_copy)
        self.assertFalse(frozen.get_layer("head").trainable)
        self.assertLen(frozen.trainable_weights, 2)

        model.get_layer("middle").trainable = False
        frozen = compat.clone_model(model, _plain_copy)
        self.assertEmpty(frozen.trainable_weights)

        model.trainable = False
        self.assertFalse(compat.clone_model(model, _plain_copy).trainable)

    def test_make_layer_gets_every_path_and_may_wrap(self):
        paths = []

        def make_layer(path, layer):
            paths.append(path)
            inner = compat.copy_layer(layer)
            if path != "b":
                return inner, inner
            return keras.layers.TimeDistributed(inner, name="b"), inner

        inputs = keras.Input((3, 4))
        dense = keras.layers.Dense(5, name="a")(inputs)
        model = keras.Model(inputs, keras.layers.Dense(2, name="b")(dense))
        copy = compat.clone_model(model, make_layer)

        self.assertEqual(paths, ["a", "b"])
        x = np.ones((1, 3, 4), np.float32)
        self.assertAllClose(copy(x), model(x))

    def test_a_layer_that_cannot_be_copied_is_named(self):
        model = keras.Sequential([keras.Input((4,)), _NoConfig(3)])

        with self.assertRaisesRegex(TypeError, "no_config.*get_config"):
            compat.clone_model(model, _plain_copy)

    def test_compilation_is_kept_with_an_optimizer_of_its_own(self):
        model = _plain()

        def loss(y_true, y_pred):
            return tf.reduce_mean(tf.square(y_true - y_pred))

        model.compile(
            keras.optimizers.Adam(0.125, beta_1=0.5),
            loss,
            metrics=[keras.metrics.MeanAbsoluteError(name="error"), "mse"],
        )
        x, y = _inputs(model), np.zeros((3, 2), np.float32)

        copy = compat.clone_model(model, _plain_copy)

        self.assertIsNot(copy.optimizer, model.optimizer)
        self.assertAllClose(copy.optimizer.learning_rate, 0.125)
        self.assertAllClose(copy.optimizer.beta_1, 0.5)
        results = copy.evaluate(x, y, verbose=0, return_dict=True)
        expected = model.evaluate(x, y, verbose=0, return_dict=True)
        self.assertAllClose(results, expected)
        self.assertIn("error", results)
        copy.fit(x, y, verbose=0)
        # The model still has its own metrics and optimizer.
        self.assertAllClose(
            model.evaluate(x, y, verbose=0, return_dict=True), expected
        )

    def test_an_uncompiled_model_stays_uncompiled(self):
        copy = compat.clone_model(_plain(), _plain_copy)

        self.assertIsNone(getattr(copy, "optimizer", None))


class ComputingWithTest(tf.test.TestCase, parameterized.TestCase):
    def test_a_layer_computes_with_the_tensor_and_gets_its_own_back(self):
        layer = keras.layers.Dense(2)
        layer.build((None, 3))
        x = np.ones((1, 3), np.float32)
        before, weights = layer(x), layer.get_weights()

        with compat.computing_with(
            layer, {"kernel": tf.ones((3, 2))}, lambda loss: None
        ):
            inside = layer(x)

        self.assertAllEqual(inside, [[3.0, 3.0]])
        self.assertAllEqual(layer(x), before)
        for now, then in zip(layer.get_weights(), weights, strict=True):
            self.assertAllEqual(now, then)

    def test_its_own_come_back_after_an_error(self):
        layer = keras.layers.Dense(2)
        layer.build((None, 3))
        x = np.ones((1, 3), np.float32)
        before = layer(x)

        with self.assertRaises(ZeroDivisionError):
            with compat.computing_with(
                layer, {"kernel": tf.ones((3, 2))}, lambda loss: None
            ):
                raise ZeroDivisionError

        self.assertAllEqual(layer(x), before)

    def test_gradients_reach_what_the_tensor_was_made_of(self):
        layer = keras.layers.Dense(2, use_bias=False)
        layer.build((None, 3))
        step = tf.Variable(2.0)

        with tf.GradientTape() as tape:
            tensors = {"kernel": step * tf.ones((3, 2))}
            with compat.computing_with(layer, tensors, lambda loss: None):
                y = layer(np.ones((1, 3), np.float32))

        self.assertAllClose(tape.gradient(y, step), 6.0)

    def test_half_precision_layers_compute_in_half_precision(self):
        layer = keras.layers.Dense(2, use_bias=False, dtype="mixed_bfloat16")
        layer.build((None, 3))
        x = np.ones((1, 3), np.float32)

        with compat.computing_with(
            layer,
            {"kernel": compat.full_precision(layer.kernel)},
            lambda loss: None,
        ):
            inside = layer(x)

        self.assertEqual(inside.dtype, tf.bfloat16)
        self.assertAllEqual(
            tf.cast(inside, tf.float32), tf.cast(layer(x), tf.float32)
        )


class StateTest(tf.test.TestCase):
    def test_state_stays_float32_under_mixed_precision(self):
        class Layer(keras.layers.Layer):
            def build(self, shape):
                self.state = compat.add_state(self, "state", (2,), 0.1)
                self.trained = compat.add_state(
                    self, "trained", (), 1.0, trainable=True
                )

            def call(self, inputs):
                self.seen = tf.convert_to_tensor(self.state)
                return inputs

        layer = Layer(dtype="mixed_float16")
        layer(np.zeros((1, 2), np.float32))

        self.assertEqual(layer.seen.dtype, tf.float32)
        self.assertAllEqual(layer.seen, np.float32([0.1, 0.1]))
        self.assertLen(layer.trainable_weights, 1)
        self.assertAllEqual(compat.to_numpy(layer.trained), 1.0)
        self.assertIsInstance(compat.to_numpy(layer.state), np.ndarray)

    def test_full_precision_is_never_cast(self):
        class Layer(keras.layers.Layer):
            def build(self, shape):
                self.kernel = self.add_weight(name="kernel", shape=(2,))

            def call(self, inputs):
                self.seen = compat.full_precision(self.kernel)
                return inputs

        layer = Layer(dtype="mixed_bfloat16")
        layer(np.zeros((1, 2), np.float32))

        self.assertEqual(layer.seen.dtype, tf.float32)


class KernelsTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(
        ("Conv1D", 1, {"filters": 5, "kernel_size": 2}, [(-1,)]),
        ("Conv2D", 2, {"filters": 5, "kernel_size": 2}, [(-1,)]),
        ("Conv3D", 3, {"filters": 5, "kernel_size": 2}, [(-1,)]),
        ("Conv1DTranspose", 1, {"filters": 5, "kernel_size": 2}, [(-2,)]),
        ("Conv2DTranspose", 2, {"filters": 5, "kernel_size": 2}, [(-2,)]),
        ("Conv3DTranspose", 3, {"filters": 5, "kernel_size": 2}, [(-2,)]),
        ("DepthwiseConv1D", 1, {"kernel_size": 2}, [(-2, -1)]),
        (
            "DepthwiseConv2D",
            2,
            {"kernel_size": 2, "depth_multiplier": 4},
            [(-2, -1)],
        ),
        (
            "SeparableConv1D",
            1,
            {"filters": 5, "kernel_size": 2},
            [(-2, -1), (-1,)],
        ),
        (
            "SeparableConv2D",
            2,
            {"filters": 5, "kernel_size": 2},
            [(-2, -1), (-1,)],
        ),
        ("Dense", 0, {"units": 5}, [(-1,)]),
    )
    def test_kernels_regularizers_and_channels(self, name, rank, options, axes):
        layer_class = getattr(keras.layers, name)
        kernels = compat.kernels_of(layer_class(**options))
        l2 = keras.regularizers.L2(1.0)
        layer = layer_class(
            **options, **{kernel.regularizer: l2 for kernel in kernels}
        )
        input_shape = (None, *[6] * rank, 3)
        layer.build(input_shape)

        self.assertEqual([kernel.channel_axes for kernel in kernels], axes)
        variables = [getattr(layer, kernel.attribute) for kernel in kernels]
        self.assertLen(
            [w for w in layer.weights if len(w.shape) > 1], len(variables)
        )
        # The regularizer of that name belongs to that weight.
        self.assertAllClose(
            sum(layer.losses),
            sum(np.sum(np.square(compat.to_numpy(v))) for v in variables),
            rtol=1e-5,
        )
        # The channel axes hold the output channels.
        self.assertEqual(
            np.prod([variables[-1].shape[axis] for axis in axes[-1]]),
            layer.compute_output_shape(input_shape)[-1],
        )

    def test_other_layers_have_none(self):
        for layer in (
            keras.layers.BatchNormalization(),
            keras.layers.Embedding(3, 4),
            keras.layers.LSTM(2),
            _Scaled(),
        ):
            self.assertEqual(compat.kernels_of(layer), ())

    def test_subclasses_count(self):
        class Mine(keras.layers.Dense):
            pass

        self.assertLen(compat.kernels_of(Mine(2)), 1)

    def test_einsum_dense_counts_where_there_is_one(self):
        layer = keras.layers.EinsumDense("ab,bc->ac", output_shape=3)

        self.assertEqual(compat.kernels_of(layer)[0].attribute, "kernel")


class LoadModelTest(tf.test.TestCase, parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.get_temp_dir())
        self.path = self.folder / "model.keras"

    def test_a_keras_file_comes_back(self):
        model = _plain()
        model.save(self.path)

        loaded = compat.load_model(str(self.path))

        x = _inputs(model)
        self.assertAllEqual(loaded(x), model(x))
        self.assertEqual(compat.saved_keras(self.path), compat.KERAS_NAME)

    def test_an_h5_file_comes_back(self):
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        path = self.folder / "model.h5"
        model.save(path)

        x = _inputs(model)
        self.assertAllEqual(compat.load_model(path)(x), model(x))
        self.assertIsNone(compat.saved_keras(path))

    def test_a_missing_file_is_named(self):
        with self.assertRaisesRegex(FileNotFoundError, "nowhere.keras"):
            compat.load_model(self.folder / "nowhere.keras")

    @parameterized.parameters(0, 10, 200, -10)
    def test_a_truncated_file_is_refused(self, end):
        _plain().save(self.path)
        self.path.write_bytes(self.path.read_bytes()[:end])

        with self.assertRaisesRegex(ValueError, "model.keras.*truncated"):
            compat.load_model(self.path)

    def test_a_foreign_file_is_refused(self):
        self.path.write_text("not a model")
        with self.assertRaisesRegex(ValueError, "not a saved model"):
            compat.load_model(self.path)
        with zipfile.ZipFile(self.path, "w") as archive:
            archive.writestr("readme.txt", "not a model")
        with self.assertRaisesRegex(ValueError, "not a saved model"):
            compat.load_model(self.path)
        self.assertIsNone(compat.saved_keras(self.path))

    def test_a_file_of_the_other_keras_is_refused_with_the_way_out(self):
        _plain().save(self.path)
        with zipfile.ZipFile(self.path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        metadata = json.loads(members["metadata.json"])
        metadata["keras_version"] = "2.21.0" if compat.IS_KERAS_3 else "3.15.0"
        members["metadata.json"] = json.dumps(metadata)
        with zipfile.ZipFile(self.path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)

        self.assertEqual(compat.saved_keras(self.path), OTHER)
        with self.assertRaisesRegex(
            TypeError, f"saved by {OTHER}.*TF_USE_LEGACY_KERAS={OTHER_FLAG}"
        ):
            compat.load_model(self.path)

    def test_saved_models_need_tf_keras(self):
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        folder = self.folder / "saved_model"
        if compat.IS_KERAS_3:
            tf.saved_model.save(model, str(folder))
            with self.assertRaisesRegex(ValueError, "SavedModels.*'.keras'"):
                compat.load_model(folder)
        else:
            model.save(folder)
            x = _inputs(model)
            self.assertAllEqual(compat.load_model(folder)(x), model(x))

    def test_code_in_a_file_is_not_run(self):
        model = keras.Sequential(
            [keras.Input((4,)), keras.layers.Lambda(lambda x: x * 2)]
        )
        model.save(self.path)

        with self.assertRaisesRegex(ValueError, "model.keras"):
            compat.load_model(self.path)


if __name__ == "__main__":
    tf.test.main()
