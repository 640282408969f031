"""What a quantizer is, and the variables it keeps in the layer hosting it."""

import dataclasses

import numpy as np
import tensorflow as tf

from kure_tf.compat import add_state, channel_shape
from kure_tf.ops import grid as grids
from kure_tf.ops.checks import check_choice
from kure_tf.ops.rounding import NEAREST
from kure_tf.ops.step_search import best_step_sizes
from kure_tf.quantizers.positive import Positive
from kure_tf.quantizers.shared_graph import quantize_in_shared_graph
from kure_tf.settings.operating_point import FP

GRANULARITIES = ("per_tensor", "per_channel")
UNCALIBRATED = 0.0
"""The value of `calibrated_bits` before a step size is known."""


@dataclasses.dataclass(frozen=True)
class QuantizerState:
    """The variables of one quantized tensor, owned by the layer hosting it.

    Attributes:
        step_size: Distance of two levels at `calibrated_bits`, in the unit of
            the tensor. Scalar, or of a shape that broadcasts against the
            tensor (one step per output channel).
        bits: Bit-width in force; `FP` (32) leaves the tensor in float.
        calibrated_bits: Bit-width that `step_size` is meant for; 0 before
            calibration.
        step_scale: Ratio of the step size in force to the one that keeps the
            clipping range; of the shape of `step_size`.
        origin: Smallest value that calibration saw, at most 0, in the unit of
            the tensor; adaptive grids choose their levels by it.
        rounding_mode: How values are rounded: a code of `ops.rounding`.
        full_range: 1 if a tensor on the grid "narrow" has the levels of
            "full", else 0.
    """

    step_size: object
    bits: object
    calibrated_bits: object
    step_scale: object
    origin: object
    rounding_mode: object = NEAREST
    full_range: object = 0.0


def shared_axes(step_shape, rank) -> tuple[int, ...]:
    """Returns the axes of a tensor along which one step size is shared.

    Args:
        step_shape: Shape of the step size: () or of `rank` sizes.
        rank: Number of axes of the tensor.
    """
    return tuple(
        axis for axis in range(rank) if not step_shape or step_shape[axis] == 1
    )


