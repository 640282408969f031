"""PTQ methods on several inputs, integer inputs and images of many sizes."""

import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from scipy import signal, special

from kure_tf import OperatingPoint, fake_quantize_model, ptq, quantize_aware
from kure_tf.compat import keras
from kure_tf.fake_quantized import (
    Placement,
    batch_norm_statistics,
    quantizers_of,
)
from kure_tf.quantizers import UniformQuantizer

layers = keras.layers
_TABLE = 6  # Rows.
_KERNEL = np.random.default_rng(3).normal(size=(7, 3))


def _two_inputs(batch_norm=False):
    """Returns a model of numbers and ids, as a dictionary of both."""
    numbers = keras.Input((3,), name="numbers")
    ids = keras.Input((2,), dtype="int32", name="ids")
    embedded = layers.Flatten()(layers.Embedding(_TABLE, 2, name="e")(ids))
    x = layers.Concatenate()([numbers, embedded])
    if batch_norm:
        x = layers.BatchNormalization(name="bn")(x)
    x = layers.Dense(3, use_bias=False, name="d")(x)
    model = keras.Model({"numbers": numbers, "ids": ids}, x)
    table = np.arange(2.0 * _TABLE).reshape(_TABLE, 2) / 10
    model.get_layer("e").set_weights([table])
    model.get_layer("d").set_weights([_KERNEL])
    placement = Placement(
        weights=UniformQuantizer("narrow"),
        activations=UniformQuantizer("asymmetric"),
    )
    return fake_quantize_model(model, placement), table


def _batch(count=20):
    rng = np.random.default_rng(0)
    return {
        "numbers": rng.normal(size=(count, 3)).astype(np.float32),
        "ids": rng.integers(_TABLE, size=(count, 2)),
    }


def _joined(batch, table):
    """Returns what reaches the dense layer."""
    embedded = table[batch["ids"]].reshape(len(batch["ids"]), -1)
    return np.concatenate([batch["numbers"], embedded], 1)


class SeveralInputsTest(tf.test.TestCase, parameterized.TestCase):
    def test_activations_are_those_of_both_inputs(self):
        model, table = _two_inputs()
        calibration = ptq.calibrate(model, [_batch()], progress=False)
        self.assertAllClose(
            np.sort(calibration.tensors["d/input"].values[0]),
            np.sort(_joined(_batch(), table).ravel()),
            atol=1e-6,
        )
        self.assertEqual(calibration.provenance["images"], 20)

    def test_batch_norm_is_estimated_on_both_inputs(self):
        model, table = _two_inputs(batch_norm=True)
        ptq.reestimate_batch_norm(model, (_batch(),))
        x = _joined(_batch(), table)
        found = batch_norm_statistics(model)["bn"]
        self.assertAllClose(found.mean, x.mean(0), atol=1e-6)
        self.assertAllClose(found.variance, x.var(0), atol=1e-6)

    def test_the_loss_and_what_looks_at_it_take_both_inputs(self):
        model, table = _two_inputs()
        labels = np.arange(20) % 3
        batch = (_batch(), labels)
        calibration = ptq.calibrate(model, [batch, batch], progress=False)
        logits = _joined(_batch(), table) @ _KERNEL
        loss = -special.log_softmax(logits, -1)[np.arange(20), labels].mean()
        self.assertAllClose(calibration.loss.in_float(), loss, rtol=1e-5)
        point = OperatingPoint(3, 4)
        steps = ptq.lapq(calibration, point, progress=False)
        self.assertLess(
            calibration.loss(point, steps),
            calibration.loss(point, ptq.minmax(calibration, point)),
        )

    def test_learned_rounding_takes_both_inputs(self):
        model, table = _two_inputs()
        calibration = ptq.calibrate(model, [_batch()], progress=False)
        point = OperatingPoint(2, None)
        steps = ptq.lp_norm(calibration, point)
        found = ptq.adaround(calibration, point, steps, progress=False)
        x = _joined(_batch(), table)
        step = steps.tensors["d/kernel"].step_size
        nearest = np.clip(np.round(_KERNEL / step), -1, 1)

        def error(codes):
            return np.mean((x @ (codes * step - _KERNEL)) ** 2)

        self.assertLess(error(found.codes["d/kernel"]), error(nearest))

    @parameterized.parameters(None, "native")
    def test_quantization_aware_training_starts_from_both(self, engine):
        inputs = [keras.Input((3,), name="a"), keras.Input((3,), name="b")]
        x = layers.Dense(4, name="first")(layers.Add()(inputs))
        x = layers.Dense(4, name="middle")(x)
        model = keras.Model(inputs, layers.Dense(2, name="last")(x))
        rng = np.random.default_rng(0)
        a, b = rng.normal(size=(2, 8, 3)).astype(np.float32)
        trained = quantize_aware(
            model,
            calibration=[((a, b), None)],
            engine=engine,
            activation_start="paper",
            verbose=False,
        )
        hidden = np.array(model.get_layer("first")(a + b))
        step = quantizers_of(trained)["middle/input"].state.step_size
        # LSQ starts from 2 E|x| / sqrt(largest level): Esser et al., 2.1.
        start = 2 * np.abs(hidden).mean() / np.sqrt(7)
        self.assertAllClose(step, start, rtol=1e-4)


class ManySizesTest(tf.test.TestCase):
    def _model(self, **options):
        inputs = keras.Input((None, None, 1))
        x = layers.Conv2D(2, 3, name="conv", activation="relu")(inputs)
        x = layers.GlobalAveragePooling2D()(x)
        model = keras.Model(inputs, layers.Dense(2, name="d")(x))
        return fake_quantize_model(
            model, Placement(weights=UniformQuantizer("narrow"), **options)
        )

    def _batches(self):
        rng = np.random.default_rng(0)
        shapes = [(3, 5, 6, 1), (2, 8, 4, 1), (1, 5, 6, 1)]
        return [rng.normal(size=shape).astype(np.float32) for shape in shapes]

    def test_mean_outputs_are_corrected_over_all_places(self):
        model = self._model()
        calibration = ptq.calibrate(model, self._batches(), progress=False)
        point = OperatingPoint(2, None)
        steps = ptq.lp_norm(calibration, point)
        found = ptq.bias_correction(calibration, point, steps).shifts["conv"]

        kernel = np.array(quantizers_of(model)["conv/kernel"].variable)[:, :, 0]
        step = steps.tensors["conv/kernel"].step_size
        lost = kernel - np.clip(np.round(kernel / step), -1, 1) * step
        images = [image[..., 0] for b in self._batches() for image in b]
        wanted = [
            np.concatenate(
                [
                    signal.correlate2d(image, lost[..., m], "valid").ravel()
                    for image in images
                ]
            ).mean()
            for m in range(2)
        ]
        self.assertAllClose(found, wanted, atol=1e-6)

    def test_a_loss_needs_images_of_one_size(self):
        batches = [(x, np.zeros(len(x), int)) for x in self._batches()]
        calibration = ptq.calibrate(self._model(), batches, progress=False)
        with self.assertRaisesRegex(ValueError, r"one size.*\(5, 6, 1\)"):
            calibration.loss.in_float()


if __name__ == "__main__":
    tf.test.main()
