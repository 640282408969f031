"""The step perturbation of the paper's reference code, for comparison only."""

import dataclasses

from kure_tf.fake_quantized import (
    fake_quantize_model,
    paper_placement,
    quantizers_of,
    strip_quantizers,
)
from kure_tf.quantizers import DoReFaWeightQuantizer
from kure_tf.sweeps.run import run_sweep

SWEEP = "reference_parity"
"""What the rows' `sweep` says."""


def reference_parity(model, evaluate, points, **options):
    """Sweeps a model's weights on the grid of the paper's Fig. 4c-d.

    Its reference code multiplies the step of a DoReFa grid that has no zero,
    is anchored at the lowest level and is not clamped. Most of what a model
    without regularization loses there comes from the zero that moves, which no
    device does; kure_tf's own sweeps keep the zero in its place. The rows carry
    `sweep="reference_parity"`, so that the two are never mixed up.

    Args:
        model: A float model, or one from `quantize_aware` (native engine), of
            whose float weights a new fake-quantized model is made.
        evaluate: As for `run_sweep`.
        points: As for `run_sweep`: step ratios of weights, activations in
            float, such as "4/FP x{0.9:1.1:0.05}".
        **options: As for `run_sweep`.

    Returns:
        A `Report` of one run.

    Raises:
        TypeError, ValueError: As `fake_quantize_model` and `run_sweep`.
    """
    if quantizers_of(model):
        model = strip_quantizers(model)
    placement = dataclasses.replace(
        paper_placement(),
        weights=DoReFaWeightQuantizer("reference", moved_zero=True),
        activations=None,
        name="reference",
    )
    return run_sweep(
        fake_quantize_model(model, placement),
        points,
        evaluate=evaluate,
        sweep=SWEEP,
        ptq="DoReFa, zero moves",
        placement="reference",
        **options,
    )
