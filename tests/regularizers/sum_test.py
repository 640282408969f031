import os

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from kure_tf import compat
from kure_tf.compat import keras
from kure_tf.regularizers import KurtosisRegularizer, SumRegularizer

# tf_keras forgets the package of a registered regularizer when it reads .h5.
SUFFIXES = ("keras", "h5") if compat.IS_KERAS_3 else ("keras",)

KERNEL = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)


def _l2_and_kure():
    return SumRegularizer(
        keras.regularizers.L2(0.01), KurtosisRegularizer(1.8, 0.5)
    )


class SumRegularizerTest(tf.test.TestCase, parameterized.TestCase):
    def test_adds_up_its_terms(self):
        total = _l2_and_kure()(KERNEL)

        expected = 0.01 * np.sum(np.square(KERNEL))
        expected += KurtosisRegularizer(1.8, 0.5)(KERNEL)
        self.assertAllClose(total, expected)

    def test_one_is_itself(self):
        self.assertAllClose(
            SumRegularizer(keras.regularizers.L2(0.1))(KERNEL),
            0.1 * np.sum(np.square(KERNEL)),
        )

    def test_names_and_serial_forms_are_taken(self):
        serial = keras.regularizers.serialize(KurtosisRegularizer())

        both = SumRegularizer("l2", serial)

        self.assertAllClose(
            both(KERNEL),
            keras.regularizers.get("l2")(KERNEL)
            + KurtosisRegularizer()(KERNEL),
        )

    def test_nested_sums_are_flattened_and_none_is_left_out(self):
        l1 = keras.regularizers.L1(0.1)

        nested = SumRegularizer(None, _l2_and_kure(), SumRegularizer(l1))

        self.assertLen(nested.regularizers, 3)
        self.assertAllClose(nested(KERNEL), _l2_and_kure()(KERNEL) + l1(KERNEL))

    @parameterized.named_parameters(("nothing", ()), ("none", (None, None)))
    def test_nothing_to_add_is_refused(self, regularizers):
        with self.assertRaisesRegex(ValueError, "at least one.*None for none"):
            SumRegularizer(*regularizers)

    def test_what_is_no_regularizer_is_refused(self):
        with self.assertRaises(ValueError):
            SumRegularizer("l2", 3)
        with self.assertRaisesRegex(ValueError, "no such"):
            SumRegularizer("l2", "no such")

    def test_keras_serializes_and_finds_it(self):
        serial = keras.regularizers.serialize(_l2_and_kure())

        for read in (keras.regularizers.deserialize, keras.regularizers.get):
            copy = read(serial)
            self.assertIsInstance(copy, SumRegularizer)
            self.assertAllClose(copy(KERNEL), _l2_and_kure()(KERNEL))

    @parameterized.product(suffix=SUFFIXES)
    def test_models_with_it_are_saved_loaded_and_cloned(self, suffix):
        model = keras.Sequential(
            [
                keras.Input((4,)),
                keras.layers.Dense(5, kernel_regularizer=_l2_and_kure()),
            ]
        )
        path = os.path.join(self.get_temp_dir(), f"model.{suffix}")
        model.save(path)

        copies = [
            keras.models.load_model(path),
            keras.models.clone_model(model),
        ]

        copies[1].set_weights(model.get_weights())
        expected = _l2_and_kure()(model.layers[-1].kernel)
        for copy in copies:
            self.assertAllClose(sum(copy.losses), expected)


if __name__ == "__main__":
    tf.test.main()
