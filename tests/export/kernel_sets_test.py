"""Single operators with any scales, against the interpreter."""

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized
from drawn_graphs import DRAWN, Draw, one_operator
from litert_files import KERNELS, run
from scipy import special

from kure_tf.export import Simulation, write
from kure_tf.integer_graph import Quantization, Weights

pytestmark = pytest.mark.one_keras

_TRIALS = 6
_FIXED = {
    "LOGISTIC": Quantization(1 / 256, -128),
    "TANH": Quantization(1 / 128, 0),
}
# What the last bit of the C library's function comes to, in codes.
_OF_THE_LIBRARY = {"GELU": 4e-5, "TANH": 1.6e-5}
_EXACT = {
    "ELU": lambda x: np.where(x < 0, special.expm1(x), x),
    "GELU": lambda x: x * special.ndtr(x),
    "LOGISTIC": special.expit,
    "TANH": np.tanh,
}


class KernelSetsTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.named_parameters(*DRAWN.items())
    def test_no_code_differs(self, draw_graph):
        for seed in range(_TRIALS):
            draw = Draw(seed)
            graph = draw_graph(draw)
            kind = graph.operators[0].kind
            inputs = [draw.input(graph.tensors[name]) for name in graph.inputs]
            for kernels in KERNELS:
                if kind in ("ELU", "SOFTMAX") and kernels == "reference":
                    continue
                (foretold,) = Simulation(graph, kernels)(inputs)
                self.assertAllEqual(
                    foretold,
                    run(write(graph), inputs, kernels),
                    f"{kernels}, seed {seed}",
                )

    def test_probabilities_near_the_middle_of_two_codes(self):
        """One of 100,000 hangs on the last bit of an exponential or a sum."""
        for seed in range(10):
            draw = Draw(seed)
            scale = float(np.float32(0.04 + 0.02 * seed))
            grids = [Quantization(scale, 7), Quantization(1 / 256, -128)]
            graph = one_operator("SOFTMAX", [(8, 8)] * 2, grids)
            inputs = [draw.codes(4096, 8, 8)]
            self.assertAllEqual(
                Simulation(graph, "builtin")(inputs)[0],
                run(write(graph), inputs, "builtin"),
            )

    @parameterized.parameters("ELU", "GELU", "LOGISTIC", "TANH")
    def test_results_in_the_middle_of_two_codes(self, kind):
        """How a set computes and rounds decides there: found by search."""
        rng, y = np.random.default_rng(0), _FIXED.get(kind)
        scales = np.float32(2.0 ** rng.uniform(-7, -1, 60_000))
        zero_points = rng.integers(-128, 128, scales.size)
        levels = np.arange(-128, 128) - zero_points[:, np.newaxis]
        values = levels * scales[:, np.newaxis]
        y = y or Quantization(float(np.float32(0.0213)), 5)
        codes = _EXACT[kind](np.float64(values)) / y.scale + y.zero_point
        apart = np.abs(codes - np.floor(codes) - 0.5)
        apart[(codes < -128) | (codes > 127)] = 1.0
        if kind == "ELU":
            apart[values >= 0] = 1.0
        apart[apart < _OF_THE_LIBRARY.get(kind, 0.0)] = 1.0
        inputs = np.arange(-128, 128).astype(np.int8).reshape(-1, 1)
        for place in np.argsort(apart.min(axis=1))[:12]:
            x = Quantization(float(scales[place]), int(zero_points[place]))
            graph = one_operator(kind, [(1,)] * 2, [x, y])
            for kernels in KERNELS[:2] if kind == "ELU" else KERNELS:
                self.assertAllEqual(
                    Simulation(graph, kernels)([inputs])[0],
                    run(write(graph), [inputs], kernels),
                    f"{kernels}, {x}",
                )

    @parameterized.parameters(
        (-3980, 0.044229187071323395, 101, 0.17781028151512146, 76),
        (-4378, 0.01770942099392414, 113, 0.6153326034545898, -70),
        (1434, 0.5358604192733765, -37, 0.09768927842378616, -107),
    )
    def test_xnnpack_adds_zero_points_to_means_in_float32(
        self, total, x_scale, x_zero_point, y_scale, y_zero_point
    ):
        """Sums of 36 codes (found by search) where that decides a code."""
        codes = np.full(36, x_zero_point + total // 36)
        codes[: total % 36] += 1
        quantizations = [
            Quantization(x_scale, x_zero_point),
            Quantization(y_scale, y_zero_point),
        ]
        graph = one_operator("MEAN", [(36, 1), (1,)], quantizations, axes=(1,))
        codes = codes.astype(np.int8).reshape(1, 36, 1)

        self.assertAllEqual(
            Simulation(graph)([codes])[0], run(write(graph), [codes])
        )

    @parameterized.parameters("builtin", "reference")
    def test_a_dense_layer_of_one_scale_has_its_multiplier_in_float32(
        self, kernels
    ):
        """A sum (found in ResNet-20) where that decides a code."""
        weights = Weights(
            path="kernel",
            bits=8,
            codes=np.zeros((1, 1), np.int8),
            scales=np.float32([0.014626988209784031]),
            biases=np.int32([-18420]),
        )
        quantizations = [
            Quantization(0.022415710613131523, -128),
            Quantization(0.19800825417041779, -48),
        ]
        graph = one_operator(
            "FULLY_CONNECTED", [(1,), (1,)], quantizations, weights=weights
        )
        codes = np.zeros((1, 1), np.int8)

        self.assertAllEqual(
            Simulation(graph, kernels)([codes])[0],
            run(write(graph), [codes], kernels),
        )

    def test_softmax_of_the_reference_kernels_is_not_foretold(self):
        graph = DRAWN["softmax"](Draw(0))

        with self.assertRaisesRegex(ValueError, "SOFTMAX.*'builtin'"):
            Simulation(graph, "reference")([np.zeros((1, 10), np.int8)])


if __name__ == "__main__":
    tf.test.main()
