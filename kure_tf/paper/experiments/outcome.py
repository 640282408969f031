"""What came of an experiment: our numbers, the paper's, and the verdicts."""

import collections
import dataclasses

from kure_tf.paper.experiments.claims import (
    AGREES,
    DIFFERS,
    NOT_MEASURED,
    TOO_CLOSE,
    Verdict,
)
from kure_tf.paper.experiments.experiments import Experiment
from kure_tf.paper.experiments.measured import sides
from kure_tf.paper.experiments.panel import Panel


@dataclasses.dataclass(frozen=True)
class PanelOutcome:
    """One panel with what was measured.

    Attributes:
        panel: The `Panel`.
        published: `{series: {column: Value}}` of the paper.
        measured: Likewise of ours.
        verdicts: One for each claim.
        details: What the measurements say of themselves: images, split.
    """

    panel: Panel
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
        panels: A `PanelOutcome` for each panel.
        steps: One dictionary for each measurement: "step", "flagfiles",
            "seconds" and "processor_seconds" (None where not known).
    """

    experiment: Experiment
    scale: str
    panels: tuple[PanelOutcome, ...]
    steps: tuple[dict, ...] = ()

    @property
    def seconds(self) -> float:
        """Processor time of all steps, as far as it is known."""
        return sum(step["processor_seconds"] or 0.0 for step in self.steps)

    @property
    def sentence(self) -> str:
        """Whether the shape agrees, in one sentence."""
        verdicts = [v.verdict for panel in self.panels for v in panel.verdicts]
        counts = collections.Counter(verdicts)
        if counts[NOT_MEASURED] == len(verdicts):
            return "Nothing was measured."
        listed = ", ".join(
            f"{counts[v]} {_verb(v, counts[v])}"
            for v in (AGREES, DIFFERS, TOO_CLOSE, NOT_MEASURED)
            if counts[v]
        )
        shape = _shape(counts, len(verdicts))
        if len(counts) == 1:
            return f"The shape {shape}: {_all_alike(*counts.items())}."
        return f"The shape {shape}: of {len(verdicts)} claims {listed}."


def _shape(counts, total):
    if counts[AGREES] == total:
        return "agrees with the paper's"
    if counts[DIFFERS] and counts[AGREES]:
        return "agrees in part"
    verb = "agree with" if counts[DIFFERS] else "contradict"
    return f"does not {verb} the paper's"


def _all_alike(count_of):
    """Returns "its one claim agrees", "all 4 claims are too close to call"."""
    verdict, count = count_of
    claims = "its one claim" if count == 1 else f"all {count} claims"
    if verdict in (AGREES, DIFFERS):
        return f"{claims} {_verb(verdict, count)}"
    return f"{claims} {'is' if count == 1 else 'are'} {verdict}"


def _verb(verdict, count):
    """Returns "agree" for several that agree."""
    several = count > 1 and verdict in (AGREES, DIFFERS)
    return verdict.removesuffix("s") if several else verdict


def judged(panel, published, measured, details="") -> PanelOutcome:
    """Returns a panel with both its sides and the verdicts on its claims."""
    verdicts = tuple(c.check(published, measured) for c in panel.claims)
    return PanelOutcome(panel, published, measured, verdicts, details)


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
    panels = tuple(judged(p, *sides(p, folder)) for p in experiment.panels)
    return Outcome(experiment, scale, panels, tuple(steps))
