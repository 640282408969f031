"""Where a sweep stops to evaluate."""

import dataclasses
import functools
from collections.abc import Callable

from kure_tf.ops.checks import check_several
from kure_tf.settings import OperatingPoint, Setting, all_points
from kure_tf.sweeps.kinds import kind_of


@dataclasses.dataclass(frozen=True)
class Stop:
    """One operating point of a sweep, and what its row says beside it.

    Attributes:
        place: An `OperatingPoint`, or a `Setting` that says where single
            layers stand.
        sweep: What varies, such as "bit_width" (see `kinds`).
        ptq: What the row says of the PTQ method, None in float.
        setting_for: `setting_for(place) -> Setting`. None: the model keeps
            its clipping ranges.
        calibration_seed: Seed of the draw of calibration images; None: the
            data set's own.
        reestimated_batch_norm: Whether `setting_for` measures batch-norm
            statistics again.
    """

    place: OperatingPoint | Setting
    sweep: str
    ptq: str | None = None
    setting_for: Callable | None = None
    calibration_seed: int | None = None
    reestimated_batch_norm: bool = False

    @functools.cached_property
    def bare(self) -> Setting:
        """The place as a setting; all else stays as it is in the model."""
        place = self.place
        return place if isinstance(place, Setting) else Setting(place)

    @property
    def labels(self) -> dict:
        """The fields of a row that say where it was measured."""
        return {
            "point": self.bare.point,
            "layer": self.bare.layer,
            "others": self.bare.others,
            "ptq": None if self.bare.in_float else self.ptq,
            "sweep": self.sweep,
            "calibration_seed": self.calibration_seed,
            "reestimated_batch_norm": self.reestimated_batch_norm,
        }

    def setting(self) -> Setting:
        """Returns the setting to apply there.

        Raises:
            TypeError: If `setting_for` returns no `Setting`.
            ValueError: If it returns one of another point.
        """
        if self.setting_for is None:
            return self.bare
        found = self.setting_for(self.place)
        if not isinstance(found, Setting):
            raise TypeError(
                "Expected setting_for(point) to return a Setting, such as "
                "Setting(point, step_sizes=ptq.lp_norm(calibration, point)). "
                f"Received: {type(found).__name__}."
            )
        where = [(s.point, s.layer, s.others) for s in (found, self.bare)]
        if where[0] != where[1]:
            raise ValueError(
                "Expected setting_for(point) to return a Setting at "
                f"'{self.bare.point}', where it was asked for. Received one at "
                f"'{found.point}'."
            )
        return found


def stops_at(points, sweep=None, **options) -> list[Stop]:
    """Returns a `Stop` for each place that `points` hold, each of them once.

    Args:
        points: As for `run_sweep`.
        sweep: What varies; None: what does so within each pattern.
        **options: Of the `Stop`s.

    Raises:
        TypeError, ValueError: As `settings.points`.
    """
    if isinstance(points, (str, OperatingPoint, Setting)):
        points = [points]
    stops = {}
    for given in check_several("points", points, "['{8..2}/FP', '4/4']"):
        found = [given] if isinstance(given, Setting) else all_points(given)
        kind = sweep or kind_of(found)
        for place in found:
            stops.setdefault((kind, place), Stop(place, kind, **options))
    return list(stops.values())
