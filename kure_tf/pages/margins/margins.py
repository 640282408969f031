"""Margins: how far step and bits may go before accuracy falls by a budget."""

import dataclasses

from kure_tf.measurements.budget import check_budget
from kure_tf.measurements.rows import Run
from kure_tf.pages.margins.bit_margins import BitMargin, bit_margins
from kure_tf.pages.margins.layer_margins import LayerMargin, layer_margins
from kure_tf.pages.margins.step_margins import StepMargin, step_margins
from kure_tf.pages.metric import metrics_of
from kure_tf.pages.series import Series


@dataclasses.dataclass(frozen=True)
class Margins:
    """What `margins` finds for one model.

    Attributes:
        name: The run's.
        budget: What may be lost, as a fraction.
        steps: A `StepMargin` for each step sweep.
        bits: A `BitMargin` for each PTQ method, weights only and W=A.
        layers: A `LayerMargin` for each sensitivity sweep.
    """

    name: str
    budget: float
    steps: tuple[StepMargin, ...]
    bits: tuple[BitMargin, ...]
    layers: tuple[LayerMargin, ...]


def margins(run, budget=0.01) -> Margins:
    """Returns how far step and bits may go for `budget` of accuracy.

    Of another metric, the budget is a share of the value that is compared
    with: 0.01 lets a mean absolute error of 2 become 2.02.

    For each (PTQ method, placement, batch norm) of the rows:

    * Step: from ratio 1 outwards, the value is interpolated linearly between
      the swept ratios up to the first place where it is `budget` worse than
      that at ratio 1. Nothing is extrapolated. The mean is the area under the
      same lines (trapezoids) divided by the width of the range.
    * Bits: the fewest at which float is at most `budget` ahead.
    * Layers: those whose quantization alone costs most against float.

    Of several seeds, the mean counts. Standard errors treat two values as
    independent; on the same examples the truth is smaller.

    Args:
        run: A `Run`, of which the first metric counts, or a `Series` of runs
            that are seeds of one.
        budget: What may be lost: 0.01 is one point of accuracy. Positive.

    Raises:
        TypeError: If `run` is something else.
        ValueError: If `budget` is not in 0..1.
    """
    one = run
    if isinstance(run, Run):
        one = Series(run.name, (run,), metrics_of([run])[0])
    if not isinstance(one, Series):
        raise TypeError(
            "Expected a Run of a report, such as Report.load(path).runs[0], "
            f"or a Series. Received: {type(run).__name__}."
        )
    check_budget(budget)
    return Margins(
        one.name,
        float(budget),
        tuple(step_margins(one, budget)),
        tuple(bit_margins(one, budget)),
        tuple(layer_margins(one)),
    )
