"""Writes outcomes as JSON, Markdown and pages."""

import dataclasses
import json
import pathlib

from kure_tf.files import jsonable
from kure_tf.paper.experiments.experiments import get
from kure_tf.paper.experiments.outcome import Outcome, judged
from kure_tf.paper.experiments.page import index_page, outcome_page
from kure_tf.paper.experiments.values import Value

FORMAT = "kure_tf reproduction"
SCHEMA_VERSION = 2


def save(outcome, folder) -> pathlib.Path:
    """Writes NAME.json, NAME.md and NAME.html of an `Outcome`: `Page.save`."""
    name = outcome.experiment.name
    return outcome_page(outcome).save(folder, name, {"json": to_json(outcome)})


def save_index(outcomes, folder) -> pathlib.Path:
    """Writes index.md and index.html of `Outcome`s saved there: `Page.save`."""
    return index_page(outcomes).save(folder, "index")


def load(path) -> Outcome:
    """Reads an `Outcome` back from its NAME.json; claims are judged again.

    Raises:
        ValueError: If it is no reproduction, or one of another schema.
    """
    document = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    known = (document.get("format"), document.get("schema_version"))
    if known != (FORMAT, SCHEMA_VERSION):
        raise ValueError(
            f"Expected a {FORMAT} of schema {SCHEMA_VERSION}. Received: {path}."
        )
    experiment = get(document["experiment"], document["scale"])
    pairs = zip(experiment.panels, document["panels"], strict=True)
    panels = tuple(
        judged(
            panel,
            _side(kept["published"]),
            _side(kept["measured"]),
            kept["measured_on"],
        )
        for panel, kept in pairs
    )
    steps = tuple(document["steps"])
    return Outcome(experiment, document["scale"], panels, steps)


def _side(kept):
    return {
        name: {column: Value(**value) for column, value in values.items()}
        for name, values in kept.items()
    }


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
