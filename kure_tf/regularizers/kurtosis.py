"""KURE: the kurtosis regularizer."""

import numbers

import tensorflow as tf

from kure_tf.compat import keras, register_serializable
from kure_tf.ops.checks import check_choice, check_not_negative, check_real
from kure_tf.ops.kurtosis import kurtosis

GRANULARITIES = ("per_tensor", "per_channel")
TRANSFORMS = (None, "tanh")


def _axes(axes):
    listed = axes if isinstance(axes, (tuple, list)) else [axes]
    if not all(isinstance(axis, numbers.Integral) for axis in listed):
        raise ValueError(
            "Expected channel_axes to be whole numbers, such as (-2, -1). "
            f"Received: {axes!r}."
        )
    return tuple(int(axis) for axis in listed)


@register_serializable("kure_tf")
class KurtosisRegularizer(keras.regularizers.Regularizer):
    """Pulls the kurtosis of a weight towards `target`.

        coefficient * (Kurt[W] - K_T)^2        (KURE paper, Eq. 13 and 15)

    With the default target 1.8, the kurtosis of a uniform distribution, the
    weights become uniform-like, and one set of weights stays accurate at many
    bit-widths and step sizes. (A uniform distribution has kurtosis 1.8; the
    reverse does not hold.)

    The paper averages over L layers where Keras sums over them: for the
    paper's term with coefficient lambda, give every layer lambda / L. That is
    what `regularize_kurtosis` does.

    It works on any weight: `kernel_regularizer`, `depthwise_regularizer`,
    `embeddings_regularizer`, `recurrent_regularizer`, and so on.

    Args:
        target: K_T, dimensionless, at least 1, the smallest kurtosis there is.
        coefficient: Factor of the term; lambda / L in Eq. 14. Not negative.
        granularity: "per_tensor", one kurtosis for the whole weight (the
            paper), or "per_channel", the mean of the term over the output
            channels. Folding batch normalization into a kernel scales its
            channels: that leaves the kurtosis per channel as it is and
            changes the one per tensor.
        channel_axes: Axes of the output channels, for "per_channel": -1 for
            most kernels, (-2, -1) for depthwise kernels `[height, width, in,
            multiplier]`, -2 for transposed convolutions.
        min_channel_std: Guard for "per_channel". The gradient grows as
            1 / (n std), so that a channel that is almost dead (standard
            deviation 0.001 beside 0.1, common in pretrained networks) would
            blow up. Channels whose standard deviation is below this fraction
            of the root mean square of all channels' are left out of the mean.
            0 turns the guard off.
        transform: None takes the weight itself. "tanh" takes tanh(W), which
            is what DoReFa quantizes (`DoReFaWeightQuantizer`). The two differ
            where weights exceed 0.3 or so: use "tanh" for a model that will
            be trained and deployed by DoReFa alone, and None for one that any
            other quantizer may meet, since it makes the stored weights
            uniform-like.

    A constant weight has kurtosis 0 here, a finite term and zero gradient.
    float16 and bfloat16 weights are computed in float32; the term is float32
    or wider.

    Raises:
        ValueError: If an argument is outside what is allowed, or, when called,
            if the weight has no such `channel_axes`.
        TypeError: If a number is none, or when called on a tensor that is not
            floating-point.

    Example:
        >>> layer = keras.layers.Dense(
        ...     10, kernel_regularizer=KurtosisRegularizer(1.8)
        ... )
    """

    def __init__(
        self,
        target=1.8,
        coefficient=1.0,
        *,
        granularity="per_tensor",
        channel_axes=(-1,),
        min_channel_std=0.1,
        transform=None,
    ):
        known = "of at least 1 (1.8 is uniform, 3 normal, 6 Laplace)"
        self.target = check_real(
            "a kurtosis target", target, known, lambda k: k >= 1
        )
        self.coefficient = check_not_negative("a coefficient", coefficient)
        self.granularity = check_choice(
            "a granularity", granularity, GRANULARITIES
        )
        self.channel_axes = _axes(channel_axes)
        self.min_channel_std = check_real(
            "min_channel_std",
            min_channel_std,
            "in [0, 1)",
            lambda share: 0 <= share < 1,
        )
        self.transform = check_choice("a transform", transform, TRANSFORMS)
        # A variable while `training.KurtosisRamp` raises the coefficient.
        self.share = None

    def __call__(self, x):
        x = tf.convert_to_tensor(x)
        if self.transform == "tanh":
            x = tf.tanh(x)
        if self.granularity == "per_tensor":
            term = tf.square(kurtosis(x) - self.target)
        else:
            term = self._mean_over_channels(x)
        term = self.coefficient * term
        return term if self.share is None else self.share * term

    def _mean_over_channels(self, x):
        if x.dtype.size < 4:
            x = tf.cast(x, tf.float32)
        axes = self._axes_within_channels(x.shape.rank)
        terms = tf.square(kurtosis(x, axes) - self.target)
        std = tf.math.reduce_std(tf.stop_gradient(x), axes)
        typical = tf.sqrt(tf.reduce_mean(tf.square(std)))
        alive = tf.cast(std >= self.min_channel_std * typical, terms.dtype)
        count = tf.maximum(tf.reduce_sum(alive), 1.0)
        return tf.reduce_sum(alive * terms) / count

    def _axes_within_channels(self, rank):
        if not all(-rank <= axis < rank for axis in self.channel_axes):
            raise ValueError(
                f"Expected channel_axes of a weight with {rank} axes, each in "
                f"{-rank}..{rank - 1}. Received: {self.channel_axes}."
            )
        channel_axes = {axis % rank for axis in self.channel_axes}
        return [axis for axis in range(rank) if axis not in channel_axes]

    def get_config(self):
        return {
            "target": self.target,
            "coefficient": self.coefficient,
            "granularity": self.granularity,
            "channel_axes": list(self.channel_axes),
            "min_channel_std": self.min_channel_std,
            "transform": self.transform,
        }

    def __repr__(self):
        return (
            f"KurtosisRegularizer({self.target:g}, {self.coefficient:g}, "
            f"granularity={self.granularity!r})"
        )
