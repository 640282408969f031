import contextlib
import io

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

from kure_tf import fake_quantize_model, set_operating_point, set_step_sizes
from kure_tf.compat import keras
from kure_tf.fake_quantized import (
    Placement,
    operating_point_of,
    paper_placement,
    quantizers_of,
    tflite_placement,
)
from kure_tf.fake_quantized import placement as placements
from kure_tf.quantizers import UniformQuantizer
from kure_tf.settings import StepSizes, TensorStep

layers = keras.layers


def _model():
    inner = keras.Sequential(
        [keras.Input((4,)), layers.Dense(4, name="deep")], name="inner"
    )
    inputs = keras.Input((4,))
    x = layers.Dense(4, name="first")(inputs)
    x = inner(layers.ReLU()(x))
    x = layers.Dense(4, name="middle")(x)
    x = layers.BatchNormalization(name="norm")(x)
    return keras.Model(inputs, layers.Dense(3, name="last")(x))


def _bits(model):
    return {
        path: int(np.array(tensor.state.bits))
        for path, tensor in quantizers_of(model).items()
    }


class PlanTest(tf.test.TestCase, parameterized.TestCase):
    def test_the_papers_placement_leaves_the_ends_in_float(self):
        chosen = paper_placement().chosen(_model())
        self.assertEqual(chosen.quantized, {"inner/deep": None, "middle": None})
        self.assertEqual(chosen.skipped["first"], "pinned to float")
        self.assertEqual(chosen.skipped["last"], "pinned to float")

    def test_litert_s_placement_pins_the_ends_to_8_bits(self):
        chosen = tflite_placement().chosen(_model())
        self.assertEqual(
            chosen.quantized,
            {"first": 8, "inner/deep": None, "middle": None, "last": 8},
        )

    def test_text_says_what_is_quantized_and_what_is_not(self):
        text = str(tflite_placement(pinned={"deep": "float"}).chosen(_model()))
        self.assertIn("first: quantized, pinned to 8 bits\n", text)
        self.assertIn("middle: quantized\n", text)
        self.assertIn("inner/deep: not quantized: pinned to float", text)
        self.assertIn(
            "norm: not quantized: BatchNormalization has no kernels that "
            "kure_tf knows",
            text,
        )
        self.assertNotIn("relu", text.lower())

    @parameterized.parameters("inner/deep", "deep")
    def test_layers_are_pinned_by_path_or_name(self, name):
        chosen = Placement(pinned={name: 6}).chosen(_model())
        self.assertEqual(chosen.quantized["inner/deep"], 6)
        self.assertIsNone(chosen.quantized["middle"])

    def test_a_pin_by_name_wins_over_the_ends(self):
        chosen = paper_placement(pinned={"last": None, "first": 4}).chosen(
            _model()
        )
        self.assertEqual(chosen.quantized["first"], 4)
        self.assertIsNone(chosen.quantized["last"])

    @parameterized.parameters("nowhere", "norm")
    def test_a_pin_of_a_layer_without_kernel_is_refused(self, name):
        with self.assertRaisesRegex(ValueError, f"'middle'.*'{name}'"):
            Placement(pinned={name: 8}).chosen(_model())

    @parameterized.parameters(0, 17, 4.5, True, "8")
    def test_a_pin_that_is_no_bit_width_is_refused(self, bits):
        for options in ({"first_layer": bits}, {"pinned": {"deep": bits}}):
            with self.assertRaisesRegex(ValueError, "integer in 2..16"):
                Placement(**options)

    @parameterized.parameters("unsigned", "signed_or_unsigned", "asymmetric")
    def test_a_grid_for_activations_is_refused_for_weights(self, grid):
        with self.assertRaisesRegex(ValueError, f"narrow.*'{grid}'"):
            Placement(weights=UniformQuantizer(grid))

    def test_dense_layers_may_have_one_step_beside_channels(self):
        inputs = keras.Input((6, 6, 2))
        x = layers.Flatten()(layers.Conv2D(5, 3, name="conv")(inputs))
        model = keras.Model(inputs, layers.Dense(3, name="dense")(x))
        for together, shape in ((False, (1, 3)), (True, ())):
            placement = tflite_placement(dense_per_tensor=together)
            found = quantizers_of(fake_quantize_model(model, placement))
            steps = {
                path: tuple(found[f"{path}/kernel"].state.step_size.shape)
                for path in ("conv", "dense")
            }
            self.assertEqual(steps, {"conv": (1, 1, 1, 5), "dense": shape})

    @pytest.mark.one_keras
    def test_they_may_so_in_wrappers(self):
        inputs = keras.Input((4, 2))
        dense = layers.TimeDistributed(layers.Dense(3), name="steps")
        outputs = dense(inputs)
        quantized = fake_quantize_model(
            keras.Model(inputs, outputs),
            tflite_placement(dense_per_tensor=True),
        )
        state = quantizers_of(quantized)["steps/kernel"].state
        self.assertEqual(tuple(state.step_size.shape), ())

    def test_placements_are_found_by_name(self):
        self.assertEqual(placements.get("paper"), paper_placement())
        self.assertEqual(placements.get("tflite"), tflite_placement())
        own = Placement(name="own")
        self.assertIs(placements.get(own), own)


class PinnedLayersTest(tf.test.TestCase):
    def _calibrated(self, placement):
        model = fake_quantize_model(_model(), placement)
        steps = {
            path: TensorStep(0.1, 8)
            for path, tensor in quantizers_of(model).items()
            if tensor.kind == "activation"
        }
        set_step_sizes(model, StepSizes(steps))
        return model

    def test_keep_their_bits_but_follow_float(self):
        model = self._calibrated("tflite")

        set_operating_point(model, "3/4")
        bits = _bits(model)
        self.assertEqual(bits["first/kernel"], 8)
        self.assertEqual(bits["last/input"], 8)
        self.assertEqual(bits["middle/kernel"], 3)
        self.assertEqual(bits["middle/input"], 4)
        self.assertEqual(operating_point_of(model), (3, 4))

        set_operating_point(model, "2/FP")
        bits = _bits(model)
        self.assertEqual(bits["first/kernel"], 8)
        self.assertEqual(bits["first/input"], 32)

        set_operating_point(model, "FP/FP")
        self.assertEqual(set(_bits(model).values()), {32})
        self.assertEqual(operating_point_of(model), (None, None))

    def test_are_not_scaled(self):
        model = self._calibrated("tflite")
        set_operating_point(model, "4/FP x0.5")
        tensors = quantizers_of(model)
        self.assertAllEqual(tensors["first/kernel"].state.step_scale, [[1] * 4])
        self.assertAllEqual(
            tensors["middle/kernel"].state.step_scale, [[0.5] * 4]
        )

    def test_in_float_have_no_quantizer(self):
        model = self._calibrated("paper")
        names = {path.rpartition("/")[0] for path in quantizers_of(model)}
        self.assertEqual(names, {"inner/deep", "middle"})

    def test_the_chosen_layers_are_printed_on_demand(self):
        with contextlib.redirect_stderr(io.StringIO()) as printed:
            fake_quantize_model(_model(), "paper", verbose=True)
        self.assertIn("first: not quantized: pinned", printed.getvalue())


if __name__ == "__main__":
    tf.test.main()
