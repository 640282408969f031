"""The pitfalls of the documentation: each message is one that is raised."""

import functools
import re
import subprocess
import sys
import tempfile

import numpy as np
import pytest
from absl.testing import absltest, parameterized
from module_imports import ROOT

import kure_tf
from kure_tf import data, export, extras, ptq, sweeps, training
from kure_tf.compat import keras

pytestmark = pytest.mark.one_keras

PAGE = ROOT / "docs" / "pages" / "pitfalls.md"
_LOAD = "import sys, keras; keras.models.load_model(sys.argv[1])"


def _images(count=8):
    return np.random.default_rng(0).normal(size=(count, 6)).astype(np.float32)


@functools.cache
def _net(last="linear", norm=None):
    keras.utils.set_random_seed(0)
    layers = [keras.Input((6,)), keras.layers.Dense(8, name="hidden")]
    if norm:
        layers.append(norm())
    layers.append(keras.layers.Dense(4, activation=last, name="logits"))
    return keras.Sequential(layers)


@functools.cache
def _quantized(norm=None):
    model = kure_tf.fake_quantize_model(_net(norm=norm), "tflite")
    return model, ptq.calibrate(model, [_images()], progress=False)


def _digits_net(last):
    layers = [keras.Input((8, 8, 1)), keras.layers.Flatten()]
    return keras.Sequential([*layers, keras.layers.Dense(10, activation=last)])


def _export(point, norm=None):
    model, calibration = _quantized(norm)
    point = kure_tf.OperatingPoint.parse(point)
    with kure_tf.keeping(model):
        kure_tf.apply(model, ptq.settings_for(calibration, ptq.minmax)(point))
        export.to_integer_graph(model, [_images()])


def _load_without_kure_tf(folder):
    path = f"{folder}/model.keras"
    kure = kure_tf.KurtosisRegularizer(1.8)
    layers = [keras.Input((4,)), keras.layers.Dense(2, kernel_regularizer=kure)]
    keras.Sequential(layers).save(path)
    result = subprocess.run(
        [sys.executable, "-c", _LOAD, path],
        capture_output=True,
        text=True,
        check=False,
    )
    raise TypeError(result.stderr.splitlines()[-1])


def _subclassed():
    class Own(keras.Model):
        def call(self, inputs):
            return inputs

    return Own()


def _missing():
    with extras.needed("The page of a report"):
        raise ModuleNotFoundError("No module named 'jinja2'", name="jinja2")


def _nan():
    model = _digits_net(None)
    model.set_weights([weight * np.nan for weight in model.get_weights()])
    training.fit(model, data.digits(), training.Recipe(1, learning_rate=0.1))


_FLOATS = "Expected a model whose weights and activations are quantized"
CASES = {
    "Could not interpret regularizer identifier": _load_without_kure_tf,
    "Expected an operating point '<weight bits>/<activation bits>'": (
        lambda folder: kure_tf.OperatingPoint.parse("4-8")
    ),
    "Expected calibration= some training examples": (
        lambda folder: kure_tf.evaluate_robustness(
            _net(), (_images(), np.arange(8) % 4), points="4/8"
        )
    ),
    "Expected a functional or sequential Keras model": (
        lambda folder: kure_tf.fake_quantize_model(_subclassed())
    ),
    "Expected a model that returns logits": lambda folder: training.fit(
        _digits_net("softmax"),
        data.digits(),
        training.Recipe(1, learning_rate=0.1),
    ),
    "Expected a model whose weights are finite numbers": lambda folder: _nan(),
    "Expected labelled calibration images": lambda folder: ptq.lapq(
        _quantized()[1], kure_tf.OperatingPoint(4, 8)
    ),
    "Expected a model with batch normalization": (
        lambda folder: ptq.reestimate_batch_norm(_quantized()[0], [_images()])
    ),
    "Expected a float model": lambda folder: sweeps.check_devices(
        _quantized()[0], data.digits()
    ),
    _FLOATS: lambda folder: _export("4/FP"),
    "Expected layers that LiteRT's integer operators compute": lambda folder: (
        _export("4/8", keras.layers.UnitNormalization)
    ),
    "Expected a model of tf_keras": (
        lambda folder: kure_tf.quantize_aware(
            _net(), "lsq", 4, None, engine="tfmot"
        )
    ),
    "which is not installed": lambda folder: _missing(),
}


class PitfallsTest(parameterized.TestCase):
    def test_the_page_has_these_messages(self):
        headings = re.findall(r"^## `(.+)`$", PAGE.read_text("utf-8"), re.M)
        self.assertEqual(headings, list(CASES))

    @parameterized.parameters(*zip(CASES))
    def test_the_message_is_raised(self, message):
        with (
            tempfile.TemporaryDirectory() as folder,
            self.assertRaises((ImportError, TypeError, ValueError)) as raised,
        ):
            CASES[message](folder)
        self.assertIn(message, str(raised.exception))


if __name__ == "__main__":
    absltest.main()
