"""What a quantizer is, and the variables it keeps in the layer hosting it."""

import dataclasses

import tensorflow as tf

from kure_tf.compat import add_state
from kure_tf.operating_point import FP, MAX_BITS
from kure_tf.ops import grid as grids

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
    """

    step_size: object
    bits: object
    calibrated_bits: object
    step_scale: object
    origin: object


class Quantizer:
    """Base class: which grid, which granularity, is the step size trained.

    A quantizer holds no variables. `build` makes them in the layer that hosts
    it; `__call__` quantizes with them. Bits, step size and step scale are
    variables, so that one compiled graph serves every operating point.

    A subclass may override `transform` (what happens to a tensor before it is
    rounded) and `initial_step_size`.

    Args:
        grid: A `Grid` or its name.
        granularity: "per_tensor", or "per_channel" along the output channels
            of a kernel.
        trainable: Whether the step size is a trainable variable.
    """

    def __init__(self, grid, granularity="per_tensor", trainable=False):
        self.grid = grids.get(grid)
        if granularity not in GRANULARITIES:
            raise ValueError(
                f"Expected a granularity, one of {GRANULARITIES}. Received: "
                f"{granularity!r}."
            )
        self.granularity = granularity
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

        def variable(suffix, value, shape=(), trainable=False):
            return add_state(
                layer, f"{name}_{suffix}", shape, value, trainable=trainable
            )

        return QuantizerState(
            step_size=variable("step_size", 1.0, step_shape, self.trainable),
            bits=variable("bits", FP),
            calibrated_bits=variable("calibrated_bits", UNCALIBRATED),
            step_scale=variable("step_scale", 1.0, step_shape),
            origin=variable("origin", 0.0),
        )

    def step_shape(self, shape, channel_axes=()):
        """Returns the shape of the step size for a tensor of shape `shape`."""
        if self.granularity == "per_tensor":
            return ()
        rank = len(shape)
        channels = {axis % rank for axis in channel_axes}
        return tuple(
            size if axis in channels else 1 for axis, size in enumerate(shape)
        )

    def __call__(self, x, state: QuantizerState):
        """Returns `x` quantized as `state` says; `x` itself at bits FP."""
        x = tf.convert_to_tensor(x)
        is_float = tf.convert_to_tensor(state.bits) > MAX_BITS
        # One flat choice: TensorFlow cannot differentiate custom gradients
        # inside a conditional in a conditional.
        branch = tf.where(is_float, 0, 1 + self.kernel_index(state))
        branches = [lambda: tf.identity(x)]
        for kernel in self.kernels:
            branches.append(
                lambda kernel=kernel: self.quantize(x, state, kernel)
            )
        return tf.switch_case(branch, branches)

    @property
    def kernels(self) -> tuple:
        """The values of `fused` (see `fake_quantize`) that may be needed."""
        return (self.grid.fused,)

    def kernel_index(self, state):
        """Returns which of `kernels` serves the state, as a scalar tensor."""
        return tf.constant(0)

    def quantize(self, x, state, fused=None):
        """Returns `x` on the grid, computed by the kernel `fused`.

        Bits are not FP.
        """
        raise TypeError(
            f"{type(self).__name__} does not say how it quantizes. Override "
            "`quantize(x, state, fused)`."
        )

    def step_size(self, state):
        """Returns the step size in force.

            step_size * extent(calibrated_bits) / extent(bits) * step_scale

        The clipping range is kept when bits change, and the ratio is exactly
        the paper's perturbation of the step.
        """
        bits = tf.convert_to_tensor(state.bits)
        calibrated_bits = tf.convert_to_tensor(state.calibrated_bits)
        lowest = tf.convert_to_tensor(state.origin)
        kept = self.grid.extent(calibrated_bits, lowest) / self.grid.extent(
            bits, lowest
        )
        step_size = tf.convert_to_tensor(state.step_size)
        return step_size * kept * tf.convert_to_tensor(state.step_scale)

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
            and self.get_config() == other.get_config()
        )

    def __hash__(self):
        return hash((type(self), tuple(sorted(self.get_config().items()))))

    def __repr__(self):
        options = ", ".join(
            f"{name}={value!r}" for name, value in self.get_config().items()
        )
        return f"{type(self).__name__}({options})"
