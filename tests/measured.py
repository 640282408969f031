"""Rows of accuracies at operating points that are given as text."""

from kure_tf.measurements import Row
from kure_tf.settings.operating_point import OperatingPoint


def row(point, accuracy, **more):
    """Returns a `Row` of 10,000 examples, by the method minmax but in float."""
    point = OperatingPoint.parse(point)
    values = {
        "run": "KURE",
        "ptq": None if point == OperatingPoint() else "minmax",
        "examples": 10_000,
        **more,
    }
    if isinstance(values.get("others"), str):
        values["others"] = OperatingPoint.parse(values["others"])
    return Row(point=point, value=accuracy, **values)
