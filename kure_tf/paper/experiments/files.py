"""Writes outcomes as JSON, Markdown and pages."""

import json
import pathlib

from kure_tf.files import jsonable, write_atomically
from kure_tf.paper.experiments import page
from kure_tf.paper.experiments.text import index_markdown, to_markdown

FORMAT = "kure_tf reproduction"
SCHEMA_VERSION = 2


def save(outcome, folder) -> pathlib.Path:
    """Writes NAME.json, NAME.md and NAME.html of an experiment.

    Each file is replaced atomically, and none before all three are made.

    Args:
        outcome: An `Outcome`.
        folder: Where to; created if missing.

    Returns:
        The path of the page.

    Raises:
        ImportError: If matplotlib is not installed.
        OSError: If a file cannot be written; the message names it.
    """
    name = outcome.experiment.name
    files = {
        f"{name}.json": to_json(outcome),
        f"{name}.md": to_markdown(outcome),
        f"{name}.html": page.render(outcome),
    }
    for file, text in files.items():
        write_atomically(pathlib.Path(folder) / file, text)
    return pathlib.Path(folder) / f"{name}.html"


def save_index(outcomes, folder) -> pathlib.Path:
    """Writes index.md and index.html, one line for each experiment.

    Args:
        outcomes: `Outcome`s, saved in the same folder.
        folder: Where to.

    Returns:
        The path of the page.
    """
    folder = pathlib.Path(folder)
    files = {
        "index.md": index_markdown(outcomes),
        "index.html": page.render_index(outcomes),
    }
    for file, text in files.items():
        write_atomically(folder / file, text)
    return folder / "index.html"


def to_json(outcome) -> str:
    """Returns both sides, the verdicts and the steps as JSON."""
    document = {
        "format": FORMAT,
        "schema_version": SCHEMA_VERSION,
        "experiment": outcome.experiment.name,
        "title": outcome.experiment.title,
        "scale": outcome.scale,
        "sentence": outcome.sentence,
        "steps": list(outcome.steps),
        "panels": [
            {
                "title": one.panel.title,
                "unit": one.panel.unit,
                "about": one.panel.about,
                "measured_on": one.details,
                "published": _side(one.published),
                "measured": _side(one.measured),
                "claims": [
                    {"text": v.text, "verdict": v.verdict} for v in one.verdicts
                ],
            }
            for one in outcome.panels
        ],
    }
    return json.dumps(jsonable(document), indent=1, allow_nan=False) + "\n"


def _side(side):
    return {
        name: {
            column: {
                "mean": value.mean,
                "standard_error": value.error,
                "standard_deviation": value.deviation,
            }
            for column, value in values.items()
        }
        for name, values in side.items()
    }
