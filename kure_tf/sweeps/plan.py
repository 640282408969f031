"""Which operating points a sweep measures, and how step sizes are found."""

import dataclasses
import functools
from typing import Literal

from kure_tf.data.augmentation import parse_augmentation
from kure_tf.fake_quantized import placement as placements
from kure_tf.ops.checks import check_choice, check_kind, check_whole
from kure_tf.settings import OperatingPoint
from kure_tf.sweeps.kinds import CALIBRATION_SEED
from kure_tf.sweeps.methods import ADAROUND, check_method, method_named
from kure_tf.sweeps.planned import PRESETS, Planned, planned

POINTS = ("minmax: {8..2}/FP", "bits", "steps", "pow2")
"""What a plan measures unless it says otherwise."""

_WAYS = {"off": (False,), "on": (True,), "both": (False, True)}


@dataclasses.dataclass(frozen=True)
class SweepPlan:
    """Which operating points to measure, and how step sizes are found.

    Attributes:
        points: What to measure after the float model, which comes first: texts
            `[placement] [PTQ method] [kind of sweep]: pattern` (see `planned`),
            or `OperatingPoint`s. A pattern is such as "{8..2}/FP", "{8..3}" (of
            both), "4/FP x{0.7:1.3:0.05}" (step ratios), "4/4 x1/{0.9,1.1}" (of
            the activations), "4/4 x{0.9,1.1}/=" (of both) or "4/FP
            {floor,stochastic:{0:4}}"; or a preset: bits, steps, pow2, rounding,
            sensitivity. In front, if anything: "paper" or "tflite" for that
            placement alone; a method in place of `ptq`, with " + adaround"
            behind it for rounding that is learned on the images for batch norm;
            "clipping" (ratios of the clip to the largest weight),
            "sensitivity" (one layer at a time) or "calibration_seed" (with each
            of `calibration_seeds`).
        ptq: Where the step sizes of points come from that name no method:
            "minmax", "lp_norm" (the MSE; "lp_norm p=2.4" for another norm),
            "aciq", "uniform", "pow2_nearest", "pow2_up", "pow2_search";
            "predefined 0.01,0.02,0.05" chooses out of what a device offers;
            "lapq_gradient" and "lapq" search by the loss on the labelled
            calibration images, which with "lapq" takes minutes; so does
            "learned_steps", for batch norm that is re-estimated, best with 2048
            calibration images, augmented as in training; "trained" keeps the
            steps of a model from quantization-aware training.
        methods: `{name: PTQ method}` of your own, for `points` and `ptq`.
        placement: "paper", "tflite" or a `Placement`. A model that has
            quantizers already keeps its own, and reports say "qat".
        calibration_seeds: Seeds of other draws of calibration images, for
            points of the kind "calibration_seed".
        batch_size: Images per step.
        reestimate_batch_norm: Whether batch-norm statistics are measured again
            at every point, on training images: "off", they stay those of the
            training; "on"; or "both", all points are measured both ways.
        batch_norm_images: Training images that batch norm is measured again
            on, and rounding is learned on; all if there are fewer.
        batch_norm_seed: Seed of their draw.
        batch_norm_augment: Augmentations of these images, those that the model
            was trained with (None: `runs.measure` takes them from
            training.json beside the model). What batch normalization has
            learned to expect includes them: the black borders of shifts alone
            are worth two points of a ResNet-20 on CIFAR-10.
        calibration_augment: Augmentations of the calibration images; none of
            them by default. `learned_steps` finds steps for a network whose
            batch norm is estimated on augmented images, from such images.

    Raises:
        TypeError: If `points` hold something else.
        ValueError: If a text stands for no points, there is no such placement
            or PTQ method, no way to treat batch norm, a point does not exist on
            the grids of the placement, or two things do not go together.

    Example:
        >>> plan = SweepPlan(("minmax: {4,3}/FP", "{4,3}/FP"))
        >>> [(sweep.method, len(sweep.points)) for sweep in plan.sweeps]
        [(None, 1), ('minmax', 2), ('lp_norm p=2', 2)]
    """

    points: tuple[str | OperatingPoint, ...] = POINTS
    ptq: str = "lp_norm"
    methods: dict = dataclasses.field(default_factory=dict)
    placement: object = "paper"
    calibration_seeds: tuple[int, ...] = ()
    batch_size: int = 256
    reestimate_batch_norm: Literal["off", "on", "both"] = "off"
    batch_norm_images: int = 1024
    batch_norm_seed: int = 0
    batch_norm_augment: tuple[str, ...] | None = ()
    calibration_augment: tuple[str, ...] = ()

    def __post_init__(self):
        way = self.reestimate_batch_norm
        check_choice("reestimate_batch_norm", way, _WAYS)
        check_kind("ptq", self.ptq, str, "'lp_norm'")
        check_whole("batch_size", self.batch_size, 1)
        check_whole("batch_norm_images", self.batch_norm_images, 2)
        parse_augmentation(self.batch_norm_augment or ())
        parse_augmentation(self.calibration_augment)
        placement = placements.get(self.placement)
        for sweep in self.sweeps:
            check_method(sweep, self.ptq_methods, placement)
            for point in sweep.points:
                placement.check_point(point)
        _check_seeds(self.calibration_seeds, self.sweeps)

    @functools.cached_property
    def sweeps(self) -> tuple[Planned, ...]:
        """What is measured: the float model, then `points`, each of them once.

        Their methods have the names that reports call them, None in float.
        """
        texts = (OperatingPoint(), *_texts(self.points))
        placement = placements.get(self.placement).name
        found, seen = [], set()
        for one in [one for text in texts for one in planned(text)]:
            if one.placement in (None, placement):
                method = self._named(one.method or self.ptq)[0]
                found += _once(dataclasses.replace(one, method=method), seen)
        return tuple(found)

    @functools.cached_property
    def ptq_methods(self) -> dict:
        """`{what reports call it: PTQ method}` of all points, `ptq` last."""
        names = [sweep.method for sweep in self.sweeps if sweep.method]
        own = self._named(self.ptq)[0]
        names.sort(key=lambda name: name == own)  # The others keep their order.
        return dict(self._named(name.removesuffix(ADAROUND)) for name in names)

    @property
    def batch_norm_ways(self) -> tuple[bool, ...]:
        """Whether batch norm is estimated again, for each way of measuring."""
        return _WAYS[self.reestimate_batch_norm]

    @property
    def learns_rounding(self) -> bool:
        """Whether rounding is learned for some of the points."""
        names = [sweep.method or "" for sweep in self.sweeps]
        return any(name.endswith(ADAROUND) for name in names)

    def seeds(self, kind):
        """Returns the calibration seeds of a kind of sweep; None: the own."""
        return self.calibration_seeds if kind == CALIBRATION_SEED else (None,)

    def _named(self, text):
        """Returns (what reports call it, PTQ method)."""
        learned = ADAROUND if text.endswith(ADAROUND) else ""
        text = text.removesuffix(ADAROUND)
        if text in self.methods:
            return text + learned, self.methods[text]
        name, method = method_named(text)
        return name + learned, self.methods.get(name, method)


