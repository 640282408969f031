"""Tests for ptq/layer_walk.py."""

from unittest import mock

import numpy as np
from absl.testing import absltest

from kure_tf import compat
from kure_tf.compat import keras
from kure_tf.ptq import layer_walk
from kure_tf.ptq.layer_walk import LayerWalk


def _batches():
    rng = np.random.default_rng(0)
    return [
        rng.normal(size=(count, 6, 6, 2)).astype(np.float32) for count in (4, 3)
    ]


def _residual_net():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 6, 2))
    first = keras.layers.Conv2D(4, 3, padding="same", name="first")(inputs)
    x = keras.layers.ReLU(name="relu")(first)
    x = keras.layers.Conv2D(4, 3, padding="same", name="second")(x)
    x = keras.layers.Add()([x, first])
    x = keras.layers.Dropout(0.5)(x)
    x = keras.layers.Conv2D(3, 3, name="third")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(2, name="last")(x))


def _expected(model, layer):
    """Returns its inputs, by a model of its own."""
    part = keras.Model(model.input, model.get_layer(layer).input)
    return [[np.asarray(part(x, training=False))] for x in _batches()]


def _found(walk, layer):
    return [[np.asarray(x) for x in seen] for seen in walk.inputs_of(layer)]


def _assert_equal(found, expected):
    for one, other in zip(found, expected, strict=True):
        for x, y in zip(one, other, strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-6, atol=1e-6)


class LayerWalkTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.model = _residual_net()
        self.walk = LayerWalk(self.model, _batches())

    def _check(self, *names):
        for name in names:
            layer = self.model.get_layer(name)
            _assert_equal(_found(self.walk, layer), _expected(self.model, name))

    def test_inputs_are_those_of_a_whole_pass(self):
        self._check("first", "second", "third", "last")

    def test_layers_may_be_passed_over_and_come_again(self):
        self._check("third", "third", "second", "last")

    def test_what_comes_later_may_change(self):
        self._check("second")
        second = self.model.get_layer("second")
        second.set_weights([w + 0.1 for w in second.get_weights()])
        self._check("third")

    def test_each_layer_runs_once(self):
        count, first = [], self.model.get_layer("first")
        own_call = first.call

        def call(x, *args, **kwargs):
            count.append(x)
            return own_call(x, *args, **kwargs)

        with compat.calling(first, call):
            for name in ("second", "third", "last"):
                list(self.walk.inputs_of(self.model.get_layer(name)))
        self.assertLen(count, len(_batches()))

    def test_without_memory_it_starts_from_the_inputs(self):
        with mock.patch.object(layer_walk, "_MOST_BYTES", 0):
            self._check("second", "third", "last")

    def test_an_unfinished_pass_changes_nothing(self):
        next(self.walk.inputs_of(self.model.get_layer("third")))
        self._check("second", "third")

    def test_a_shared_layer_sees_all_its_inputs(self):
        inputs = keras.Input((6, 6, 2))
        shared = keras.layers.Conv2D(2, 3, padding="same")
        x = keras.layers.ReLU(name="between")(shared(inputs))
        model = keras.Model(inputs, shared(x))
        part = keras.Model(inputs, x)
        found = _found(LayerWalk(model, _batches()), shared)
        expected = [
            [x, np.asarray(part(x, training=False))] for x in _batches()
        ]
        _assert_equal(found, expected)

    def test_a_layer_of_a_nested_model_sees_its_own(self):
        inner = keras.Sequential(
            [
                keras.Input((6, 6, 4)),
                keras.layers.ReLU(),
                keras.layers.Conv2D(2, 3, name="inside"),
            ]
        )
        inputs = keras.Input((6, 6, 2))
        x = keras.layers.Conv2D(4, 3, padding="same", name="outside")(inputs)
        model = keras.Model(inputs, inner(x))
        part = keras.Model(inputs, x)
        found = _found(LayerWalk(model, _batches()), inner.get_layer("inside"))
        expected = [
            [np.maximum(part(x, training=False), 0)] for x in _batches()
        ]
        _assert_equal(found, expected)

    def test_a_layer_in_a_model_of_each_step_sees_all_steps(self):
        """tf_keras calls the model once more, for its mask."""
        dense = keras.layers.Dense(2)
        inner = keras.Sequential([keras.Input((6, 2)), dense])
        inputs = keras.Input((6, 6, 2))
        model = keras.Model(inputs, keras.layers.TimeDistributed(inner)(inputs))
        found = _found(LayerWalk(model, _batches()), dense)
        for seen, images in zip(found, _batches(), strict=True):
            steps = np.unique(np.concatenate(seen), axis=0)
            expected = images.reshape(-1, 6, 2)
            np.testing.assert_array_equal(steps, np.unique(expected, axis=0))

    def test_inputs_by_name(self):
        a, b = keras.Input((3,), name="a"), keras.Input((3,), name="b")
        x = keras.layers.Subtract()([a, b])
        dense = keras.layers.Dense(2)
        model = keras.Model([a, b], dense(x))
        given = {"b": np.ones((2, 3), "f"), "a": np.full((2, 3), 3.0, "f")}
        _assert_equal(
            _found(LayerWalk(model, [given]), dense), [[np.full((2, 3), 2.0)]]
        )


if __name__ == "__main__":
    absltest.main()
