"""What came of an experiment: our numbers, the paper's, and the verdicts."""

import collections
import dataclasses
import json
import pathlib

from kure_tf.measurements.report import Report
from kure_tf.paper.experiments.claims import (
    AGREES,
    DIFFERS,
    NOT_MEASURED,
    TOO_CLOSE,
    Verdict,
)
from kure_tf.paper.experiments.experiments import Experiment
from kure_tf.paper.experiments.part import Part
from kure_tf.paper.experiments.values import Value, accuracy


@dataclasses.dataclass(frozen=True)
class PartOutcome:
    """One part with what was measured.

    Attributes:
        part: The `Part`.
        published: `{run: {place: Value}}` of the paper.
        measured: Likewise of ours.
        verdicts: One for each claim.
        details: What the measurements say of themselves: images, split.
    """

    part: Part
    published: dict
    measured: dict
    verdicts: tuple[Verdict, ...]
    details: str = ""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """One experiment at one scale.

    Attributes:
        experiment: The `Experiment`.
        scale: One of `SCALES`.
        parts: A `PartOutcome` for each part.
        steps: One dictionary for each measurement: "step", "flagfiles",
            "seconds" and "processor_seconds" (None where not known).
    """

    experiment: Experiment
    scale: str
    parts: tuple[PartOutcome, ...]
    steps: tuple[dict, ...] = ()

    @property
    def seconds(self) -> float:
        """Processor time of all steps, as far as it is known."""
        return sum(step["processor_seconds"] or 0.0 for step in self.steps)

    @property
    def sentence(self) -> str:
        """Whether the shape agrees, in one sentence."""
        verdicts = [v.verdict for part in self.parts for v in part.verdicts]
        counts = collections.Counter(verdicts)
        if counts[NOT_MEASURED] == len(verdicts):
            return "Nothing was measured."
        if counts[AGREES] == len(verdicts):
            shape = "The shape agrees with the paper's"
        elif counts[DIFFERS]:
            shape = (
                "The shape agrees in part"
                if counts[AGREES]
                else ("The shape does not agree with the paper's")
            )
        else:
            shape = "The shape does not contradict the paper's"
        listed = ", ".join(
            f"{counts[v]} {_verb(v, counts[v])}"
            for v in (AGREES, DIFFERS, TOO_CLOSE, NOT_MEASURED)
            if counts[v]
        )
        return f"{shape}: of {len(verdicts)} claims {listed}."


def _verb(verdict, count):
    """Returns "agree" for several that agree."""
    several = count > 1 and verdict in (AGREES, DIFFERS)
    return verdict.removesuffix("s") if several else verdict


def collect(experiment, scale, folder, steps=()) -> Outcome:
    """Returns the outcome of an experiment whose steps are done.

    Args:
        experiment: An `Experiment`.
        scale: One of `SCALES`.
        folder: Holds `<model>/<sweep>/report.json`, `<model>/weights.json`
            and `theory/theory.json`.
        steps: See `Outcome`.

    Raises:
        FileNotFoundError, ValueError: If a measurement is missing or broken.
    """
    folder = pathlib.Path(folder)
    parts = []
    for part in experiment.parts:
        published, measured, details = _sides(part, folder)
        verdicts = tuple(c.check(published, measured) for c in part.claims)
        parts.append(PartOutcome(part, published, measured, verdicts, details))
    return Outcome(experiment, scale, tuple(parts), tuple(steps))


def _sides(part, folder):
    if part.sweep == "theory":
        published, measured = _theory(part, folder)
        return published, measured, "the grid of Eq. 1"
    if part.sweep == "weights":
        return part.published, *_weights(part, folder)
    return part.published, *_accuracies(part, folder)


def _accuracies(part, folder):
    measured, facts = {}, set()
    for run, models in part.runs.items():
        found = {}
        for model in models:
            report = Report.load(folder / model / part.sweep)
            for place, row in _rows(report.runs[0], part.place).items():
                found.setdefault(place, []).append(row.value)
                facts.add((row.examples, row.split))
                images = row.examples
        measured[run] = {p: accuracy(a, images) for p, a in found.items()}
    details = ", ".join(f"{n:,} {split} images" for n, split in sorted(facts))
    return measured, details


def _rows(run, place_of):
    """Returns `{place: row}` of the last PTQ method, batch norm as trained."""
    last = run.provenance.get("ptq", [None])[-1]
    found = {}
    for row in run.rows:
        other = row.ptq not in (None, last)
        if row.sweep == "reference_parity":
            other = False
        place = place_of(row)
        if place is not None and not other and not row.reestimated_batch_norm:
            found[place] = row
    return found


def _weights(part, folder):
    """Returns the kurtosis of a kernel, or its sensitivity by step ratio."""
    measured, layer = {}, ""
    for run, (model,) in part.runs.items():
        found = json.loads((folder / model / "weights.json").read_text())
        layer = found["layer"]
        value = found[part.place]
        if not isinstance(value, dict):
            value = {part.place: value}
        measured[run] = {place: Value(v) for place, v in value.items()}
    return measured, f"kernel {layer}"


def _theory(part, folder):
    found = json.loads((folder / "theory" / "theory.json").read_text())
    if part.place == "cost":
        return {}, _costs(found)
    published, measured = {}, {}
    for row in found["rows"]:
        if row["distribution"] in part.runs:
            place = f"M={row['bits']}"
            for side, name in (
                (measured, part.place),
                (published, f"paper_{part.place}"),
            ):
                run = side.setdefault(row["distribution"], {})
                if row[name] is not None:
                    run[place] = Value(row[name])
    return published, measured


def _costs(found, ratio=1.5):
    measured = {"uniform": {}, "normal": {}}
    for one in found["theorem_4"]:
        if one["rival"] == "normal":
            at = one["ratios"].index(ratio)
            place = f"M={one['bits']}"
            measured["uniform"][place] = Value(one["uniform_costs"][at])
            measured["normal"][place] = Value(one["rival_costs"][at])
    return measured