def _texts(texts):
    if isinstance(texts, (str, OperatingPoint)) or not hasattr(
        texts, "__iter__"
    ):
        raise TypeError(
            "Expected the points of a SweepPlan as a tuple of texts, such as "
            f"('{{8..2}}/FP', 'steps'), of presets {sorted(PRESETS)}. "
            f"Received: {texts!r}."
        )
    return texts


def _once(sweep, seen):
    """Yields the sweep without the points that were planned before."""
    left = []
    for point in sweep.points:
        method = None if point.in_float else sweep.method
        key = (method, sweep.kind, sweep.placement, point)
        if key not in seen:
            left.append(point)
        seen.add(key)
    if left:
        in_float = all(point.in_float for point in left)
        method = None if in_float else sweep.method
        yield dataclasses.replace(sweep, method=method, points=tuple(left))


def _check_seeds(seeds, sweeps):
    if not all(isinstance(seed, int) and seed >= 0 for seed in seeds):
        raise ValueError(
            "Expected calibration_seeds to be integers, 0 or more. "
            f"Received: {seeds!r}."
        )
    asked = any(sweep.kind == CALIBRATION_SEED for sweep in sweeps)
    if asked != bool(seeds):
        raise ValueError(
            "Expected calibration_seeds, such as (1, 2, 3), together with "
            "points to measure with each: 'calibration_seed: 4/4'. Received: "
            f"calibration_seeds={seeds!r} and "
            f"{'such' if asked else 'no such'} points."
        )
