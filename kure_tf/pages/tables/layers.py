"""Tables of single layers: their values, and what each of them costs."""

from kure_tf.pages.layers import (
    drops,
    layer_profiles,
    profile_label,
    worst_first,
)
from kure_tf.pages.place import methods_in
from kure_tf.pages.series import estimates_at
from kure_tf.pages.tables.estimates import (
    NOT_MEASURED,
    error_caption,
    estimate_cell,
)
from kure_tf.pages.tables.table import Cell, Table


def layer_tables(series) -> list[Table]:
    """Returns a table for each profile, the worst layer first."""
    profiles = layer_profiles(series)
    methods = methods_in(profiles)
    return [
        _layer_table(series, profile, layers, profile_label(profile, methods))
        for profile, layers in profiles.items()
    ]


def _layer_table(series, profile, layers, label):
    shown = {
        one: drops(one, profile, layers)
        for one in series
        if one.rows_at(layers.values())
    }
    metric = series[0].metric
    columns = [f"{w}\n{s.name}" for s in shown for w in (metric.words, "drop")]
    return Table(
        title=f"Sensitivity of layers: {label}",
        header=("Layer", *columns),
        rows=tuple(
            (Cell(layer), *_cells(shown, layer, layers[layer]))
            for layer in worst_first(shown.values(), layers)
        ),
        caption=f"{_caption(profile, metric)}; worst layer first. "
        f"{error_caption(estimates_at(series, layers.values()))}",
    )


def _cells(shown, layer, place):
    for one, lost in shown.items():
        yield estimate_cell(one.estimates.get(place))
        if layer in lost:
            yield Cell(one.metric.difference(lost[layer][0]))
        else:
            yield NOT_MEASURED


def _caption(profile, metric):
    if profile.others is None:
        where = "alone at {point}, all others in float"
        reference = "the float model's"
    else:
        where = "at {point}, all others at {others}"
        reference = "that of all layers at {others}"
    text = f"One layer {where}. Drop: {metric.lost} against {reference}"
    text = text.format(point=profile.point, others=profile.others)
    return f"{text}{metric.in_points}"
