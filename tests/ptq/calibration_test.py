import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

from kure_tf import compat, fake_quantize_model, ptq, set_operating_point
from kure_tf.compat import keras
from kure_tf.fake_quantized import (
    Placement,
    observation,
    operating_point_of,
    quantizers_of,
)
from kure_tf.quantizers import UniformQuantizer

pytestmark = pytest.mark.one_keras

layers = keras.layers


def _quantized(granularity="per_tensor", **placement):
    inputs = keras.Input((4, 4, 2))
    x = layers.Conv2D(3, 2, name="conv")(inputs)
    x = layers.ReLU()(x)
    x = layers.DepthwiseConv2D(2, depth_multiplier=2, name="depthwise")(x)
    x = layers.Dense(2, name="dense")(layers.Flatten()(x))
    model = keras.Model(inputs, x, name="tiny")
    rng = np.random.default_rng(0)
    model.set_weights(
        [rng.normal(0, 0.4, w.shape) for w in model.get_weights()]
    )
    weights = UniformQuantizer("narrow", granularity)
    return model, fake_quantize_model(
        model, Placement(weights=weights, **placement)
    )


def _images(count=6, seed=1):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, 4, 4, 2)).astype(np.float32)


def _calibrate(model, batches=None):
    return ptq.calibrate(model, batches, progress=False)


