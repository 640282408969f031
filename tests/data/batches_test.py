"""The one reader, on everything that users hand over."""

import functools

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from kure_tf import data
from kure_tf.compat import keras
from kure_tf.data.batches import batches_of
from kure_tf.data.ports import input_signature
from kure_tf.data.sources import check_repeatable, name_of

_X = np.random.default_rng(0).normal(size=(10, 4)).astype(np.float32)
_IDS = np.random.default_rng(1).integers(5, size=(10, 3)).astype(np.int32)
_Y = np.arange(10) % 3
_W = np.linspace(0.5, 2.0, 10, dtype=np.float32)


class _Sequence(keras.utils.Sequence):
    """Batches of four, by number."""

    def __len__(self):
        return 3

    def __getitem__(self, index):
        window = slice(4 * index, 4 * index + 4)
        return _X[window], _Y[window], _W[window]


@functools.cache
def _one_input():
    inputs = keras.Input((4,), name="x")
    return keras.Model(inputs, keras.layers.Dense(3)(inputs), name="one")


@functools.cache
def _two_inputs(structure="list"):
    a = keras.Input((4,), name="a")
    ids = keras.Input((3,), dtype="int32", name="ids")
    embedded = keras.layers.Flatten()(keras.layers.Embedding(5, 2)(ids))
    outputs = keras.layers.Dense(3)(
        keras.layers.Concatenate()([keras.layers.Dense(2)(a), embedded])
    )
    inputs = {
        "list": [a, ids],
        "tuple": (ids, a),
        "dict": {"ids": ids, "a": a},
    }
    return keras.Model(inputs[structure], outputs)


def _tf_data(*arrays):
    return tf.data.Dataset.from_tensor_slices(arrays).batch(4)


def _joined(batches):
    """Returns all inputs, labels and weights of a model of one input."""
    batches = list(batches)
    assert all(batch.count == len(batch.labels) for batch in batches)
    return (
        np.concatenate([np.asarray(batch.inputs) for batch in batches]),
        np.concatenate([batch.labels for batch in batches]),
        np.concatenate([batch.sample_weight for batch in batches]),
    )


class SourcesTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.named_parameters(
        ("arrays", lambda: (_X, _Y, _W)),
        ("dictionary", lambda: ({"x": _X}, _Y, _W)),
        ("tensors", lambda: tuple(map(tf.constant, (_X, _Y, _W)))),
        ("tf_data", lambda: _tf_data(_X, _Y, _W)),
        ("sequence", _Sequence),
        ("list", lambda: [(_X[:7], _Y[:7], _W[:7]), (_X[7:], _Y[7:], _W[7:])]),
        ("lists", lambda: [[_X, _Y.tolist(), _W.tolist()]]),
        ("generator", lambda: iter(_tf_data(_X, _Y, _W))),
        ("column_weights", lambda: [(_X, _Y, _W[:, np.newaxis])]),
        ("empty_ones", lambda: [(_X[:0], _Y[:0], _W[:0]), (_X, _Y, _W)]),
    )
    def test_every_source_gives_the_same_examples(self, make):
        x, y, weights = _joined(batches_of(make(), _one_input(), batch_size=4))
        self.assertAllEqual(x, _X)
        self.assertAllEqual(y, _Y)
        self.assertAllEqual(weights, _W)

    def test_arrays_are_cut_into_batches(self):
        sizes = [b.count for b in batches_of(_X, _one_input(), batch_size=4)]
        self.assertEqual(sizes, [4, 4, 2])
        for batch in batches_of(_X, _one_input()):
            self.assertIsNone(batch.labels)
            self.assertIsNone(batch.sample_weight)

    def test_a_split_gives_what_its_batches_give(self):
        digits = data.digits()
        inputs = keras.Input(digits.input_shape)
        model = keras.Model(inputs, keras.layers.Flatten()(inputs))
        found = list(batches_of(digits.test, model, batch_size=100))
        images, labels = digits.test.arrays()
        self.assertAllEqual(np.concatenate([b.inputs for b in found]), images)
        self.assertAllEqual(np.concatenate([b.labels for b in found]), labels)
        self.assertEqual(name_of(digits.test), "test")
        self.assertIsNone(name_of(_X))

    @parameterized.product(
        structure=["list", "tuple", "dict"],
        labelled=[False, True],
        source=["tuple", "list", "dict", "tf_data"],
    )
    def test_several_inputs_come_as_the_model_takes_them(
        self, structure, labelled, source
    ):
        model = _two_inputs(structure)
        a_first = structure == "list"
        parts = {
            "tuple": (_X, _IDS) if a_first else (_IDS, _X),
            "list": [_X, _IDS] if a_first else [_IDS, _X],
            "dict": {"a": _X, "ids": _IDS, "unused": _Y},
            "tf_data": {"ids": _IDS, "a": _X},
        }[source]
        if structure == "dict" and source in ("tuple", "list"):
            parts = type(parts)([_X, _IDS])  # Sorted by name, as tf.nest does.
        batch = (parts, _Y) if labelled else parts
        if source == "tf_data":
            batch = tf.data.Dataset.from_tensors(batch)
        else:
            batch = [batch]
        (found,) = batches_of(batch, model)
        expected = model({"a": _X, "ids": _IDS})
        self.assertAllEqual(model(found.inputs), expected)
        self.assertEqual(found.count, 10)
        self.assertEqual(found.labels is not None, labelled)
        tf.nest.assert_same_structure(found.inputs, input_signature(model))

    def test_whole_arrays_of_several_inputs_are_cut_together(self):
        source = ({"a": _X, "ids": _IDS}, _Y)
        found = list(batches_of(source, _two_inputs("dict"), batch_size=7))
        self.assertEqual([batch.count for batch in found], [7, 3])
        self.assertAllEqual(found[1].inputs["ids"], _IDS[7:])

    @parameterized.parameters(list, tuple)
    def test_a_list_of_an_array_for_each_input_is_cut_together(self, made):
        source = made([_X, tf.constant(_IDS)])
        found = list(batches_of(source, _two_inputs(), batch_size=7))
        self.assertEqual([batch.count for batch in found], [7, 3])
        self.assertAllEqual(found[1].inputs[0], _X[7:])
        self.assertAllEqual(found[1].inputs[1], _IDS[7:])

    def test_labels_of_several_outputs_keep_their_structure(self):
        (batch,) = batches_of([(_X, [_Y, _X])], _one_input())
        self.assertAllEqual(batch.labels[1], _X)
        (batch,) = batches_of([(_X, {"class": _Y, "box": _X})], _one_input())
        self.assertAllEqual(batch.labels["box"], _X)


class DtypesTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.product(
        declared=["uint8", "int32", "float32"],
        given=["uint8", "int64", "float64"],
    )
    def test_inputs_have_the_dtype_that_the_model_declares(
        self, declared, given
    ):
        model = keras.Sequential(
            [
                keras.Input((4,), dtype=declared),
                keras.layers.Rescaling(1 / 255),
            ]
        )
        x = np.random.default_rng(0).integers(256, size=(10, 4)).astype(given)
        (batch,) = batches_of([x], model)
        self.assertEqual(batch.inputs.dtype.name, declared)
        self.assertAllEqual(batch.inputs, x)
        self.assertEqual(input_signature(model).dtype.name, declared)

    def test_fractions_for_an_integer_input_are_refused(self):
        batch = {"a": _X, "ids": _IDS + 0.5}
        with self.assertRaisesRegex(ValueError, "integers.*'ids'.*float64"):
            list(batches_of([batch], _two_inputs()))

    def test_integers_that_the_dtype_of_an_input_does_not_hold_are_refused(
        self,
    ):
        """A cast would wrap them around."""
        for numbers in (_IDS + 2.0**33, np.int64(_IDS) - 2**40):
            batch = {"a": _X, "ids": numbers}
            with self.assertRaisesRegex(ValueError, "'ids' that int32 holds"):
                list(batches_of([batch], _two_inputs()))

    def test_open_sizes_may_differ_from_batch_to_batch(self):
        inputs = keras.Input((None, None, 2))
        model = keras.Model(
            inputs, keras.layers.GlobalAveragePooling2D()(inputs)
        )
        batches = [np.zeros((1, 3, 5, 2)), np.zeros((2, 4, 4, 2))]
        found = list(batches_of(batches, model))
        self.assertEqual(found[0].inputs.shape, (1, 3, 5, 2))
        self.assertEqual(found[1].inputs.shape, (2, 4, 4, 2))


class RefusedTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.named_parameters(
        ("none", [], "at least one batch of things. Received none"),
        ("empty", [_X[:0]], "at least one batch of things. Received none"),
        ("shape", [_X[:, :3]], r"\['batch', 4\].*'x'.*\[10, 3\]"),
        ("rank", [_X[0]], r"\['batch', 4\].*Received: \[4\]"),
        ("too_many", [(_X, _Y, _W, _W)], "sample_weight.. Received 4 parts"),
        ("name", [{"image": _X}], r"called \['x'\].*dictionary of \['image'\]"),
        ("inputs", [([_X, _X], _Y)], r"1 inputs, called \['x'\].*Received 2"),
        (
            "labels",
            [(_X, _Y[:3]), (_X, _Y)],
            "examples.*things: 10. Received 3",
        ),
        ("more_labels", (_X[:3], _Y), "of things: 3. Received 10"),
        ("one_label", [(_X, 3)], "of things: 10. Received None"),
        ("weights", [(_X, _Y, _W[:3])], r"weight per example.*\[10\].*\[3\]"),
        ("negative", [(_X, _Y, -_W)], "not negative. Received -2.0 .. -0.5"),
        ("nan_weights", [(_X, _Y, _W * np.nan)], "weights.*finite"),
        ("ragged", [tf.ragged.constant([[1.0]])], "dense.*to_tensor"),
        ("endless", _tf_data(_X).repeat(), "remove .repeat"),
    )
    def test_what_does_not_fit_is_refused(self, source, message):
        with self.assertRaisesRegex(ValueError, message):
            list(batches_of(source, _one_input(), "things"))

    @parameterized.parameters("text", 3)
    def test_what_holds_no_batches_is_refused(self, source):
        with self.assertRaisesRegex(TypeError, "things as a Split.*Received"):
            list(batches_of(source, _one_input(), "things"))

    def test_a_missing_input_is_named(self):
        with self.assertRaisesRegex(ValueError, r"\['a', 'ids'\].*\['a'\]"):
            list(batches_of([{"a": _X}], _two_inputs()))
        with self.assertRaisesRegex(ValueError, "2 inputs.*Received 3"):
            list(batches_of([[_X, _IDS, _X]], _two_inputs()))

    def test_a_sequence_without_end_is_refused(self):
        class Endless(_Sequence):
            num_batches = None

        with self.assertRaisesRegex(ValueError, "to end"):
            list(batches_of(Endless(), _one_input()))

    def test_values_that_are_not_finite_are_refused_on_request(self):
        x = _X.copy()
        x[3, 1:3] = np.nan
        list(batches_of([x], _one_input()))
        with self.assertRaisesRegex(ValueError, "2 NaN or infinite.* of 40"):
            list(batches_of([x], _one_input(), finite=True))

    @parameterized.named_parameters(
        ("generator", lambda: (_X for _ in range(2)), False),
        ("iterator", lambda: iter(_tf_data(_X)), False),
        ("list", lambda: [_X], True),
        ("tf_data", lambda: _tf_data(_X), True),
        ("sequence", _Sequence, True),
        ("split", lambda: data.digits().test, True),
    )
    def test_what_is_used_up_after_the_first_time(self, make, repeatable):
        if repeatable:
            check_repeatable(make(), "to look twice")
            return
        with self.assertRaisesRegex(ValueError, "to look twice.*used up"):
            check_repeatable(make(), "to look twice")


if __name__ == "__main__":
    tf.test.main()
