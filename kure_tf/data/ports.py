"""What goes into a model and comes out of it: names, shapes and dtypes."""

import dataclasses

import tensorflow as tf

from kure_tf import compat


@dataclasses.dataclass(frozen=True)
class Port:
    """One input or output of a model or of a file.

    Attributes:
        name: What a dictionary of inputs calls it.
        shape: Its shape, the axis of the examples first; None where any size
            will do.
        dtype: Name of the dtype of its values, such as "float32".
    """

    name: str
    shape: tuple
    dtype: str

    @property
    def signature(self) -> tf.TensorSpec:
        """What a compiled function takes: any number of examples."""
        return tf.TensorSpec((None, *self.shape[1:]), self.dtype)


def input_ports(model):
    """Returns the `Port`s that a model takes, in the structure it takes them.

    Args:
        model: A built functional or sequential model, or whatever else says
            so by an attribute `input_ports`.
    """
    known = getattr(model, "input_ports", None)
    if known is not None:
        return known
    inputs = compat.functional_inputs(model)
    if isinstance(inputs, dict):
        return {name: _port(name, inputs[name]) for name in inputs}
    return tf.nest.map_structure(lambda one: _port(one.name, one), inputs)


def output_ports(model) -> tuple:
    """Returns the `Port`s of a model's outputs, in their order."""
    names = compat.output_names(model)
    return tuple(map(_port, names, tf.nest.flatten(model.outputs)))


def input_signature(model):
    """Returns the `tf.TensorSpec`s of a model's inputs, as it takes them."""
    return tf.nest.map_structure(lambda p: p.signature, input_ports(model))


def in_order(inputs, ports) -> list:
    """Returns inputs in the order of the flat list of ports.

    Args:
        inputs: One array for one port; a list or tuple in their order; or a
            dictionary by their names, which may hold others too.
        ports: Structure of `Port`.

    Raises:
        ValueError: If they are not as many, or not called so.
    """
    ports = tf.nest.flatten(ports)
    names = [port.name for port in ports]
    if isinstance(inputs, dict):
        if not set(names) <= set(inputs):
            raise ValueError(
                f"Expected inputs called {names}. Received a dictionary of "
                f"{sorted(map(str, inputs))}. Map it first: dataset.map("
                "lambda d: (d['image'], d['label']))."
            )
        return [inputs[name] for name in names]
    if not isinstance(inputs, (list, tuple)):
        inputs = [inputs]
    if len(inputs) != len(ports):
        raise ValueError(
            f"Expected {len(ports)} inputs, called {names}: a tuple in that "
            "order, or a dictionary by these names; labels follow them, as in "
            f"((a, b), labels). Received {len(inputs)}."
        )
    return list(inputs)


def of_several(shapes) -> bool:
    """Whether an example's shape is that of several inputs, in a structure."""
    return isinstance(shapes, dict) or any(
        isinstance(one, tuple) for one in shapes
    )


def check_shapes(shapes, ports, what):
    """Raises a ValueError unless inputs have the shapes that a model takes.

    Args:
        shapes: Shape of one example; of several inputs a dictionary or tuple of
            shapes.
        ports: Structure of `Port`: what the model takes.
        what: What errors call the inputs.
    """
    given = in_order(shapes if of_several(shapes) else [shapes], ports)
    for shape, port in zip(given, tf.nest.flatten(ports), strict=True):
        expects = port.shape[1:]
        if len(expects) != len(shape) or any(
            side not in (None, size)
            for side, size in zip(expects, shape, strict=True)
        ):
            raise ValueError(
                f"Expected inputs of the shape {list(expects)}, the model's "
                f"own input {port.name!r}. {what} has {list(shape)}."
            )


def arranged(inputs, ports):
    """Returns inputs in the structure that a model takes them in.

    Args:
        inputs, ports: As for `in_order`.

    Returns:
        A tuple in place of a list, which a `tf.data.Dataset` would make one
        tensor of.
    """
    found = tf.nest.pack_sequence_as(ports, in_order(inputs, ports))
    return tuple(found) if isinstance(found, list) else found


def _port(name, tensor):
    return Port(name, tuple(tensor.shape), tf.as_dtype(tensor.dtype).name)
