"""Writes a study as page, JSON, CSV and Markdown."""

import csv
import dataclasses
import io
import json
import pathlib

from kure_tf.files import jsonable
from kure_tf.paper.theory_page.page import study_page

FORMAT = "kure_tf theory"
SCHEMA_VERSION = 1
_EXACT = (
    *("step_size", "clipping_range", "mean_squared_error"),
    *("signal_to_noise", "curvature", "sensitivity"),
)
_PAPER = ("step_size", "mean_squared_error", "curvature", "sensitivity")
_COMPARED = (
    *("mse_ratio", "curvature_ratio", "ratios", "uniform_costs"),
    *("rival_costs", "equal_cost_ratio", "equal_mse_ratio"),
)
COLUMNS = (
    *("distribution", "grid", "bits"),
    *_EXACT,
    *(f"paper_{name}" for name in _PAPER),
)


def save(study, folder) -> pathlib.Path:
    """Writes theory.json, .csv, .md and .html of a `Study`: `Page.save`."""
    more = {"json": to_json(study), "csv": to_csv(study)}
    return study_page(study).save(folder, "theory", more)


def to_csv(study) -> str:
    """Returns the rows as CSV; what the paper does not have is empty."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_line(row) for row in study.rows)
    return stream.getvalue()


def to_json(study) -> str:
    """Returns rows, Theorem 4 and the curves of Figure 1 as JSON.

    Curves are lists of equal length; null is where a formula does not hold.
    """
    document = {
        "format": FORMAT,
        "schema_version": SCHEMA_VERSION,
        "grid": study.grid,
        "figure_bits": study.figure_bits,
        "simulated_values": study.values,
        "seed": study.seed,
        "rows": [_line(row) for row in study.rows],
        "theorem_4": [
            _comparison(rival, one)
            for rival, found in study.comparisons.items()
            for one in found
        ],
        "curves": {
            one.best.distribution.name: {
                field.name: getattr(one, field.name)
                for field in dataclasses.fields(one)
                if field.name != "best"
            }
            for one in study.curves
        },
    }
    return json.dumps(jsonable(document), allow_nan=False) + "\n"


def _line(row):
    best = row.exact
    return {
        "distribution": best.distribution.name,
        "grid": best.grid,
        "bits": best.bits,
        **{name: getattr(best, name) for name in _EXACT},
        **{
            f"paper_{name}": row.paper and getattr(row.paper, name)
            for name in _PAPER
        },
    }


def _comparison(rival, found):
    return {
        "rival": rival,
        "bits": found.uniform.bits,
        **{name: getattr(found, name) for name in _COMPARED},
    }
