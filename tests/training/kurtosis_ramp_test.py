import numpy as np
import scipy.stats
import tensorflow as tf

from kure_tf import quantize_aware, regularize_kurtosis
from kure_tf.compat import keras
from kure_tf.training import KurtosisRamp

X = np.random.default_rng(0).normal(size=(8, 5)).astype(np.float32)


def _net():
    net = keras.Sequential(
        [keras.Input((5,)), *(keras.layers.Dense(n) for n in (6, 5, 4))]
    )
    random = np.random.default_rng(1)
    net.set_weights([random.normal(size=w.shape) for w in net.get_weights()])
    return net


def _losses(model, *callbacks):
    """Returns the loss of three epochs of two steps that change nothing."""
    model.compile(keras.optimizers.SGD(0.0), "mse")
    options = {"batch_size": 4, "epochs": 3, "shuffle": False, "verbose": 0}
    history = model.fit(X, X[:, :4], callbacks=list(callbacks), **options)
    return np.array(history.history["loss"])


class KurtosisRampTest(tf.test.TestCase):
    def test_coefficient_rises_step_by_step_to_its_own(self):
        net = _net()
        kernels = net.get_weights()[2::2]
        kurtoses = [scipy.stats.kurtosis(w, None, False) for w in kernels]
        term = 2.0 * np.mean([(found - 1.8) ** 2 for found in kurtoses])
        kure = regularize_kurtosis(net, coefficient=2.0, verbose=False)

        bare, whole = _losses(net), _losses(kure)
        ramped = _losses(kure, KurtosisRamp(2))

        self.assertAllClose(whole - bare, [term] * 3, rtol=1e-5)
        # Steps at 1/4, 2/4; 3/4, 4/4; 1, 1. They were compiled without before.
        shares = [0.375, 0.875, 1.0]
        self.assertAllClose(ramped - bare, np.multiply(shares, term), rtol=1e-5)

    def test_ramp_is_over_when_training_ends(self):
        kure = regularize_kurtosis(_net(), coefficient=2.0, verbose=False)
        whole = _losses(kure)

        _losses(kure, KurtosisRamp(100))

        evaluated = kure.evaluate(X, X[:, :4], batch_size=4, verbose=0)
        self.assertAllClose(evaluated, whole[-1], rtol=1e-5)

    def test_steps_of_an_epoch_have_to_be_known(self):
        kure = regularize_kurtosis(_net(), coefficient=2.0, verbose=False)
        kure.compile(keras.optimizers.SGD(0.0), "mse")
        pairs = tf.data.Dataset.from_tensors((X, X[:, :4]))
        endless = pairs.filter(lambda x, y: True)
        with self.assertRaisesRegex(ValueError, "steps_per_epoch="):
            kure.fit(endless, callbacks=[KurtosisRamp(2)], verbose=0)

    def test_finds_kure_in_quantized_layers_beside_other_regularizers(self):
        kure = regularize_kurtosis(
            regularize_kurtosis(_net(), coefficient=1.0, verbose=False),
            coefficient=1.0,
            verbose=False,
        )
        model = quantize_aware(
            kure, calibration=[X], engine="native", verbose=False
        )
        whole = _losses(model)
        ramped = _losses(model, KurtosisRamp(3))

        # What is missing is 3/4, 5/12 and 1/12 of the term.
        missing = whole - ramped
        self.assertGreater(missing[0], 0.1)
        self.assertAllClose(missing / missing[0], [1, 5 / 9, 1 / 9], rtol=1e-3)

    def test_refuses_a_model_without_kure(self):
        with self.assertRaisesRegex(ValueError, "needs a model with KURE"):
            _losses(_net(), KurtosisRamp(1))
        with self.assertRaisesRegex(ValueError, "epochs of 1 or more"):
            KurtosisRamp(0)


if __name__ == "__main__":
    tf.test.main()
