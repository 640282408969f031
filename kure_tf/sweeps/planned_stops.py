"""Where a plan stops on one model."""

import functools
import itertools

from kure_tf.sweeps.kinds import SENSITIVITY
from kure_tf.sweeps.sensitivity import layer_settings
from kure_tf.sweeps.stops import Stop


def planned_stops(model, plan, setting_for) -> list[Stop]:
    """Returns the `Stop`s of a plan, in the order of its rows.

    Args:
        model: A fake-quantized model.
        plan: A `SweepPlan`.
        setting_for: `setting_for(method, seed, reestimated, place) ->
            Setting`, of the method's name, a calibration seed of the plan and
            whether batch norm is measured again.
    """
    return [
        Stop(
            place,
            sweep.kind,
            sweep.method,
            functools.partial(setting_for, sweep.method, seed, reestimated),
            seed,
            reestimated,
        )
        for reestimated, sweep in itertools.product(
            plan.batch_norm_ways, plan.sweeps
        )
        for seed in plan.seeds(sweep.kind)
        for place in _places(model, sweep)
    ]


def _places(model, sweep):
    """Returns the points of a `Planned` sweep, or settings of layers."""
    if sweep.kind == SENSITIVITY:
        return layer_settings(model, sweep.points)
    return sweep.points
