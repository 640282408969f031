import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized
from converted import ConvertedRun, convert
from export_nets import images, model_of
from litert_files import at_point

from kure_tf.compat import keras
from kure_tf.export import fake_quant_model, to_integer_graph
from kure_tf.fake_quantized import (
    integer_weights,
    paper_placement,
    quantizers_of,
)

pytestmark = pytest.mark.one_keras

layers = keras.layers
_SHAPE = (4, 4, 3)
_FREE = paper_placement(first_layer=None, last_layer=None)


def _images(seed=0, lowest=-1.0):
    rng = np.random.default_rng(seed)
    return rng.uniform(lowest, 1, (64, *_SHAPE)).astype(np.float32)


def _conv(x, name, **options):
    return layers.Conv2D(3, 1, name=name, use_bias=False, **options)(x)


def _quantized(make, point, calibration):
    keras.utils.set_random_seed(3)
    inputs = keras.Input(_SHAPE, name="image")
    model = keras.Model(inputs, make(inputs))
    return at_point(model, calibration, point, _FREE)


def _fake_quant(quantized, calibration):
    return fake_quant_model(to_integer_graph(quantized, calibration))


def _step(quantized, path):
    tensor = quantizers_of(quantized)[path]
    return float(np.asarray(tensor.quantizer.step_size(tensor.state)))


def _to_range(x, low, high):
    """Rounds to 256 levels from `low` to `high`, zero among them."""
    scale = np.float32((high - low) / 255)
    zero = np.rint(-low / scale)
    return scale * (np.clip(np.rint(x / scale) + zero, 0, 255) - zero)


class FakeQuantOutputsTest(parameterized.TestCase, tf.test.TestCase):
    def test_outputs_move_by_half_of_their_own_step(self):
        """All other tensors have a quantizer in the model already."""

        def make(x):
            x = _conv(x, "a", activation="relu")
            return layers.Flatten()(_conv(x, "b"))

        quantized = _quantized(make, "3/8", _images())

        model = _fake_quant(quantized, [_images()])

        before = np.asarray(quantized(_images(), training=False))
        after = np.asarray(model(_images(), training=False))
        half = np.ptp(before) / 255 / 2
        apart = np.abs(after - before).max()
        self.assertLess(apart, half * 1.01)
        self.assertGreater(apart, half * 0.9)

    @parameterized.named_parameters(("8_bits", 8), ("4_bits", 4))
    def test_a_sum_is_computed_as_in_numpy(self, bits):
        """Input and branch in 8 bits, the convolution's input in its own."""

        def make(x):
            x = layers.ReLU()(x)
            y = _conv(x, "branch")
            return layers.Flatten()(layers.Add()([x, y]))

        quantized = _quantized(make, f"4/{bits}", _images())

        model = _fake_quant(quantized, [_images()])

        step = _step(quantized, "branch/input")
        kernel = integer_weights(quantized)["branch/kernel"].to_float()[0, 0]
        relu = np.maximum(np.float64(_images()), 0.0)

        def to_input(x):
            return step * np.clip(np.rint(x / step), 0, 2**bits - 1)

        seen = to_input(relu) @ kernel
        sums = relu + seen
        x = np.float64(_images())
        x = np.maximum(_to_range(x, x.min(), x.max()), 0.0)
        x = to_input(x) if bits == 8 else _to_range(x, 0.0, relu.max())
        y = _to_range(to_input(x) @ kernel, seen.min(), seen.max())
        expected = _to_range(x + y, sums.min(), sums.max()).reshape(64, -1)
        found = np.asarray(model(_images(), training=False))
        # A value on a border between two codes may go to either.
        scale = (sums.max() - sums.min()) / 255
        self.assertAllClose(found, expected, atol=1.01 * scale)
        self.assertGreater(np.mean(np.abs(found - expected) < scale / 2), 0.99)

    def test_few_signed_levels_clip_at_both_ends(self):
        """Also in the file, where int8 would go on below them."""
        quantized = _quantized(
            lambda x: layers.Flatten()(_conv(x, "a")), "8/3", _images()
        )
        wide = 5 * _images(seed=1)
        model = _fake_quant(quantized, [wide])

        file = ConvertedRun(convert(model), wide)

        step = _step(quantized, "a/input")
        kernel = integer_weights(quantized)["a/kernel"].to_float()[0, 0]
        x = step * np.clip(np.rint(np.float64(wide) / step), -3, 3)
        self.assertIn("MAXIMUM", file.operators)
        for found in (file.outputs, np.asarray(model(wide, training=False))):
            self.assertAllClose(
                found.reshape(wide.shape), x @ kernel, atol=file.output_scale
            )

    def test_equal_grids_are_rounded_to_once(self):
        """The readers of a sum, at 8 bits, share what is stored of it."""
        quantized = at_point(model_of("residual"), images(), "4/8")

        model = _fake_quant(quantized, [images()])

        names = [layer.name for layer in model.layers]
        self.assertEmpty([name for name in names if name.endswith("_again")])
        self.assertEmpty([name for name in names if name.endswith("_input")])

    def test_two_grids_of_one_value_are_rounded_to_twice(self):
        quantized = at_point(model_of("residual"), images(), "4/4")

        model = _fake_quant(quantized, [images()])

        names = [layer.name for layer in model.layers]
        self.assertLen([name for name in names if name.endswith("_again")], 2)

    def test_inputs_come_by_name(self):
        a, b = (keras.Input(_SHAPE, name=name) for name in "ab")
        x = layers.Add()([_conv(a, "left"), _conv(b, "right")])
        model = keras.Model({"a": a, "b": b}, layers.Flatten()(x))
        batch = {"a": _images(), "b": _images(seed=1)}
        quantized = at_point(model, batch, "8/8", _FREE)

        model = _fake_quant(quantized, [batch])

        before = np.asarray(quantized(batch, training=False))
        after = np.asarray(model(batch, training=False))
        self.assertAllClose(after, before, atol=0.02 * np.ptp(before))

    def test_several_batches_are_seen_whole(self):
        quantized = at_point(model_of("plain"), images(), "4/8")
        parts = [images()[:20], images()[20:]]

        whole = _fake_quant(quantized, [images()])
        in_parts = _fake_quant(quantized, parts)

        self.assertAllEqual(whole(images()), in_parts(images()))

    def test_mixed_precision_becomes_float32(self):
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
        self.addCleanup(keras.mixed_precision.set_global_policy, "float32")
        quantized = _quantized(
            lambda x: layers.Flatten()(_conv(x, "a")), "8/8", _images()
        )

        model = _fake_quant(quantized, [_images()])

        before = tf.cast(quantized(_images(), training=False), tf.float32)
        after = model(_images(), training=False)
        self.assertEqual(after.dtype, tf.float32)
        self.assertAllClose(after, before, atol=0.02 * np.ptp(before))


if __name__ == "__main__":
    tf.test.main()
