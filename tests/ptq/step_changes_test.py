"""What a gradient says of other steps, against the quantizers themselves."""

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

from kure_tf import (
    OperatingPoint,
    fake_quantize_model,
    ptq,
    set_operating_point,
    set_step_sizes,
)
from kure_tf.compat import keras
from kure_tf.fake_quantized import Placement, in_rows, quantizers_of
from kure_tf.ptq.step_changes import StepChanges
from kure_tf.ptq.step_ratios import StepRatios
from kure_tf.quantizers import DoReFaWeightQuantizer, UniformQuantizer

pytestmark = pytest.mark.one_keras

RATIOS = np.array([1.0, 0.75, 0.98, 1.003, 1.02, 1.4])
PER_TENSOR = UniformQuantizer("narrow")
PER_CHANNEL = UniformQuantizer("narrow", "per_channel")


def _calibration(placement):
    model = keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            keras.layers.Conv2D(8, 3, name="c"),
            keras.layers.Flatten(name="f"),
            keras.layers.Dense(5, name="d"),
        ]
    )
    random = np.random.default_rng(0)
    model.set_weights(
        [random.normal(0.0, 0.3, w.shape) for w in model.get_weights()]
    )
    images = random.normal(size=(40, 6, 6, 3)).astype(np.float32)
    copy = fake_quantize_model(model, placement)
    return ptq.calibrate(copy, [images], progress=False)


def _values(tensor):
    """Returns what the quantizer takes: a kernel, or any activations."""
    if tensor.variable is not None:
        return np.array(tensor.variable)
    random = np.random.default_rng(1)
    return random.normal(size=(50, 6, 6, 3)).astype(np.float32)


class StepChangesTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.named_parameters(
        ("per_tensor", Placement(weights=PER_TENSOR), "3/4"),
        ("per_channel", Placement(weights=PER_CHANNEL), "3/4"),
        (
            "asymmetric",
            Placement(
                weights=PER_CHANNEL, activations=UniformQuantizer("asymmetric")
            ),
            "2/3",
        ),
        ("mid_rise", Placement(weights=UniformQuantizer("reference")), "2/FP"),
        ("paper", Placement(weights=UniformQuantizer("equation1")), "3/FP"),
        (
            "dorefa",
            Placement(weights=DoReFaWeightQuantizer("reference")),
            "4/FP",
        ),
        (
            "dorefa_per_channel",
            Placement(weights=DoReFaWeightQuantizer("narrow", "per_channel")),
            "2/FP",
        ),
        ("scaled", Placement(weights=PER_CHANNEL), "3/3 x1.2/0.9"),
        (
            "pinned",
            Placement(weights=PER_TENSOR, last_layer=5),
            "3/3 x1.2",
        ),
        ("floor", Placement(weights=PER_CHANNEL), "3/4 floor"),
        ("half_up", Placement(weights=PER_TENSOR), "3/4 half-up"),
        ("full", Placement(weights=UniformQuantizer("full")), "3/FP"),
        ("many_levels", Placement(weights=PER_TENSOR), "8/8"),
    )
    def test_quantizers_say_the_same(self, placement, point):
        point = OperatingPoint.parse(point)
        calibration = _calibration(placement)
        model = calibration.model
        start = ptq.lp_norm(calibration, point)
        ratios = StepRatios(calibration, start, shared=False)
        groups, k = 3, len(RATIOS)

        random = np.random.default_rng(2)
        found = StepChanges(calibration, point, start, RATIOS, groups)
        tensors = quantizers_of(model)
        pairs = {
            path: [
                [(_values(tensor), random.normal(size=_values(tensor).shape))]
                for _ in range(groups)
            ]
            for path, tensor in tensors.items()
        }
        for group in range(groups):
            found.add(
                group, {path: pairs[path][group] for path in start.tensors}
            )
        found = found.array
        self.assertEqual(found.shape, (ratios.size, groups, k))
        self.assertAllEqual(found[:, :, 0], np.zeros((ratios.size, groups)))

        wanted = np.zeros(found.shape)
        for number, ratio in enumerate(RATIOS):
            steps = (
                start,
                ratios.step_sizes(np.full(ratios.size, np.log(ratio))),
            )
            wanted[:, :, number] = np.concatenate(
                [
                    self._change(model, point, path, steps, pairs)
                    for path in start.tensors
                ]
            )
        # Of the activations in one bin with a threshold it is not known on
        # which side of it they are.
        share = np.square(found - wanted).sum() / np.square(wanted).sum()
        self.assertLess(share, 3e-2 if point.weight_bits == 8 else 3e-3)
        kernels = np.concatenate(
            [
                np.full(step.step_size.size, path.endswith("kernel"))
                for path, step in start.tensors.items()
            ]
        )
        # The model computes in float32.
        close = np.isclose(found, wanted, rtol=1e-3, atol=1e-5)[kernels]
        self.assertGreater(close.mean(), 0.99)

    def _change(self, model, point, path, steps, pairs):
        """Returns gradient times move, summed, `[rows, groups]`."""
        tensor = quantizers_of(model)[path]
        results = []
        for step_sizes in steps:
            set_step_sizes(model, step_sizes)
            set_operating_point(model, point)
            x = tf.constant(_values(tensor))
            result = tensor.quantizer(x, tensor.state).numpy()
            results.append(result.astype(np.float64))
        shape = tuple(tensor.state.step_size.shape)
        move = in_rows(results[1] - results[0], shape)
        gradients = [in_rows(g, shape) for ((_, g),) in pairs[path]]
        return np.stack([(g * move).sum(1) for g in gradients], 1)

    def test_calls_of_a_shared_layer_add_up(self):
        calibration = _calibration(Placement(weights=PER_TENSOR))
        point = OperatingPoint(3, 4)
        start = ptq.lp_norm(calibration, point)
        tensors = quantizers_of(calibration.model)
        random = np.random.default_rng(3)

        def pairs():
            values = {path: _values(tensors[path]) for path in start.tensors}
            return {
                path: [(value, random.normal(size=value.shape))]
                for path, value in values.items()
            }

        one, other = pairs(), pairs()
        found = StepChanges(calibration, point, start, RATIOS, 3)
        both = {path: one[path] + other[path] for path in one}
        for group, gradients in enumerate((one, other, both)):
            found.add(group, gradients)
        first, second, both = np.moveaxis(found.array, 1, 0)
        self.assertAllClose(first + second, both, atol=1e-5)

    def test_what_is_not_finite_does_not_spread(self):
        calibration = _calibration(Placement(weights=PER_TENSOR))
        point = OperatingPoint(3, 4)
        start = ptq.lp_norm(calibration, point)
        found = StepChanges(calibration, point, start, RATIOS, 2)
        infinite, strange = {}, {}
        for path in start.tensors:
            value = _values(quantizers_of(calibration.model)[path])
            gradient = np.full(value.shape, np.inf)
            gradient.flat[0] = np.nan
            infinite[path] = [(value, gradient)]
            broken = value.copy()
            broken.flat[:3] = np.nan, np.inf, -np.inf
            strange[path] = [(broken, np.ones(value.shape))]
        found.add(0, infinite)
        found.add(1, strange)
        self.assertAllEqual(found.array[:, 0], np.zeros((4, len(RATIOS))))
        self.assertTrue(np.isfinite(found.array).all())


if __name__ == "__main__":
    tf.test.main()
