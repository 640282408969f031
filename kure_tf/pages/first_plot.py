"""The one plot of a report's first screen: of the method of its figures."""

from kure_tf.pages.elements import Part
from kure_tf.pages.plots.accuracy import (
    accuracy_groups,
    accuracy_panel,
    group_title,
)
from kure_tf.pages.plots.panel import Look


def first_places(series, method) -> list:
    """Returns the places of the plot: weights only where measured."""
    groups = accuracy_groups(series).values()
    found = ([p for p in places if p.method == method] for places in groups)
    return next(filter(None, found), [])


def first_plot(series, places) -> list[Part]:
    """Returns legend and panel of values against bits at `first_places`."""
    if not places:
        return []
    groups = accuracy_groups(series)
    key = next(k for k, found in groups.items() if places[0] in found)
    title = f"{group_title(key, groups)}, {places[0].method.steps}"
    look = Look.of(places)
    panel = accuracy_panel(series, places, look, "first", title)
    keys = look.keys(one.name for one in series)
    return [Part("panels", [panel]), Part("legend", keys)]
