"""Writes outcomes as JSON, Markdown and pages."""

import dataclasses
import json
import pathlib

from kure_tf.files import jsonable
from kure_tf.paper.experiments.page import index_page, outcome_page

FORMAT = "kure_tf reproduction"
SCHEMA_VERSION = 2


def save(outcome, folder) -> pathlib.Path:
    """Writes NAME.json, NAME.md and NAME.html of an `Outcome`: `Page.save`."""
    name = outcome.experiment.name
    return outcome_page(outcome).save(folder, name, {"json": to_json(outcome)})


def save_index(outcomes, folder) -> pathlib.Path:
    """Writes index.md and index.html of `Outcome`s saved there: `Page.save`."""
    return index_page(outcomes).save(folder, "index")


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
        "panels": [_panel(one) for one in outcome.panels],
    }
    return json.dumps(jsonable(document), indent=1, allow_nan=False) + "\n"


def _panel(one):
    found = dataclasses.asdict(one)
    return {
        "title": one.panel.title,
        "unit": one.panel.unit,
        "about": one.panel.about,
        "measured_on": one.details,
        "published": found["published"],
        "measured": found["measured"],
        "claims": found["verdicts"],
    }
