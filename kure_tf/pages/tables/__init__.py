"""Tables of measurements, as values."""

from kure_tf.pages.dimensions import RATIOS, STEPS
from kure_tf.pages.tables.accuracy import accuracy_tables
from kure_tf.pages.tables.choices import choice_tables
from kure_tf.pages.tables.devices import device_table
from kure_tf.pages.tables.draws import calibration_table
from kure_tf.pages.tables.layers import layer_tables
from kure_tf.pages.tables.margins import margin_tables
from kure_tf.pages.tables.models import tflite_table
from kure_tf.pages.tables.ratios import ratio_tables
from kure_tf.pages.tables.table import Table


def tables_of(series) -> dict[str, list[Table]]:
    """Returns `{heading: tables}` of all measurements, without empty ones."""
    if not series:
        return {}
    words = series[0].metric.heading
    others = [ratio for ratio in RATIOS if ratio != STEPS]
    sections = {
        f"{words} against bits": accuracy_tables(series),
        f"{words} against step ratio": ratio_tables(series, STEPS),
        "Margins": margin_tables(series),
        "Devices": [device_table(series)],
        "Other robustness sweeps": [
            *(table for r in others for table in ratio_tables(series, r)),
            *choice_tables(series),
            *layer_tables(series),
            calibration_table(series),
        ],
        "LiteRT files": [tflite_table(series)],
    }
    return {
        heading: found
        for heading, tables in sections.items()
        if (found := [table for table in tables if table is not None])
    }
