"""Learned rounding: against brute force, NumPy and the layers themselves."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

from kure_tf import (
    OperatingPoint,
    fake_quantize_model,
    ptq,
)
from kure_tf.compat import keras
from kure_tf.fake_quantized import (
    Placement,
    apply,
    integer_weights,
    keeping,
    quantizers_of,
)
from kure_tf.ptq.kernel_matrix import KernelMatrix
from kure_tf.ptq.rounding_search import (
    OutputError,
    SecondMoments,
    learned_codes,
)
from kure_tf.quantizers import DoReFaWeightQuantizer, UniformQuantizer
from kure_tf.settings import RoundedWeights, Setting, StepSizes, TensorStep

pytestmark = pytest.mark.one_keras

layers = keras.layers
POINT = OperatingPoint(2, None)
KINDS = (
    ("dense", lambda: layers.Dense(5, name="l"), (4,)),
    ("dense_on_sequences", lambda: layers.Dense(5, name="l"), (3, 4)),
    (
        "conv_1d",
        lambda: layers.Conv1D(8, 4, dilation_rate=2, name="l"),
        (12, 5),
    ),
    (
        "conv_2d",
        lambda: layers.Conv2D(
            4, (3, 2), strides=2, padding="same", activation="relu", name="l"
        ),
        (7, 6, 3),
    ),
    ("grouped", lambda: layers.Conv2D(6, 2, groups=2, name="l"), (5, 5, 4)),
    ("conv_3d", lambda: layers.Conv3D(6, 2, name="l"), (3, 4, 3, 3)),
    (
        "depthwise",
        lambda: layers.DepthwiseConv2D(
            3, strides=2, depth_multiplier=2, padding="same", name="l"
        ),
        (6, 6, 3),
    ),
    (
        "transposed",
        lambda: layers.Conv2DTranspose(
            4, 3, strides=2, padding="same", name="l"
        ),
        (4, 5, 3),
    ),
)


def _model(layer, shape, seed=0):
    model = keras.Sequential([keras.Input(shape), layer])
    rng = np.random.default_rng(seed)
    model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
    images = rng.normal(0.7, 1.0, (24, *shape)).astype(np.float32)
    return model, images


def _calibrated(model, images, placement):
    copy = fake_quantize_model(model, placement)
    calibration = ptq.calibrate(
        copy, [images[:16], images[16:]], progress=False
    )
    return copy, calibration


def _placement(grid="narrow", granularity="per_tensor"):
    return Placement(weights=UniformQuantizer(grid, granularity))


def _adaround(calibration, point=POINT, **options):
    steps = ptq.lp_norm(calibration, point)
    return ptq.adaround(calibration, point, steps, progress=False, **options)


def _norm_net(seed=0):
    inputs = keras.Input((8, 8, 2))
    x = inputs
    for filters in (6, 5):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(4)(x))
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(64, 8, 8, 2)).astype(np.float32)
    ptq.reestimate_batch_norm(model, [images])
    return model, images


class KernelMatrixTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.named_parameters(*KINDS)
    def test_rows_times_matrix_are_the_outputs_of(self, make, shape):
        layer = make()
        layer.activation = keras.activations.linear
        model, images = _model(layer, shape)
        kernel, bias = model.get_weights()
        view = KernelMatrix(layer)
        matrix = view.to_matrix(kernel)
        products = np.asarray(view.rows(images)) @ matrix
        wanted = np.asarray(model(images)) - bias
        wanted = wanted.reshape(-1, matrix.shape[0], matrix.shape[2])
        self.assertAllClose(products.swapaxes(0, 1), wanted, atol=1e-4)
        self.assertAllClose(view.outputs(images, matrix), products, atol=1e-4)
        self.assertAllEqual(view.to_kernel(matrix), kernel)


class SearchTest(tf.test.TestCase, parameterized.TestCase):
    def _error(self, rows, outputs, step, epsilon=None):
        moments = SecondMoments(centered=epsilon is not None)
        for part in np.split(np.arange(rows.shape[1]), 2):
            moments.add(
                tf.constant(rows[:, part]), tf.constant(outputs[:, part])
            )
        return OutputError(np.float32(step), moments.means(), epsilon)

    def _data(self, seed, weights=6, channels=2):
        rng = np.random.default_rng(seed)
        rows = rng.normal(0.5, 1, (1, 200, weights)).astype(np.float32)
        rows[..., 1:] += rows[..., :-1]  # Without correlation nearest is best.
        matrix = rng.uniform(-1, 1, (1, weights, channels)).astype(np.float32)
        return rows, matrix, rows @ matrix

    def test_the_error_is_that_of_all_images(self):
        rows, matrix, y = self._data(0)
        codes = np.rint(matrix / 0.4)
        q = rows @ codes * np.float32(0.4)
        found = self._error(rows, y, np.full((1, 1, 2), 0.4))(codes)
        wanted = np.mean((y - q) ** 2, 1) / np.mean(y**2, 1)
        self.assertAllClose(found, wanted, rtol=1e-3)

        def norm(x):
            return (x - x.mean(1)) / np.sqrt(x.var(1) + 0.3)

        found = self._error(rows, y, np.full((1, 1, 2), 0.4), 0.3)(codes)
        wanted = np.mean((norm(y) - norm(q)) ** 2, 1)
        self.assertAllClose(found, wanted, rtol=1e-3)

    @parameterized.parameters(None, 1e-3)
    def test_codes_are_near_the_best_of_all_choices(self, epsilon):
        """Half of what lies between the nearest levels and the optimum."""
        nearest, learned, best = 0.0, 0.0, 0.0
        for seed in range(3):
            rows, matrix, y = self._data(seed)
            error = self._error(rows, y, np.full((1, 1, 2), 0.5), epsilon)
            scaled = matrix / 0.5
            codes, before, after = learned_codes(
                error,
                scaled,
                (-3, 3),
                updates=300,
                learning_rate=0.04,
                regularization=4.0,
            )
            self.assertAllClose(error(codes), after)
            self.assertAllInSet(codes - np.floor(scaled), (0.0, 1.0))
            choices = [
                error(np.floor(scaled) + np.reshape(up, (1, 6, 1)))
                for up in itertools.product((0, 1), repeat=6)
            ]
            nearest += before.sum()
            learned += after.sum()
            best += np.min(choices, 0).sum()
        self.assertLess(best, 0.8 * nearest)
        self.assertLess(learned - best, 0.5 * (nearest - best))

    def test_no_channel_gets_worse(self):
        rows, matrix, y = self._data(9)
        error = self._error(rows, y, np.full((1, 1, 2), 0.5))
        _, before, after = learned_codes(
            error,
            matrix / 0.5,
            (-1, 1),
            updates=3,  # A few large ones: anywhere.
            learning_rate=50.0,
            regularization=0.0,
        )
        self.assertAllLessEqual(after - before, 0.0)


class AdaRoundTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.named_parameters(*KINDS)
    def test_the_output_error_falls_of(self, make, shape):
        model, images = _model(make(), shape)
        layer = model.layers[-1]
        layer.activation = keras.activations.linear
        for granularity in ("per_tensor", "per_channel"):
            placement = _placement("full", granularity)
            copy, calibration = _calibrated(model, images, placement)
            steps = ptq.lp_norm(calibration, POINT)
            before = [np.array(w) for w in copy.get_weights()]
            rounded = ptq.adaround(calibration, POINT, steps, progress=False)
            for old, new in zip(before, copy.get_weights(), strict=True):
                self.assertAllEqual(old, new)
            errors = []
            for codes in (None, rounded):
                apply(
                    copy,
                    Setting(POINT, step_sizes=steps, rounded_weights=codes),
                )
                errors.append(np.mean((copy(images) - model(images)) ** 2))
            self.assertLess(errors[1], 0.95 * errors[0])

    @parameterized.parameters(
        *itertools.product(
            ("narrow", "full"), ("per_tensor", "per_channel"), (2, 3, 8)
        )
    )
    def test_the_quantizer_keeps_values_on_its_grid(
        self, grid, granularity, bits
    ):
        model, images = _model(layers.Conv2D(64, 3, name="l"), (4, 4, 8))
        copy, _ = _calibrated(model, images, _placement(grid, granularity))
        (tensor,) = (
            t for t in quantizers_of(copy).values() if t.kind == "weight"
        )
        rng = np.random.default_rng(bits)
        shape = tuple(tensor.state.step_size.shape)
        step = np.exp(rng.normal(-3, 2, shape)).astype(np.float32)
        high = 2 ** (bits - 1) - 1
        low = -high - (grid == "full")
        codes = rng.integers(low, high + 1, (3, 3, 8, 64))
        codes[0, 0] = low  # The edges of every channel.
        codes[1, 1] = high
        steps = StepSizes({"l/kernel": TensorStep(step, bits)})
        rounded = RoundedWeights({"l/kernel": codes}, steps)
        apply(copy, Setting(f"{bits}/FP", rounded_weights=rounded))
        self.assertAllEqual(integer_weights(copy)["l/kernel"].codes, codes)
        kernel = tf.constant(np.array(tensor.variable))
        values = tensor.quantizer(kernel, tensor.state)
        self.assertAllClose(values, kernel, rtol=3e-7, atol=0)
        again = tensor.quantizer(values, tensor.state)
        self.assertAllEqual(again, values)

    def test_later_layers_make_up_for_earlier_ones(self):
        model, images = _norm_net()
        copy, calibration = _calibrated(model, images, "tflite")
        point = OperatingPoint(2, 8)  # Ends at 8 bits, activations as well.
        rounded = _adaround(calibration, point)
        errors = []
        steps = ptq.lp_norm(calibration, point)
        for codes in (None, rounded):
            with keeping(copy):
                apply(
                    copy,
                    Setting(point, step_sizes=steps, rounded_weights=codes),
                )
                errors.append(np.mean((copy(images) - model(images)) ** 2))
        self.assertLess(errors[1], 0.6 * errors[0])

    def test_re_estimated_batch_norm_gains_more(self):
        model, images = _norm_net()
        copy, calibration = _calibrated(model, images, _placement())
        errors = {}
        for reestimated in (False, True):
            rounded = _adaround(calibration, reestimated_batch_norm=reestimated)
            self.assertLen(rounded.provenance["layers"], 3)
            with keeping(copy):
                apply(copy, Setting(POINT, rounded_weights=rounded))
                ptq.reestimate_batch_norm(copy, [images])
                error = np.mean((copy(images) - model(images)) ** 2)
                errors[reestimated] = error
        self.assertLess(errors[True], errors[False])

    def test_the_same_images_give_the_same_codes(self):
        model, images = _model(
            *(f() if callable(f) else f for f in KINDS[3][1:])
        )
        _, calibration = _calibrated(model, images, _placement())
        first, second = (_adaround(calibration) for _ in range(2))
        self.assertAllEqual(first.codes["l/kernel"], second.codes["l/kernel"])
        nothing = _adaround(calibration, updates=0)
        layer = nothing.provenance["layers"]["l/kernel"]
        self.assertEqual(layer["nearest"], layer["adaround"])

    def test_separable_layers_keep_the_nearest_level(self):
        model, images = _model(
            layers.SeparableConv2D(3, 2, name="l"), (5, 5, 2)
        )
        copy, calibration = _calibrated(model, images, _placement())
        rounded = _adaround(calibration)
        self.assertIn("not linear", rounded.skipped["l/pointwise_kernel"])
        apply(copy, Setting(POINT, rounded_weights=rounded))
        for path, codes in rounded.codes.items():
            self.assertAllEqual(integer_weights(copy)[path].codes, codes)

    @pytest.mark.one_keras
    def test_a_normalized_layer_is_to_be_unwrapped(self):
        wrapped = layers.SpectralNormalization(layers.Dense(3), name="l")
        _, calibration = _calibrated(*_model(wrapped, (4,)), _placement())
        skipped = _adaround(calibration).skipped
        self.assertIn("unwrap_spectral", skipped["l/kernel"])

    def test_what_it_cannot_round_is_refused(self):
        model, images = _model(layers.Dense(3, name="l"), (4,))
        copy, calibration = _calibrated(model, images, _placement())
        steps = ptq.lp_norm(calibration, POINT)
        for point in ("FP/8", "2/FP x1.1", "2/FP pow2"):
            with self.assertRaisesRegex(ValueError, "step ratio of 1"):
                ptq.adaround(calibration, OperatingPoint.parse(point), steps)
        with self.assertRaisesRegex(ValueError, "batch of images"):
            ptq.adaround(ptq.calibrate(copy), POINT, steps)
        with self.assertRaisesRegex(ValueError, "learning rate to be positive"):
            _adaround(calibration, learning_rate=0.0)
        for weights in (DoReFaWeightQuantizer(), UniformQuantizer("reference")):
            _, calibration = _calibrated(
                model, images, Placement(weights=weights, activations=None)
            )
            with self.assertRaisesRegex(ValueError, "grid with a zero"):
                ptq.adaround(calibration, POINT, steps)


if __name__ == "__main__":
    tf.test.main()
