"""LiteRT's metadata schema "M001", version 1.0.0, as far as it is used.

A table of a flatbuffer is `{number of the field: value}`. Its schema,
metadata_schema.fbs of tflite-support, numbers the fields of each table in
their order, a union taking two: its type and its value.
"""

import flatbuffers

_IMAGE_PROPERTIES = 2  # Of the union ContentProperties.
_NORMALIZATION_OPTIONS = 1  # Of the union ProcessUnitOptions.
_TENSOR_AXIS_LABELS = 2
_COLOR_SPACES = {1: 2, 3: 1}  # Of the channels: grayscale, RGB.


class _Byte(int):
    """An enumeration's value, or the type of a union."""


class _UInt(int):
    """An unsigned number of 32 bits."""


def model_metadata(name, description, inputs, outputs) -> bytes:
    """Returns the metadata of a model of one subgraph.

    Args:
        name: Of the model.
        description: A sentence, or "".
        inputs, outputs: What `input_tensor` and `output_tensor` returned.
    """
    subgraph = {2: inputs, 3: outputs}
    table = {0: name, 1: description, 3: [subgraph], 7: "1.0.0"}
    builder = flatbuffers.Builder(1024)
    builder.Finish(_written(builder, table), b"M001")
    return bytes(builder.Output())


def input_tensor(name, shape, mean, std) -> dict:
    """Returns the table of an input; of an image with its normalization."""
    table = {0: name}
    if len(shape) == 3 and shape[-1] in _COLOR_SPACES:
        size = {0: _UInt(shape[1]), 1: _UInt(shape[0])}
        image = {0: _Byte(_COLOR_SPACES[shape[-1]]), 1: size}
        table[3] = {0: _Byte(_IMAGE_PROPERTIES), 1: image}
    if mean is not None and std is not None:
        options = {0: [*map(float, mean)], 1: [*map(float, std)]}
        table[4] = [{0: _Byte(_NORMALIZATION_OPTIONS), 1: options}]
    return table


def output_tensor(name, labels) -> dict:
    """Returns the table of an output.

    Args:
        name: Of the tensor.
        labels: Name of the file with the labels of its last axis, or None.
    """
    if labels is None:
        return {0: name}
    return {0: name, 6: [{0: labels, 2: _Byte(_TENSOR_AXIS_LABELS)}]}


def _written(builder, value):
    """Writes a text, a list or a table; returns its place."""
    if isinstance(value, str):
        return builder.CreateString(value)
    if isinstance(value, list):
        return _vector(builder, value)
    places = {
        field: _written(builder, one)
        for field, one in value.items()
        if not isinstance(one, int)
    }
    builder.StartObject(1 + max(value))
    for field, one in value.items():
        if isinstance(one, _Byte):
            builder.PrependInt8Slot(field, one, 0)
        elif isinstance(one, _UInt):
            builder.PrependUint32Slot(field, one, 0)
        else:
            builder.PrependUOffsetTRelativeSlot(field, places[field], 0)
    return builder.EndObject()


def _vector(builder, values):
    numbers = bool(values) and isinstance(values[0], float)
    places = values if numbers else [_written(builder, one) for one in values]
    builder.StartVector(4, len(places), 4)
    for one in reversed(places):
        if numbers:
            builder.PrependFloat32(one)
        else:
            builder.PrependUOffsetTRelative(one)
    return builder.EndVector()
