"""Where a layer keeps one kernel."""

import dataclasses
import functools


@dataclasses.dataclass(frozen=True)
class Kernel:
    """Where a layer keeps one kernel.

    A layer of your own says what it has in a method `kure_tf_kernels()`, which
    returns these. KURE and quantizers then treat it as they treat Keras' own
    layers.

    Attributes:
        attribute: Name of the attribute that holds the variable.
        regularizer: Name of the constructor argument that regularizes it;
            None if there is none: KURE then leaves the layer out.
        channel_axes: Axes of the output channels, counted from the end:
            `(-1,)`, or `(-2, -1)` for depthwise kernels `[..., in,
            multiplier]`.
        owner: Attributes (or indices of a list) that lead from the layer to
            the layer inside it which has the kernel; () for its own kernels.
        config: Entries that lead through the layer's `get_config()` to the
            arguments of that one; () where the layer itself takes them.
        prefix: Starts the kernel's name where several layers inside have one.

    Example:
        >>> class Scaled(keras.layers.Layer):
        ...     def build(self, input_shape):
        ...         self.table = self.add_weight(shape=(input_shape[-1], 4))
        ...     def call(self, inputs):
        ...         return inputs @ self.table
        ...     def kure_tf_kernels(self):
        ...         return (Kernel("table", None),)
    """

    attribute: str
    regularizer: str | None
    channel_axes: tuple[int, ...] = (-1,)
    owner: tuple[str | int, ...] = ()
    config: tuple[str | int, ...] = ()
    prefix: str = ""

    @property
    def name(self) -> str:
        """Returns what the kernel is called in the paths of tensors."""
        return self.prefix + self.attribute

    def owner_in(self, layer):
        """Returns the layer that has the variable: `layer`, or one inside."""
        return functools.reduce(part_of, self.owner, layer)

    def variable_in(self, layer):
        """Returns the kernel's variable in a built layer."""
        return getattr(self.owner_in(layer), self.attribute)

    def regularizer_in(self, layer):
        """Returns the regularizer that the kernel has, or None."""
        return getattr(self.owner_in(layer), self.regularizer)

    def inside(self, owner, config=(), prefix=""):
        """Returns the same kernel as seen from a layer around its own.

        Args:
            owner: The attributes that lead to the layer which has it.
            config: The entries of the outer layer's configuration likewise.
            prefix: Put in front of the kernel's name.
        """
        return dataclasses.replace(
            self,
            owner=(*owner, *self.owner),
            config=(*config, *self.config),
            prefix=prefix + self.prefix,
        )


def part_of(layer, key):
    """Returns what a layer has as an attribute, or a list at an index."""
    return layer[key] if isinstance(key, int) else getattr(layer, key)


def channel_shape(shape, axes) -> tuple[int, ...]:
    """Returns a shape with 1 for every axis but some, those of channels.

    What has one value for each channel broadcasts in it against `shape`.
    """
    kept = {axis % len(shape) for axis in axes}
    return tuple(size if i in kept else 1 for i, size in enumerate(shape))
