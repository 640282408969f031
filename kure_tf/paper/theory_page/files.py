"""Writes a study as page, JSON, CSV and Markdown."""

import csv
import dataclasses
import io
import json
import pathlib

from kure_tf.files import jsonable, write_atomically
from kure_tf.paper.theory_page import page, tables

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
    """Writes theory.json, theory.csv, theory.md and theory.html.

    Each file is replaced atomically, and none before all four are made.

    Args:
        study: A `Study`.
        folder: Where to; created if missing.

    Returns:
        The path of the page, theory.html.

    Raises:
        ImportError: If matplotlib is not installed.
        OSError: If a file cannot be written; the message names it.
    """
    files = {
        "theory.json": to_json(study),
        "theory.csv": to_csv(study),
        "theory.md": to_markdown(study),
        "theory.html": page.render(study),
    }
    for name, text in files.items():
        write_atomically(pathlib.Path(folder) / name, text)
    return pathlib.Path(folder) / "theory.html"


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


def to_markdown(study) -> str:
    """Returns summary and tables in Markdown, to be read in a terminal too."""
    shown = [
        tables.optimum_table(study),
        *(tables.theorem_table(study, rival) for rival in study.comparisons),
    ]
    parts = [f"# {page.TITLE}", page.summarize(study)]
    for table in shown:
        parts += [f"## {table.title}", table.to_markdown(), table.caption]
    parts += [f"## {tables.correction_table().title}", _corrections()]
    return "\n\n".join(parts) + "\n"


def _corrections():
    return "\n".join(
        "* {where}. Printed: {printed}. What holds: {holds}.".format(**one)
        for one in tables.corrections()
    )


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
