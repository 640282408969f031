"""Training that diverges stops, and says where."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized
from fit_case import RECIPE, FitTestCase, make_dataset, make_model

from kure_tf.compat import keras
from kure_tf.training import fit

pytestmark = pytest.mark.one_keras


class DivergenceTest(FitTestCase, parameterized.TestCase):
    def test_it_stops_with_epoch_layer_and_the_last_good_checkpoint(self):
        class Diverge(keras.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                if epoch == 1:
                    kernel = self.model.layers[-1].kernel
                    kernel.assign(np.full(kernel.shape, np.inf))

        model, folder = make_model(), self.workdir()
        name = model.layers[-1].name
        before = model.get_weights()
        with self.assertRaisesRegex(
            ValueError,
            rf"epoch 2.*\['{name}/kernel'\].*npz' still holds epoch 1",
        ):
            fit(
                model,
                make_dataset(),
                RECIPE,
                workdir=folder,
                callbacks=[Diverge()],
                verbose=0,
            )
        for old, new in zip(before, model.get_weights(), strict=True):
            self.assertAllEqual(old, new)
        result = fit(
            make_model(), make_dataset(), RECIPE, workdir=folder, verbose=0
        )
        self.assertEqual(result.resumed_from, 1)

    def test_a_learning_rate_that_is_far_too_high_is_an_error(self):
        recipe = dataclasses.replace(RECIPE, epochs=1, learning_rate=1e20)
        with self.assertRaisesRegex(ValueError, "epoch 1.*no checkpoint"):
            fit(make_model(), make_dataset(), recipe, verbose=0)

    @parameterized.parameters(np.nan, -np.inf, 3e38)
    def test_weights_with_no_finite_square_are_refused(self, value):
        model = make_model()
        model.layers[0].set_weights([np.full((3, 3, 1, 4), value)])
        with self.assertRaisesRegex(ValueError, "before training.*/kernel'"):
            fit(model, make_dataset(), RECIPE, verbose=0)


if __name__ == "__main__":
    tf.test.main()