class CalibrateTest(tf.test.TestCase, parameterized.TestCase):
    def test_activations_are_those_of_the_float_model(self):
        model, copy = _quantized()
        set_operating_point(copy, "2/FP")  # Must not matter.
        batches = [_images(4, 1), _images(3, 2)]

        tensors = _calibrate(copy, batches).tensors

        images = np.concatenate(batches)
        inside = keras.Model(model.inputs, model.get_layer("conv").output)
        for path, expected in (
            ("conv/input", images),
            ("depthwise/input", np.maximum(inside(images), 0.0)),
        ):
            tensor = tensors[path]
            self.assertEqual(tensor.kind, "activation")
            self.assertAllClose(tensor.lowest, expected.min(), atol=1e-6)
            self.assertAllClose(tensor.highest, expected.max(), atol=1e-6)
            self.assertAllClose(
                np.sort(tensor.values[0]), np.sort(expected.ravel()), atol=1e-6
            )

    def test_kernels_have_a_row_for_each_step_size(self):
        model, copy = _quantized("per_channel")
        tensors = _calibrate(copy).tensors
        kernel = np.array(model.get_layer("conv").kernel)
        self.assertAllEqual(
            tensors["conv/kernel"].values, kernel.reshape(-1, 3).T
        )
        (path,) = [p for p in tensors if p.startswith("depthwise/")]
        depthwise = model.get_layer("depthwise").get_weights()[0]
        self.assertEqual(tensors[path].step_shape, (1, 1, 3, 2))
        self.assertAllEqual(tensors[path].values, depthwise.reshape(4, 6).T)
        _, copy = _quantized("per_tensor")
        self.assertAllEqual(
            _calibrate(copy).tensors["conv/kernel"].values,
            kernel.reshape(1, -1),
        )

    @parameterized.parameters("per_channel", "per_tensor")
    def test_kernels_of_model_copy_and_calibration_share_memory(
        self, placement
    ):
        model, copy = _quantized(placement)
        tensors = _calibrate(copy).tensors
        for path, tensor in quantizers_of(copy).items():
            if tensor.kind == "weight":
                shared = compat.to_numpy(tensor.variable)
                self.assertTrue(np.shares_memory(shared, tensors[path].values))
        kernel = compat.to_numpy(model.get_layer("conv").kernel)
        values = tensors["conv/kernel"].values
        self.assertTrue(np.shares_memory(kernel, values))

    def test_rows_come_with_their_largest_steps_and_the_levels(self):
        _, copy = _quantized("per_channel")
        tensor = _calibrate(copy).tensors["conv/kernel"]
        rows = list(tensor.rows_at(4))
        self.assertLen(rows, 3)
        for row, (values, largest, levels) in enumerate(rows):
            self.assertAllEqual(values, tensor.values[row])
            self.assertAllClose(largest, np.abs(values).max() / 7)
            self.assertEqual(levels, (-7.0, 7.0))

    def test_a_kernel_is_looked_through_once_for_all_its_rows(self):
        """Not once for each, or the time would grow as rows squared."""
        _, copy = _quantized("per_channel")
        tensor = _calibrate(copy).tensors["dense/kernel"]
        looked = []

        class Counting(UniformQuantizer):
            def largest_step(self, *args):
                looked.append(1)
                return super().largest_step(*args)

        counts = []
        for channels in (2, 200):
            many = dataclasses.replace(
                tensor,
                quantizer=Counting("narrow", "per_channel"),
                values=np.ones((channels, 3), np.float32),
            )
            looked.clear()
            self.assertLen(list(many.rows_at(8)), channels)
            counts.append(len(looked))
        self.assertEqual(counts[0], counts[1])

    def test_labels_are_ignored_and_images_counted(self):
        _, copy = _quantized()
        labels = np.zeros(4, np.int64)
        calibration = ptq.calibrate(
            copy,
            [(_images(4), labels), (_images(0), labels[:0]), (_images(1),)],
            provenance={"source": "train"},
            progress=False,
        )
        self.assertEqual(
            calibration.provenance, {"source": "train", "images": 5}
        )

    def test_the_model_is_left_in_float(self):
        _, copy = _quantized()
        calibration = _calibrate(copy, [_images()])
        self.assertEqual(operating_point_of(copy), (None, None))
        self.assertAllEqual(copy(_images()), _quantized()[0](_images()))
        self.assertLen(calibration.tensors, 6)

    def test_the_same_images_give_the_same_sample(self):
        self._set_sample(64)
        first = _calibrate(_quantized()[1], [_images(9), _images(5, 2)])
        again = _calibrate(_quantized()[1], [_images(9), _images(5, 2)])
        for path, tensor in first.tensors.items():
            self.assertAllEqual(tensor.values, again.tensors[path].values)
            self.assertLessEqual(tensor.values.shape[1], 64)

    def test_a_sample_is_fair_to_batches_of_any_place_and_size(self):
        """Values of the batches are 0, 1, 2, ...: each its share."""
        self._set_sample(4096)
        seen = observation.Observation("x", 0)
        sizes = [20000, 3000, 500, 20000, 1500, 20000]
        for number, size in enumerate(sizes):
            seen.add(np.full(size, number))
        counts = np.bincount(seen.sample().astype(int), minlength=len(sizes))
        self.assertEqual(counts.sum(), 4096)
        share = np.array(sizes) / np.sum(sizes)
        error = np.sqrt(share * (1 - share) / 4096)
        self.assertAllLess(np.abs(counts / 4096 - share) / error, 5.0)
        self.assertEqual((seen.lowest, seen.highest), (0, 5))

    def _set_sample(self, size):
        before = observation.SAMPLE
        observation.SAMPLE = size
        self.addCleanup(setattr, observation, "SAMPLE", before)

    @parameterized.parameters(([],), ([np.zeros((0, 4, 4, 2), np.float32)],))
    def test_no_images_are_refused(self, batches):
        with self.assertRaisesRegex(ValueError, "at least one batch.*none"):
            _calibrate(_quantized()[1], batches)

    @parameterized.parameters(((2, 4, 4, 1),), ((2, 4, 5, 2),), ((2, 32),))
    def test_images_of_the_wrong_shape_are_refused(self, *shape):
        with self.assertRaisesRegex(
            ValueError, r"\['batch', 4, 4, 2\].*Received"
        ):
            _calibrate(_quantized()[1], [np.zeros(shape[0], np.float32)])

    def test_activations_that_are_not_finite_name_the_tensor(self):
        images = _images()
        images[0, 0, 0, 0] = np.nan
        with self.assertRaisesRegex(ValueError, "'conv/input' has NaN"):
            _calibrate(_quantized()[1], [images])

    def test_a_plain_model_is_refused(self):
        with self.assertRaisesRegex(ValueError, "fake_quantize_model"):
            _calibrate(_quantized()[0], [_images()])


if __name__ == "__main__":
    tf.test.main()
