"""The settings that files are to be written for."""

import collections
import collections.abc
import dataclasses
import functools

from kure_tf import ptq
from kure_tf.settings import OperatingPoint, Setting
from kure_tf.sweeps.kinds import CALIBRATION_SEED, CLIPPING, SENSITIVITY
from kure_tf.sweeps.methods import ADAROUND, method_named
from kure_tf.sweeps.planned import planned


@dataclasses.dataclass(frozen=True)
class FileSetting:
    """A file that is wanted.

    Attributes:
        file: Its name, after the operating point.
        points: The `OperatingPoint` of all layers; or that of one layer and
            that of the others.
        ptq: What reports call the PTQ method.
        digest: Digest of a `Setting` that was given; None if it is found.
        setting: Function that returns the `Setting`, which may take minutes.
    """

    file: str
    points: tuple[OperatingPoint, ...]
    ptq: str
    digest: str | None
    setting: collections.abc.Callable


def file_settings(points, method, methods, calibration) -> list[FileSetting]:
    """Returns the files that points and settings stand for, in their order.

    Args:
        points: One or several of patterns, `OperatingPoint`s and `Setting`s.
        method: The PTQ method of points that name none.
        methods: `{name: PTQ method}` that may be named beside the library's.
        calibration: Function that returns the `Calibration`.

    Raises:
        ValueError: If a text writes no points, or more than points and a
            method, or there is no such method.
    """
    if isinstance(points, (str, OperatingPoint, Setting)):
        points = [points]
    counts = collections.Counter()
    found = []
    for one in points:
        if isinstance(one, Setting):
            found.append(_given(one, counts))
            continue
        for plan in planned(one):
            _check_plan(one, plan)
            name, make = _maker(plan.method or method, methods, calibration)
            found += [
                FileSetting(
                    file=_file_name(point, counts),
                    points=(point,),
                    ptq=name,
                    digest=None,
                    setting=functools.partial(make, point),
                )
                for point in plan.points
            ]
    return found


def _given(setting, counts):
    points = (setting.point,)
    if setting.layer is not None:
        points += (setting.others or OperatingPoint(),)
    return FileSetting(
        file=_file_name(setting.point, counts),
        points=points,
        ptq="given",
        digest=setting.digest(),
        setting=lambda: setting,
    )


def _check_plan(text, plan):
    if plan.placement or plan.kind in (CALIBRATION_SEED, CLIPPING, SENSITIVITY):
        raise ValueError(
            "Expected operating points to write files for, with a PTQ method "
            "in front if any: 'minmax: {8,4}/8'. What a sweep varies besides "
            f"is no file, and `placement` is an argument. Received: {text!r}."
        )


def _maker(text, methods, calibration):
    """Returns what reports call a method, and `make(point) -> Setting`."""
    learned = text.endswith(ADAROUND)
    text = text.removesuffix(ADAROUND)
    name, method = text, methods.get(text)
    if text not in methods:
        name, method = method_named(text)
    if method is None and not learned:
        return name, Setting
    rounding = ptq.adaround if learned else None

    def make(point):
        return ptq.settings_for(calibration(), method, rounding=rounding)(point)

    return name + (ADAROUND if learned else ""), make


def _file_name(point, counts):
    """Returns the name of a point's file; of the second one with a number."""
    name = str(point).replace("/", "_").replace(" ", "_")
    counts[name] += 1
    return f"{name}{f'_{n}' if (n := counts[name]) > 1 else ''}.tflite"