class Quantizer:
    """Base class: which grid, which granularity, is the step size trained.

    A quantizer holds no variables. `build` makes them in the layer that hosts
    it; a call quantizes with them. Bits, step size and step scale are
    variables, so that one compiled graph serves every operating point.

    A subclass says in `quantize` how it rounds, and in `get_config` everything
    that this depends on: quantizers that are equal share one graph. It may
    override `prepare` (what happens to a tensor before it is rounded) and
    `initial_step_size`. One that rounds by `state.rounding_mode`, to the
    `levels_in_force`, says so by `follows_state = True`; of the others,
    operating points cannot ask for anything but the nearest level.

    Args:
        grid: A `Grid` or its name.
        granularity: "per_tensor", or "per_channel" along the output channels
            of a kernel.
        trainable: Whether the step size is a trainable variable.
    """

    follows_state = False

    def __init__(self, grid, granularity="per_tensor", trainable=False):
        self.grid = grids.get(grid)
        self.granularity = check_choice(
            "a granularity", granularity, GRANULARITIES
        )
        self.trainable = trainable

    def build(self, layer, name, shape, channel_axes=()) -> QuantizerState:
        """Adds the variables for one tensor to `layer` and returns them.

        Args:
            layer: The Keras layer that hosts the quantizer.
            name: Name of the tensor; starts the variables' names.
            shape: Shape of the tensor; unknown sizes are None.
            channel_axes: Axes of the output channels, counted from the end.
        """
        step_shape = self.step_shape(shape, channel_axes)

        def variable(suffix, value, shape=(), **options):
            return add_state(layer, f"{name}_{suffix}", shape, value, **options)

        trained = {}
        if self.trainable:
            trained = {"trainable": True, "constraint": Positive()}
        return QuantizerState(
            step_size=variable("step_size", 1.0, step_shape, **trained),
            bits=variable("bits", FP),
            calibrated_bits=variable("calibrated_bits", UNCALIBRATED),
            step_scale=variable("step_scale", 1.0, step_shape),
            origin=variable("origin", 0.0),
            rounding_mode=variable("rounding_mode", NEAREST),
            full_range=variable("full_range", 0.0),
        )

    def step_shape(self, shape, channel_axes=()):
        """Returns the shape of the step size for a tensor of shape `shape`."""
        if self.granularity == "per_tensor":
            return ()
        return channel_shape(shape, channel_axes)

    def __call__(self, x, state: QuantizerState):
        """Returns `x` quantized as `state` says; in float at bits FP."""
        return quantize_in_shared_graph(self, x, state)

    def quantize(self, x, state: QuantizerState):
        """Returns what a call returns; the part that a subclass writes.

        Whatever the bits are, the graph must be one and the same:
        `ops.fake_quantize.switched_fake_quantize` is made for that.

        Args:
            x: Tensor of known rank and any sizes.
            state: Tensors in place of the variables.
        """
        raise TypeError(
            f"{type(self).__name__} does not say how it quantizes. Override "
            "`quantize(x, state)`, or derive from UniformQuantizer."
        )

    def prepare(self, x, axes):
        """Returns `(v, unit)`: what is rounded, and its unit.

        Step sizes are in the unit of v; v * unit is in the unit of the
        quantizer's output. Here v is `x`, and the unit is 1.

        Args:
            x: Tensor or array.
            axes: The axes along which one step size is shared.
        """
        return x, 1.0

    def largest_step(self, lowest, highest, bits) -> np.ndarray:
        """Returns the smallest step sizes that clip no value.

        Args:
            lowest: Array of the smallest values, one for each step size.
            highest: Array of the largest ones.
            bits: Bit-width.
        """
        low = np.minimum(lowest, 0.0).astype(np.float64)
        high = np.maximum(highest, 0.0).astype(np.float64)
        extent = float(self.grid.extent(float(bits), low.min()))
        asymmetric = self.grid.name == "asymmetric"
        span = high - low if asymmetric else np.maximum(high, -low)
        # Any step represents zeros.
        return np.where(span > 0, span / extent, 1.0)

    def origin_for(self, step_size, lowest, largest_step) -> float:
        """Returns the smallest value to represent at a step size, at most 0.

        On an asymmetric grid both ends of the clipping range move in
        proportion to the step size.

        Args:
            step_size: The step size.
            lowest: Smallest value that was seen.
            largest_step: The step size that clips nothing.
        """
        if not self.grid.adaptive:
            return 0.0
        lowest = min(float(lowest), 0.0)
        if self.grid.name == "asymmetric":
            lowest *= float(step_size) / float(largest_step)
        return lowest

    def smallest_mse_step(self, values, lowest, highest, bits) -> np.ndarray:
        """Returns the step sizes with the smallest mean squared error.

        Args:
            values, lowest, highest, bits: See `initial_step_size`.
        """
        largest = self.largest_step(lowest, highest, bits)
        levels = self.levels(bits, min(float(np.min(lowest)), 0.0) / largest[0])
        return best_step_sizes(values, largest, levels, self.grid.offset)

    def levels(self, bits, lowest) -> tuple[float, float]:
        """Returns the lowest and the highest level as numbers: see `Grid`."""
        low, high = self.grid.levels(float(bits), lowest)
        return float(low), float(high)

    def initial_step_size(self, values, lowest, highest, bits) -> np.ndarray:
        """Returns the step sizes to start from, in the unit of `prepare`.

        Here those that clip nothing.

        Args:
            values: Array `[step sizes, n]` of prepared values; of an
                activation, a sample.
            lowest: Array of the smallest values, one for each step size; of
                an activation, of all values that were seen.
            highest: Likewise the largest ones.
            bits: Bit-width that the step sizes are for.
        """
        return self.largest_step(lowest, highest, bits)

    def step_size(self, state):
        """Returns the step size in force, `step_size` times `step_ratio`."""
        # Only the step size itself is ever trained.
        ratio = tf.stop_gradient(self.step_ratio(state))
        return tf.convert_to_tensor(state.step_size) * ratio

    def step_ratio(self, state):
        """Returns the ratio of the step in force to the one that is stored.

            extent(calibrated_bits) / extent(bits) * step_scale

        The clipping range is kept when bits change, and `step_scale` is exactly
        the paper's perturbation of the step.
        """
        bits = tf.convert_to_tensor(state.bits)
        calibrated_bits = tf.convert_to_tensor(state.calibrated_bits)
        lowest = tf.convert_to_tensor(state.origin)
        kept = self.grid.extent(calibrated_bits, lowest) / self.grid.extent(
            bits, lowest
        )
        return kept * tf.convert_to_tensor(state.step_scale)

    def levels_in_force(self, state, step_size):
        """Returns `(low, high)`, the levels in force.

        Args:
            state: The variables of the tensor.
            step_size: As `step_size(state)`.
        """
        bits = tf.convert_to_tensor(state.bits)
        lowest = self._lowest_level(state, step_size)
        low, high = self.grid.levels(bits, lowest)
        return low - tf.convert_to_tensor(state.full_range), high

    def _lowest_level(self, state, step_size):
        """Returns where an adaptive grid begins, in steps; None for others.

        The step ratio does not enter: the origin moves along with the step, so
        that the zero point stays in its place. Both ends of the clipping range
        are then multiplied by the ratio, and zero stays zero.
        """
        if not self.grid.adaptive:
            return None
        scale = tf.convert_to_tensor(state.step_scale)
        lowest = tf.convert_to_tensor(state.origin) * scale
        return tf.stop_gradient(lowest / step_size)

    def kernels(self):
        """Returns the kernels of `switched_fake_quantize` for the grid."""
        if self.grid.adaptive:  # ReLU outputs are common and quicker.
            return (self.grid.fused, "unsigned")
        return (self.grid.fused,)

    def kernel_in_force(self, state):
        """Returns which of `kernels` serves the state, counted from 1."""
        if not self.grid.adaptive:
            # Behind them is the one for levels that keep no promise.
            full = tf.convert_to_tensor(state.full_range) > 0
            return tf.where(full, len(self.kernels()) + 1, 1)
        return tf.where(tf.convert_to_tensor(state.origin) < 0, 1, 2)

    def get_config(self):
        return {
            "grid": self.grid.name,
            "granularity": self.granularity,
            "trainable": self.trainable,
        }

    @classmethod
    def from_config(cls, config):
        return cls(**config)

    def __eq__(self, other):
        return (
            type(self) is type(other)
            and self.grid == other.grid
            and self.get_config() == other.get_config()
        )

    def __hash__(self):
        options = tuple(sorted(self.get_config().items()))
        return hash((type(self), self.grid, options))

    def __repr__(self):
        options = ", ".join(
            f"{name}={value!r}" for name, value in self.get_config().items()
        )
        return f"{type(self).__name__}({options})"
