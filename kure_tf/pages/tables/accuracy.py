"""Tables of values against bits."""

from kure_tf.pages import labels
from kure_tf.pages.place import methods_in
from kure_tf.pages.series import bits_order, estimates_at, places_of
from kure_tf.pages.tables.estimates import (
    error_caption,
    estimate_cell,
    seeds_caption,
)
from kure_tf.pages.tables.table import Cell, Table


def accuracy_tables(series) -> list[Table]:
    """Returns values against bits: weights only, then weights/activations.

    Rows are runs, in blocks of one PTQ method each; columns are points.
    """
    weights, both = [], []
    for place in places_of(series):
        if place.point.activation_bits is not None:
            both.append(place)
        elif place.point.weight_bits is not None:
            weights.append(place)
    tables = [
        _accuracy_table(title, places, series)
        for title, places in (
            ("Weights only", weights),
            ("Weights and activations", both),
        )
        if places
    ]
    return tables or _float_table(series)


def _accuracy_table(title, places, series):
    columns = sorted({place.bits for place in places}, key=bits_order)
    methods = methods_in(places)
    rows = []
    for (method, rest), block in _blocks(places).items():
        label = ", ".join(filter(None, (method.label(methods), rest)))
        lines = {}
        for one in series:
            found = [one.estimates.get(block.get(bits)) for bits in columns]
            if any(found):
                lines[one.name] = [one.float_estimate(method), *found]
        for name, cells in _compared(lines):
            rows.append((Cell(label), Cell(name), *cells))
    return Table(
        title=title,
        header=("Step sizes", "Run", "FP", *map(labels.bits, columns)),
        rows=tuple(rows),
        caption=_caption(series, places) + _point_caption(columns),
        labels=2,
    )


def _compared(lines):
    """Yields (name, cells); each cell is held against those of other runs."""
    for name, line in lines.items():
        rivals = [other for other in lines.values() if other is not line]
        yield (
            name,
            [
                estimate_cell(estimate, [rival[i] for rival in rivals])
                for i, estimate in enumerate(line)
            ],
        )


def _caption(series, places):
    in_float = [p for p in places_of(series) if p.point.in_float]
    shown = estimates_at(series, [*in_float, *places])
    return error_caption(shown) + seeds_caption(shown)


def _blocks(places):
    """Returns `{(method, what its points say beside bits): {bits: place}}`."""
    blocks = {}
    for place in places:
        block = blocks.setdefault((place.method, labels.rest(place.point)), {})
        block[place.bits] = place
    return blocks


def _point_caption(columns):
    weights = [p.weight_bits for p in columns if p.activation_bits is None]
    if not weights:
        return ""
    bits = weights[0]
    return (
        f" W{bits} is the operating point {bits}/FP: {bits}-bit weights, "
        "activations in float."
    )


def _float_table(series):
    found = {one.name: one.float_estimate() for one in series}
    found = {name: estimate for name, estimate in found.items() if estimate}
    if not found:
        return []
    return [
        Table(
            title="In float",
            header=("Run", "FP"),
            rows=tuple((Cell(n), estimate_cell(e)) for n, e in found.items()),
            caption=_caption(series, []),
        )
    ]
