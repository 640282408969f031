"""One file from which a device makes the files of all bit-widths.

A .kure file is the .tflite file of 8-bit weights and, behind it, an archive,
as LiteRT's metadata have it. `kure_materialize` makes of it the file of any
point, equal to the last bit to the one that `write` makes.
"""

import dataclasses

from kure_tf.artifact.nested_points import nested_points
from kure_tf.artifact.packer import Packer
from kure_tf.export.exact import exact_content
from kure_tf.export.file_metadata import FileMetadata
from kure_tf.fake_quantized import apply, keeping
from kure_tf.integer_graph import to_integer_graph, with_container


def pack(
    model,
    settings,
    calibration,
    *,
    containers=(8, 4),
    metadata=None,
    float_ports=False,
    file_batch_size=None,
    allow_float=False,
) -> bytes:
    """Returns an artifact: the bytes of one .kure file for several points.

    The first part of it is the file of 8-bit weights, as it is, so that the
    artifact also runs. Of every other file only that is stored which reading
    the 8-bit codes at fewer bits does not foretell: biases, scales of kernels
    and ranges, and whatever else differs.

    Args:
        model: A model with quantizers. It is left as it was.
        settings: `Setting`s that read one code for each weight, as
            `ptq.nested_settings` returns them, one of them of 8 bits; in any
            order.
        calibration: Images, as for `to_integer_graph`.
        containers: Bits that files give each code where they fit: 8, and 4 if
            it is wanted (see `with_container`).
        metadata: `FileMetadata` of all files; each adds its "point" to the
            note.
        float_ports, file_batch_size, allow_float: As for `export_exact`.

    Raises:
        TypeError, ValueError: As `nested_points`, `apply`, `to_integer_graph`,
            `with_container` and `write`; if 8 is not among the containers.
    """
    if 8 not in containers or len({*containers}) < len(containers):
        raise ValueError(
            "Expected containers of which one has 8 bits, each once, such as "
            f"(8, 4). Received: {containers!r}."
        )
    nested = nested_points(model, settings)
    graphs = [
        graph_at(model, setting, calibration, allow_float=allow_float)
        for setting in nested.settings
    ]
    packer = Packer(nested, graphs)
    for point, setting, graph in zip(
        nested.points, nested.settings, graphs, strict=True
    ):
        for file in files_at(
            setting,
            graph,
            containers=containers,
            metadata=metadata,
            float_ports=float_ports,
            file_batch_size=file_batch_size,
        ):
            packer.add(point, *file)
    return packer.content(metadata or FileMetadata())


def graph_at(model, setting, calibration, *, allow_float=False):
    """Returns the `IntegerGraph` of a model at a setting; the model stays."""
    with keeping(model):
        apply(model, setting)
        return to_integer_graph(model, calibration, allow_float=allow_float)


def files_at(
    setting,
    graph,
    *,
    containers=(8, 4),
    metadata=None,
    float_ports=False,
    file_batch_size=None,
):
    """Yields container, graph and bytes of each file of a setting.

    Args:
        setting: The `Setting`.
        graph: Its `IntegerGraph`.
        containers, metadata, float_ports, file_batch_size: As for `pack`.
    """
    metadata = metadata or FileMetadata()
    note = {**metadata.note, "point": str(setting.point)}
    metadata = dataclasses.replace(metadata, note=note)
    for container in sorted(containers, reverse=True):
        stored = with_container(graph, container)
        content = exact_content(
            stored,
            metadata,
            float_ports=float_ports,
            batch_size=file_batch_size,
        )
        yield container, stored, content
