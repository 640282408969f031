"""Quantized models that are saved, loaded and trained on."""

import pathlib
import tempfile

import numpy as np
import tensorflow as tf
import tf_keras
from absl.testing import parameterized

from kure_tf.fake_quantized import Placement, quantizers_of, set_operating_point
from kure_tf.qat import quantize_aware
from kure_tf.qat.tfmot import quantize_scope
from kure_tf.regularizers import KurtosisRegularizer, SumRegularizer

layers = tf_keras.layers
X = np.random.default_rng(0).normal(size=(16, 4)).astype(np.float32)
Y = np.random.default_rng(1).integers(0, 3, 16)


def _quantized(seed=0):
    """Returns a quantized net of equal shapes, after a step of training.

    Bias, step sizes and statistics have one shape each, so that weights which
    change places are not found out by their shapes.
    """
    tf_keras.utils.set_random_seed(seed)
    block = tf_keras.Sequential(
        [layers.Input((4,)), layers.Dense(4, name="dense")], name="block"
    )
    regularizer = SumRegularizer("l2", KurtosisRegularizer(1.8, 0.1))
    model = tf_keras.Sequential(
        [
            layers.Input((4,)),
            block,
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Dense(3, kernel_regularizer=regularizer, name="logits"),
        ]
    )
    model.compile(
        tf_keras.optimizers.SGD(0.1, momentum=0.9),
        tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        run_eagerly=True,
    )
    quantized = quantize_aware(
        model,
        "lsq",
        3,
        4,
        placement=Placement(last_layer=8),
        calibration=[X],
        engine="tfmot",
        verbose=False,
    )
    quantized.train_on_batch(X, Y)
    return quantized


def _state(model):
    return {
        f"{path}/{name}": np.array(getattr(tensor.state, name))
        for path, tensor in quantizers_of(model).items()
        for name in ("step_size", "bits", "calibrated_bits", "origin")
    }


class SavedTest(tf.test.TestCase, parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(tempfile.mkdtemp())

    def _check_equal(self, loaded, model):
        expected, state = _state(model), _state(loaded)
        self.assertEqual(state.keys(), expected.keys())
        for name, value in expected.items():
            self.assertAllClose(state[name], value, rtol=1e-6, msg=name)
        self.assertAllClose(loaded(X), model(X), rtol=1e-5, atol=1e-6)
        pinned = quantizers_of(loaded)["logits/kernel"]
        self.assertEqual(pinned.pinned_bits, 8)
        set_operating_point(loaded, "FP/FP")
        set_operating_point(model, "FP/FP")
        self.assertAllClose(loaded(X), model(X), rtol=1e-5, atol=1e-6)

    @parameterized.named_parameters(
        ("keras", "model.keras"), ("h5", "model.h5"), ("saved_model", "model")
    )
    def test_a_saved_model_has_steps_bits_and_outputs(self, name):
        model = _quantized()
        with quantize_scope():
            model.save(self.folder / name)
            loaded = tf_keras.models.load_model(self.folder / name)
        self.assertAllClose(loaded.losses, model.losses, rtol=1e-6)
        self._check_equal(loaded, model)

    @parameterized.named_parameters(
        ("keras", "model.keras"), ("h5", "model.h5")
    )
    def test_training_continues_as_if_it_had_not_been_saved(self, name):
        model = _quantized()
        with quantize_scope():
            model.save(self.folder / name)
            loaded = tf_keras.models.load_model(self.folder / name)
        for _ in range(3):
            losses = [float(m.train_on_batch(X, Y)) for m in (model, loaded)]
            self.assertAllClose(losses[0], losses[1], rtol=1e-6)
        self._check_equal(loaded, model)

    @parameterized.named_parameters(
        ("keras", "a.weights.h5"), ("h5", "a.h5"), ("checkpoint", "checkpoint")
    )
    def test_weights_of_one_model_fit_another(self, name):
        model, other = _quantized(0), _quantized(1)
        model.save_weights(str(self.folder / name))
        other.load_weights(str(self.folder / name))
        self._check_equal(other, model)


if __name__ == "__main__":
    tf.test.main()
