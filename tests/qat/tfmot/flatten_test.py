"""tf_keras models, under both Kerases."""

import numpy as np
import tensorflow as tf
import tf_keras
from absl.testing import parameterized

from kure_tf.compat import functional_inputs
from kure_tf.qat.tfmot import flatten

layers = tf_keras.layers


def _batch(model, size=3):
    random = np.random.default_rng(0)
    return tf.nest.map_structure(
        lambda x: random.normal(size=(size, *x.shape[1:])).astype(np.float32),
        functional_inputs(model),
    )


def _sequential():
    return tf_keras.Sequential(
        [
            layers.Input((4, 4, 2)),
            layers.Conv2D(3, 3, name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.Flatten(name="flatten"),
        ]
    )


def _nested_twice():
    deep = tf_keras.Sequential(
        [layers.Input((4,)), layers.Dense(4, name="dense")], name="deep"
    )
    inside = layers.Input((4,))
    x = layers.ReLU(name="relu")(deep(inside))
    block = tf_keras.Model(inside, x, name="block")
    inputs = layers.Input((4,), name="x")
    x = block(block(inputs)) * 2.0 - inputs[:, :1]
    return tf_keras.Model(inputs, layers.Dense(2, name="dense")(x))


def _shared_across_models():
    dense = layers.Dense(4, name="dense")
    inside = layers.Input((4,))
    inner = tf_keras.Model(inside, layers.ReLU()(dense(inside)), name="inner")
    inputs = layers.Input((4,), name="x")
    outputs = layers.Add(name="add")([dense(inputs), inner(inputs)])
    return tf_keras.Model(inputs, outputs)


def _dictionaries():
    inside = {name: layers.Input((4,), name=name) for name in "ab"}
    both = layers.Add(name="add")([inside["a"], layers.ReLU()(inside["b"])])
    inner = tf_keras.Model(inside, {"sum": both, "a": inside["a"]}, name="in")
    inputs = {name: layers.Input((4,), name=name) for name in "pq"}
    x = inner({"a": inputs["q"], "b": inputs["p"]})
    return tf_keras.Model(inputs, {"y": x["sum"], "z": x["a"]})


class FlattenTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.named_parameters(
        ("sequential", _sequential),
        ("nested_twice_and_used_twice", _nested_twice),
        ("shared_across_models", _shared_across_models),
        ("dictionaries", _dictionaries),
    )
    def test_outputs_are_equal_and_nothing_is_nested(self, make):
        model = make()
        flat = flatten(model)
        batch = _batch(model)
        self.assertAllClose(model(batch), flat(batch), rtol=1e-6)
        for layer in flat.layers:
            self.assertNotIsInstance(layer, tf_keras.Model)
        self.assertEqual(flat.count_params(), model.count_params())

    def test_names_are_paths_with_dots(self):
        names = {layer.name for layer in flatten(_nested_twice()).layers}
        self.assertContainsSubset(
            {"x", "block.deep.dense", "block.relu", "dense"}, names
        )

    def test_a_name_that_is_taken_gets_an_underscore(self):
        inner = tf_keras.Sequential(
            [layers.Input((4,)), layers.ReLU(name="b")], name="a"
        )
        inputs = layers.Input((4,), name="x")
        model = tf_keras.Model(inputs, layers.ReLU(name="a.b")(inner(inputs)))
        names = [layer.name for layer in flatten(model).layers]
        self.assertEqual(names, ["x", "a.b", "a.b_"])

    def test_the_original_is_not_changed(self):
        model = _nested_twice()
        flat = flatten(model)
        before = model.get_weights()
        flat.set_weights([w + 1 for w in flat.get_weights()])
        for was, now in zip(before, model.get_weights(), strict=True):
            self.assertAllEqual(was, now)

    def test_a_frozen_model_freezes_what_was_in_it(self):
        model = _nested_twice()
        model.get_layer("block").trainable = False
        flat = flatten(model)
        self.assertEqual(
            [w.name for w in flat.trainable_weights],
            ["dense/kernel:0", "dense/bias:0"],
        )

    def test_a_model_called_in_inference_stays_there(self):
        """As in transfer learning: `base(x, training=False)`."""
        base = tf_keras.Sequential(
            [layers.Input((4,)), layers.Dropout(0.9)], name="base"
        )
        inputs = layers.Input((4,))
        outputs = layers.Dropout(0.9)(base(inputs, training=False))
        batch = _batch(tf_keras.Model(inputs, outputs), 512)
        always = flatten(tf_keras.Model(inputs, base(inputs, training=False)))
        self.assertAllEqual(always(batch, training=True), batch)
        once = flatten(tf_keras.Model(inputs, outputs))(batch, training=True)
        self.assertAllClose(np.mean(np.equal(once, 0)), 0.9, atol=0.03)

    def test_an_adapted_normalization_keeps_what_it_saw(self):
        normalization = layers.Normalization()
        seen = np.random.default_rng(0).normal(5, 2, (64, 4)).astype("float32")
        normalization.adapt(seen)
        model = tf_keras.Sequential([layers.Input((4,)), normalization])
        self.assertAllClose(flatten(model)(seen), model(seen))

    def test_layers_can_be_replaced(self):
        paths = []

        def make_layer(path, copy):
            paths.append(path)
            return layers.Activation("tanh") if path == "block/relu" else copy

        inputs = layers.Input((4,))
        block = tf_keras.Sequential(
            [layers.Input((4,)), layers.ReLU(name="relu")], name="block"
        )
        model = tf_keras.Model(inputs, block(block(inputs)))
        batch = _batch(model)
        self.assertAllClose(
            flatten(model, make_layer)(batch), np.tanh(np.tanh(batch))
        )
        self.assertEqual(paths, ["block/relu"])

    def test_a_nested_mask_is_refused(self):
        inner = tf_keras.Sequential([layers.Input((4,)), layers.ReLU()])
        inputs = layers.Input((4,))
        mask = layers.Input((4,), dtype="bool")
        model = tf_keras.Model([inputs, mask], inner(inputs, mask=mask))
        with self.assertRaisesRegex(TypeError, "called without a mask"):
            flatten(model)

    def test_a_model_of_each_step_is_refused(self):
        inner = tf_keras.Sequential([layers.Input((4,)), layers.Dense(2)])
        inputs = layers.Input((3, 4))
        model = tf_keras.Model(inputs, layers.TimeDistributed(inner)(inputs))
        with self.assertRaisesRegex(TypeError, "TimeDistributed: a flat model"):
            flatten(tf_keras.Model(inputs, model(inputs)))

    def test_a_regularizer_that_tf_keras_does_not_know_is_named(self):
        class Unregistered(tf_keras.regularizers.Regularizer):
            def __call__(self, x):
                return tf.reduce_sum(x)

            def get_config(self):
                return {}

        inputs = layers.Input((4,))
        dense = layers.Dense(2, kernel_regularizer=Unregistered(), name="dense")
        model = tf_keras.Model(inputs, dense(inputs))
        with self.assertRaisesRegex(TypeError, "'Unregistered' of 'dense'"):
            flatten(model)


if __name__ == "__main__":
    tf.test.main()
