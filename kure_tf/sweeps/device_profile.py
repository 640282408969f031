"""Device profiles: what a class of devices does to a model, as data."""

import dataclasses
import functools
import importlib.resources
import pathlib

from kure_tf import ptq
from kure_tf.fake_quantized import Placement
from kure_tf.files import existing, parsed
from kure_tf.ops.checks import check_several
from kure_tf.ptq.predefined import check_allowed
from kure_tf.quantizers import UniformQuantizer
from kure_tf.settings.operating_point import OperatingPoint

BUILTIN = "builtin"
_TEXTS = (
    *("name", "description", "weight_grid", "activation_grid"),
    *("weight_granularity", "source"),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DeviceProfile:
    """How one class of devices runs a model: placement and operating point.

    Attributes:
        name: What reports call it, and their rows' `placement`.
        description: What the devices can do, in a sentence or two.
        point: The `OperatingPoint`, or its text: "8/8", "4/8", "8/8 pow2". The
            rounding of step sizes is part of it.
        weight_grid: Grid of the weights: see `UniformQuantizer`.
        weight_granularity: "per_tensor" or "per_channel".
        activation_grid: Grid of the activations; one step per tensor.
        fold_batch_norm: Whether batch norm is folded into the weights.
        first_layer: None: as all others; "float"; or a bit-width.
        last_layer: Likewise.
        ptq: Name of the PTQ method to use; None leaves it to the caller.
        allowed_steps: The step sizes that the devices hold, if they hold no
            others; the best of them is taken for each tensor
            (`ptq.predefined`), and `ptq` is left out.
        reestimate_batch_norm: Whether batch-norm statistics are measured again
            on the quantized weights, in models that have some.
        source: Where the facts are from.

    Raises:
        TypeError: If a value is of the wrong kind.
        ValueError: If there is no such grid, granularity, bit-width, point or
            PTQ method, an allowed step size is not positive or would not be
            the one in force, or batch norm is to be folded and measured again.

    Example:
        >>> device = DeviceProfile(
        ...     name="w5a8", description="Ours.", point="5/8",
        ...     weight_grid="narrow", weight_granularity="per_channel",
        ...     activation_grid="asymmetric", fold_batch_norm=True)
        >>> str(device.point)
        '5/8'
    """

    name: str
    description: str
    point: OperatingPoint
    weight_grid: str
    weight_granularity: str
    activation_grid: str
    fold_batch_norm: bool
    first_layer: str | int | None = None
    last_layer: str | int | None = None
    ptq: str | None = None
    allowed_steps: tuple[float, ...] = ()
    reestimate_batch_norm: bool = False
    source: str = ""

    def __post_init__(self):
        for name in _TEXTS:
            self._check_text(name, empty=name == "source")
        for name in ("fold_batch_norm", "reestimate_batch_norm"):
            if not isinstance(getattr(self, name), bool):
                raise self._wrong(name, "true or false", TypeError)
        if self.ptq is not None:
            self._check_text("ptq")
            ptq.get(self.ptq)
        point = OperatingPoint.parse(self.point)
        object.__setattr__(self, "point", point)
        self._check_allowed_steps()
        if self.point.in_float:
            raise self._wrong("point", "one that is not in float")
        if self.fold_batch_norm and self.reestimate_batch_norm:
            raise self._wrong(
                "reestimate_batch_norm",
                "false where fold_batch_norm is true: nothing is left of it",
            )
        self.placement().check_point(self.point)

    def placement(self) -> Placement:
        """Returns the `Placement`; equal ones are equal devices but for bits.

        Its name says nothing of the device.
        """
        return Placement(
            weights=UniformQuantizer(self.weight_grid, self.weight_granularity),
            activations=UniformQuantizer(self.activation_grid),
            first_layer=self.first_layer,
            last_layer=self.last_layer,
            fold_batch_norm=self.fold_batch_norm,
            name="device",
        )

    def resolved(self, default) -> "DeviceProfile":
        """Returns the profile with a PTQ method, `default` if it has none."""
        if self.ptq or self.allowed_steps:
            return self
        return dataclasses.replace(self, ptq=default)

    def method(self):
        """Returns `(name, PTQ method)` of a resolved profile.

        Raises:
            ValueError: If the profile leaves it open.
        """
        if self.allowed_steps:
            return "predefined", functools.partial(
                ptq.predefined, allowed=self.allowed_steps
            )
        return self.ptq, ptq.get(self.ptq)

    def to_dict(self) -> dict:
        """Returns the profile as plain values, as they are in a file."""
        values = {**dataclasses.asdict(self), "point": str(self.point)}
        steps = list(values.pop("allowed_steps"))
        return {**values, "allowed_steps": steps} if steps else values

    @classmethod
    def load(cls, path) -> tuple["DeviceProfile", ...]:
        """Reads profiles from a JSON file: a list of objects.

        Members are the attributes; those with a default may be left out.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is truncated or no list of profiles, a member is
                missing, unknown or invalid, or two have one name.
        """
        path = existing(path, "a JSON file with device profiles")
        return _decode(path.read_text(encoding="utf-8"), str(path))

    def _check_allowed_steps(self):
        given = self.allowed_steps
        if not isinstance(given, (list, tuple)) or not all(
            isinstance(step, (int, float)) and not isinstance(step, bool)
            for step in given
        ):
            raise self._wrong("allowed_steps", "a list of numbers", TypeError)
        steps = check_allowed(given).tolist() if given else ()
        object.__setattr__(self, "allowed_steps", tuple(steps))
        if not steps:
            return
        if self.ptq is not None:
            raise self._wrong(
                "ptq", "left out where allowed_steps are the only step sizes"
            )
        point = self.point
        scales = {point.step_scale, point.activation_step_scale}
        if point.step_rounding is not None or scales != {1.0}:
            raise self._wrong(
                "point", "one that leaves the allowed_steps as they are"
            )

    def _check_text(self, name, empty=False):
        value = getattr(self, name)
        if not isinstance(value, str):
            raise self._wrong(name, "text", TypeError)
        if not value.strip() and not empty:
            raise self._wrong(name, "text that is not empty")

    def _wrong(self, name, expected, kind=ValueError):
        value = getattr(self, name)
        if isinstance(value, OperatingPoint):
            value = str(value)
        return kind(
            f"Expected {name} of a device profile to be {expected}. "
            f"Received: {value!r}."
        )


def builtin_profiles() -> tuple[DeviceProfile, ...]:
    """Returns the profiles of this package: classes of devices, not products.

    They are the file device_profiles.json beside this one, which is also an
    example to start a file of one's own from.
    """
    file = "device_profiles.json"
    folder = importlib.resources.files("kure_tf.sweeps")
    return _decode(folder.joinpath(file).read_text(encoding="utf-8"), file)


def device_profiles(given=BUILTIN) -> tuple[DeviceProfile, ...]:
    """Returns the profiles that are meant.

    Args:
        given: One, or a list, of: a `DeviceProfile`; the path of a .json file;
            the name of a built-in profile; "builtin" for all of those.

    Raises:
        FileNotFoundError, TypeError, ValueError: If something is none of them,
            there are none, or two have one name.
    """
    if isinstance(given, (str, pathlib.PurePath, DeviceProfile)):
        given = [given]
    check_several("device profiles", given, "['builtin', 'mine.json']")
    found = [profile for one in given for profile in _profiles(one)]
    if not found:
        raise ValueError(
            f"Expected device profiles, such as {BUILTIN!r}. Received none."
        )
    _check_names(found, "what was given")
    return tuple(found)


def _profiles(one):
    if isinstance(one, DeviceProfile):
        return (one,)
    if one == BUILTIN:
        return builtin_profiles()
    if isinstance(one, pathlib.PurePath) or str(one).endswith(".json"):
        return DeviceProfile.load(one)
    known = {profile.name: profile for profile in builtin_profiles()}
    if one not in known:
        raise ValueError(
            f"Expected a device profile: {BUILTIN!r}, one of {list(known)}, "
            f"the path of a .json file, or a DeviceProfile. Received: {one!r}."
        )
    return (known[one],)


def _decode(text, source):
    members = parsed(text, "device profiles", source)
    if not isinstance(members, list) or not members:
        raise ValueError(
            "Expected device profiles as a JSON list of objects. Received in "
            f"{source}: {str(members)[:60]}."
        )
    found = [
        _profile(one, f"{source}: [{index}]")
        for index, one in enumerate(members)
    ]
    _check_names(found, source)
    return tuple(found)


def _profile(members, where):
    if not isinstance(members, dict):
        raise ValueError(
            f"Expected {where} to be an object. Received: {str(members)[:60]}."
        )
    fields = dataclasses.fields(DeviceProfile)
    needed = {f.name for f in fields if f.default is dataclasses.MISSING}
    missing = sorted(needed - set(members))
    unknown = sorted(set(members) - {field.name for field in fields})
    if missing or unknown:
        raise ValueError(
            f"Expected in {where} the members "
            f"{', '.join(field.name for field in fields)}. "
            f"Missing: {', '.join(missing) or 'none'}. "
            f"Unknown: {', '.join(unknown) or 'none'}."
        )
    try:
        return DeviceProfile(**members)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: {error}") from error


def _check_names(profiles, where):
    names = [profile.name for profile in profiles]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            f"Expected device profiles of different names in {where}. "
            f"Received twice: {', '.join(twice)}."
        )
