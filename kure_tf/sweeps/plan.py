"""Which operating points a sweep measures, and how step sizes are found."""

import dataclasses
import itertools

from kure_tf import ptq
from kure_tf.fake_quantized import placement as placements
from kure_tf.settings.operating_point import OperatingPoint
from kure_tf.sweeps.dimensions import check_dimensions, dimension_sweeps
from kure_tf.sweeps.kinds import CALIBRATION_SEED
from kure_tf.sweeps.points import RATIOS, bit_width_points, step_size_points
from kure_tf.sweeps.rounding import SUFFIX, check_roundings

_REESTIMATIONS = ((False,), (True,), (False, True))


@dataclasses.dataclass(frozen=True)
class SweepPlan:
    """Which operating points to measure, and how step sizes are found.

    Attributes:
        scheme: "paper", "tflite" or a `Placement`. A model that has quantizers
            already keeps its own, and reports say "qat".
        ptq: `{what reports call it: PTQ method}`. Each goes through the
            weights-only points, the last one through all others as well. The
            method None, to be called "trained", keeps the clipping ranges of
            a model that has quantizers already.
        weights_only: Weight bits of the points "b/FP".
        both: Bits of the points "b/b".
        both_by_all: Whether each PTQ method goes through these, not the last
            one alone.
        ratio_bits: Weight bits at which the step ratios are measured.
        ratios: Step ratios.
        power_of_two_bits: Weight bits at which steps are rounded to powers of
            two, to the nearest one and to the next larger one.
        points: Further operating points, for the last PTQ method.
        activation_ratio_bits: Bits b of the points b/b at which the steps of
            the activations alone go through `ratios`.
        joint_ratio_bits: Likewise, of weights and activations at once.
        rounding_modes: Rounding modes beside "nearest", such as "floor".
        rounding_bits: Weight bits at which they are measured.
        clipping_ratios: Ratios of the clip to the largest absolute weight.
            On every grid the clip is the step size times the largest level,
            and "minmax" puts it at that weight: a clipping ratio is a step
            ratio of that method.
        clipping_bits: Weight bits at which they are measured.
        sensitivity_bits: Weight bits b at which each layer is quantized alone,
            the others in float.
        sensitivity_ratios: Step ratios of one layer at a time, the others
            standing at b/FP.
        calibration_seeds: Seeds of other draws of calibration images.
        calibration_seed_bits: Bits b of the points b/b measured with each. (At
            b/FP few methods look at the images.)
        batch_size: Images per step.
        reestimate_batch_norm: `(False,)`: batch-norm statistics stay those of
            the training. `(True,)`: they are measured again at every point.
            `(False, True)`: all points are measured both ways.
        batch_norm_images: On how many training images; all if there are fewer.
        batch_norm_seed: Seed of their draw.
        batch_norm_augment: Augmentations of these images, those that the model
            was trained with. What batch normalization has learned to expect
            includes them: the black borders of shifts alone are worth two
            points of a ResNet-20 on CIFAR-10.
        calibration_augment: Augmentations of the calibration images; none of
            them by default. `learned_steps` finds steps for a network whose
            batch norm is estimated on augmented images, from such images.
        roundings: "nearest", "adaround" or both, as a tuple. With "adaround",
            rounding is learned at the points of `weights_only` and `both`,
            with the steps of the last PTQ method; rows call it "<method> +
            adaround". Without "nearest", those rows replace the ordinary ones;
            all other points are rounded to nearest always.
            It is learned on the images for batch norm (`batch_norm_images`,
            `batch_norm_augment`), whether or not batch norm is estimated again.

    Raises:
        ValueError: If there is no such scheme, no PTQ method, no way to treat
            batch norm or to round, or a point does not exist on the grids of
            the scheme.
    """

    scheme: object = "paper"
    ptq: dict = dataclasses.field(
        default_factory=lambda: {
            "minmax": ptq.minmax,
            "lp_norm p=2": ptq.lp_norm,
        }
    )
    weights_only: tuple = (8, 7, 6, 5, 4, 3, 2)
    both: tuple = (8, 7, 6, 5, 4, 3)
    both_by_all: bool = False
    ratio_bits: tuple = (4, 3)
    ratios: tuple = RATIOS
    power_of_two_bits: tuple = (4, 3)
    points: tuple = ()
    activation_ratio_bits: tuple = ()
    joint_ratio_bits: tuple = ()
    rounding_modes: tuple = ()
    rounding_bits: tuple = (4,)
    clipping_ratios: tuple = ()
    clipping_bits: tuple = (4,)
    sensitivity_bits: tuple = ()
    sensitivity_ratios: tuple = ()
    calibration_seeds: tuple = ()
    calibration_seed_bits: tuple = (4,)
    batch_size: int = 256
    reestimate_batch_norm: tuple = (False,)
    batch_norm_images: int = 1024
    batch_norm_seed: int = 0
    batch_norm_augment: tuple = ()
    calibration_augment: tuple = ()
    roundings: tuple = ("nearest",)

    def __post_init__(self):
        check_roundings(self.roundings)
        if tuple(self.reestimate_batch_norm) not in _REESTIMATIONS:
            raise ValueError(
                "Expected reestimate_batch_norm to be one of "
                f"{_REESTIMATIONS}. Received: {self.reestimate_batch_norm!r}."
            )
        if not self.ptq:
            raise ValueError(
                f"Expected at least one PTQ method, of {ptq.METHODS}. "
                "Received none."
            )
        if self.learns_rounding and list(self.ptq.values())[-1] is None:
            raise ValueError(
                "Expected a PTQ method that finds step sizes, one of "
                f"{ptq.METHODS}, as the last one, whose weights adaround "
                "rounds. Received trained steps: None."
            )
        check_dimensions(self)
        placement = placements.get(self.scheme)
        for _, _, points in self.sweeps():
            for point in points:
                placement.check_point(point)

    @property
    def learns_rounding(self):
        """Whether "adaround" is among the roundings."""
        return "adaround" in self.roundings

    def sweeps(self):
        """Yields `(kind of sweep, name of the PTQ method, points)`."""
        for index, name in enumerate(self.ptq):
            last = index == len(self.ptq) - 1
            both = self.both if last or self.both_by_all else ()
            points = bit_width_points(self.weights_only, both, fp=index == 0)
            if not last or "nearest" in self.roundings:
                yield "bit_width", name, points
            elif index == 0:
                yield "bit_width", name, points[:1]
        if self.learns_rounding:
            points = bit_width_points(self.weights_only, self.both, fp=False)
            yield "bit_width", name + SUFFIX, points
        for bits in self.ratio_bits:
            points = step_size_points(bits, ratios=self.ratios)
            yield "step_size", name, points
        rounded = [
            OperatingPoint(bits, None, step_rounding=rounding)
            for bits in self.power_of_two_bits
            for rounding in ("nearest", "up")
        ]
        if rounded:
            yield "power_of_two", name, rounded
        for kind, points in itertools.groupby(self.points, _kind):
            yield kind, name, list(points)
        yield from dimension_sweeps(self, name)

    def seeds(self, kind):
        """Returns the calibration seeds of a kind of sweep; None: the own."""
        return self.calibration_seeds if kind == CALIBRATION_SEED else (None,)


def _kind(point):
    if point.step_rounding is not None:
        return "power_of_two"
    return "bit_width" if point.step_scale == 1.0 else "step_size"
