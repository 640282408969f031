"""The state of recurrent layers, which their recurrent kernel multiplies."""

import unittest

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized
from scipy.special import expit

from kure_tf import (
    compat,
    fake_quantize_model,
    quantize_aware,
    set_operating_point,
    set_step_sizes,
)
from kure_tf.compat import IS_KERAS_3, keras
from kure_tf.fake_quantized import (
    Placement,
    observe_inputs,
    quantized_share,
    quantizers_of,
)
from kure_tf.ptq import CalibrationLoss
from kure_tf.settings import OperatingPoint, StepSizes
from kure_tf.settings.step_sizes import TensorStep

layers = keras.layers
_STEP = 1 / 7  # Of 4 bits, so that no state is clipped: they are below 1.
_STEPS = StepSizes({"rnn/state": TensorStep(_STEP, 4, -1.0)})
_SHAPE = (5, 3)
_UNITS = 4


def _simple(x, h, c, kernel, recurrent, bias):
    return np.tanh(x @ kernel + h @ recurrent + bias), c


def _gru(x, h, c, kernel, recurrent, bias):
    """With the reset gate behind the product (`reset_after`)."""
    update, reset, new = np.split(x @ kernel + bias[0], 3, -1)
    of_update, of_reset, of_new = np.split(h @ recurrent + bias[1], 3, -1)
    z = expit(update + of_update)
    new = np.tanh(new + expit(reset + of_reset) * of_new)
    return z * h + (1 - z) * new, c


def _lstm(x, h, c, kernel, recurrent, bias):
    i, f, new, o = np.split(x @ kernel + h @ recurrent + bias, 4, -1)
    c = expit(f) * c + expit(i) * np.tanh(new)
    return expit(o) * np.tanh(c), c


_CELLS = (
    ("simple", "SimpleRNN", _simple),
    ("gru", "GRU", _gru),
    ("lstm", "LSTM", _lstm),
)


def _net(name, **options):
    keras.utils.set_random_seed(0)
    inputs = keras.Input(_SHAPE)
    options = {"bias_initializer": "normal", "name": "rnn", **options}
    layer = getattr(layers, name)(_UNITS, **options)
    return keras.Model(inputs, layer(inputs))


def _sequences(count=8):
    random = np.random.default_rng(0)
    return random.normal(size=(count, *_SHAPE)).astype(np.float32)


def _outputs(cell, weights, sequences, rounded):
    """Returns the output of each step; `rounded(h)` is what the next reads."""
    h = c = np.zeros((len(sequences), _UNITS))
    outputs = []
    for step in range(_SHAPE[0]):
        h, c = cell(sequences[:, step], rounded(h), c, *weights)
        outputs.append(h)
    return outputs


def _rounded(state):
    return np.rint(state / _STEP) * _STEP


class StateTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.named_parameters(*_CELLS)
    def test_each_step_reads_the_rounded_state(self, name, cell):
        model, x = _net(name), _sequences()
        weights = [w.astype(np.float64) for w in model.get_weights()]
        quantized = fake_quantize_model(model, Placement())
        self.assertAllClose(quantized(x), model(x), atol=1e-6)
        set_step_sizes(quantized, _STEPS)
        set_operating_point(quantized, "FP/4", only=["rnn/state"])

        answers = _outputs(cell, weights, x, _rounded)[-1]
        self.assertAllClose(quantized(x), answers, atol=1e-5)

    def test_a_cell_reads_the_rounded_output_of_the_one_before(self):
        """At each step; its own output is handed on in float."""
        inputs, x = keras.Input(_SHAPE), _sequences()
        cells = [layers.SimpleRNNCell(_UNITS) for _ in range(2)]
        model = keras.Model(inputs, layers.RNN(cells, name="rnn")(inputs))
        first, second = np.split(np.array(model.get_weights(), object), 2)
        quantized = fake_quantize_model(model, Placement())
        path = "rnn/cell_1_input"
        step = TensorStep(_STEP, 4, -1.0)
        set_step_sizes(quantized, StepSizes({path: step}))
        set_operating_point(quantized, "FP/4", only=[path])

        h = c = np.zeros((len(x), _UNITS))
        for handed in _outputs(_simple, first, x, lambda h: h):
            h, c = _simple(_rounded(handed), h, c, *second)
        self.assertAllClose(quantized(x), h, atol=1e-5)

    @parameterized.named_parameters(*_CELLS)
    @pytest.mark.one_keras
    def test_calibration_sees_all_states_but_the_last(self, name, cell):
        model, x = _net(name), _sequences()
        quantized = fake_quantize_model(model, Placement())
        seen, _ = observe_inputs(quantized, x, False)
        *states, _ = _outputs(cell, model.get_weights(), x, lambda h: h)
        state = seen["rnn/state"]
        self.assertAllClose(
            (state.lowest, state.highest), (np.min(states), np.max(states))
        )

    @parameterized.named_parameters(*_CELLS[1:])
    def test_the_loss_has_gradients_by_the_state_of_each_step(self, name, cell):
        model, x = _net(name), _sequences()
        model.compile(loss="mse")
        quantized = fake_quantize_model(model, Placement())
        loss = CalibrationLoss(quantized, (x, np.zeros((8, _UNITS))))
        point = OperatingPoint(None, None)
        (found,) = loss.gradients_of_values(point, _STEPS, [np.arange(8)])

        *states, _ = _outputs(cell, model.get_weights(), x, lambda h: h)
        values, gradients = zip(*found["rnn/state"], strict=True)
        self.assertAllClose(values, [np.zeros((8, _UNITS)), *states])
        self.assertTrue(all(np.any(gradient) for gradient in gradients))

    def test_no_fused_operation_of_a_gpu_hides_the_state(self):
        """Meanwhile; afterwards Keras may choose one again."""
        layer, x = _net("LSTM").get_layer("rnn"), _sequences()
        flag = "use_cudnn" if IS_KERAS_3 else "_could_use_gpu_kernel"
        seen = []

        def change(_, state):
            seen.append(getattr(layer, flag))
            return state

        with compat.changing_products(layer, change):
            layer(x)
        self.assertEqual(set(seen), {False})
        self.assertTrue(getattr(layer, flag))

    @pytest.mark.one_keras
    def test_a_gate_before_the_product_leaves_it_in_float(self):
        model = _net("GRU", reset_after=False)
        with self.assertWarnsRegex(UserWarning, "240 multiply-adds: what its"):
            quantized = fake_quantize_model(model, "tflite")
        self.assertNotIn("rnn/state", quantizers_of(quantized))
        self.assertAlmostEqual(quantized_share(quantized).multiply_adds, 3 / 7)

    @unittest.skipIf(IS_KERAS_3, "Keras 3 does not load SavedModels.")
    def test_a_saved_model_of_it_is_loaded(self):
        """Keras then gives all arguments by their places."""
        quantized = fake_quantize_model(_net("LSTM"), Placement())
        set_step_sizes(quantized, _STEPS)
        set_operating_point(quantized, "4/4", only=["rnn/kernel", "rnn/state"])
        folder, x = self.get_temp_dir(), _sequences()
        quantized.save(folder)
        self.assertAllEqual(compat.load_model(folder)(x), quantized(x))

    def test_its_step_size_is_learned(self):
        """In a loop of TensorFlow's, which then answers as Python's does."""
        model, x = _net("GRU"), _sequences()
        quantized = quantize_aware(
            model, "lsq", 8, 3, placement=Placement(), calibration=x
        )
        step = quantizers_of(quantized)["rnn/state"].state.step_size
        before = compat.to_numpy(step).copy()
        quantized.compile(keras.optimizers.SGD(0.1), "mse")
        quantized.fit(x, np.ones((8, _UNITS)), verbose=0)
        self.assertNotEqual(compat.to_numpy(step), before)
        answers = quantized.predict_on_batch(x)
        self.assertAllClose(answers, quantized(x), atol=1e-5)


if __name__ == "__main__":
    tf.test.main()
