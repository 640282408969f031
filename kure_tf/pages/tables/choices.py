"""Tables whose columns are the values of one field of the operating point."""

import dataclasses

from kure_tf.pages.dimensions import CHOICES
from kure_tf.pages.place import methods_in
from kure_tf.pages.series import estimates_at, places_of
from kure_tf.pages.tables.draws import draws_cell
from kure_tf.pages.tables.estimates import error_caption, estimate_cell
from kure_tf.pages.tables.table import Cell, Table
from kure_tf.settings.operating_point import OperatingPoint


def choice_tables(series) -> list[Table]:
    """Returns one table for each of `CHOICES` that was measured.

    Rows are runs, in blocks of what else was set; columns are the values of
    the field, first that of points which do not name it.
    """
    return [
        _choice_table(series, field, blocks)
        for field in CHOICES
        if (blocks := _blocks(series, field))
    ]


def _blocks(series, field):
    """Returns `{place with the default value: places with other ones}`."""
    default = {field: getattr(OperatingPoint(), field)}
    blocks = {}
    for place in places_of(series, field):
        point = dataclasses.replace(place.point, **default)
        base = dataclasses.replace(place, point=point)
        blocks.setdefault(base, []).append(place)
    return blocks


def _choice_table(series, field, blocks):
    places = [place for others in blocks.values() for place in others]
    bases = [b for b in blocks if any(b in one.estimates for one in series)]
    columns = dict.fromkeys(_value(p, field) for p in [*bases, *places])
    title, caption = CHOICES[field]
    return Table(
        title=title,
        header=("Step sizes", "Run", *columns),
        rows=tuple(_rows(series, field, blocks, columns)),
        caption=f"{caption} {error_caption(estimates_at(series, places))}",
        labels=2,
    )


def _rows(series, field, blocks, columns):
    methods = methods_in(blocks)
    for base, others in blocks.items():
        label = base.label(methods)
        places = {}
        for place in (base, *others):
            places.setdefault(_value(place, field), []).append(place)
        for one in series:
            if one.rows_at(others):
                cells = (_cell(one, places.get(c, []), field) for c in columns)
                yield Cell(label), Cell(one.name), *cells


def _cell(one, places, field):
    if any(":" in str(getattr(place.point, field)) for place in places):
        return draws_cell(one, places)
    return estimate_cell(one.estimates.get(places[0]) if places else None)


def _value(place, field):
    """Returns the field's value in words, without the seed of a draw."""
    value = str(getattr(place.point, field))
    return value.partition(":")[0].replace("_", " ")
