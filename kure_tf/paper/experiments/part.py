"""One panel or table of the paper, and what is set against it."""

import dataclasses

NONE, KURE = "no regularization", "KURE"


@dataclasses.dataclass(frozen=True)
class Part:
    """One panel of a figure, or one table.

    Attributes:
        title: Its heading.
        sweep: Which measurement of each model it shows: the name of a flagfile
            in configs/reproduce/sweeps; "weights" for the kernels themselves;
            "theory" for tools/theory.py.
        runs: `{what the page calls it: names of models}`, one for each seed.
        place: Function of a row that says which place it is, None for none; of
            "weights" and "theory" the name of the quantity.
        axis: "bits", "ratio" or "table": what the places are.
        published: The paper's numbers, `{run: {place: Value}}`.
        about: What the paper's numbers are, and what to know of them.
        claims: What to check.
        unit: "%" for accuracies, else the name of the quantity.
    """

    title: str
    sweep: str
    runs: dict
    place: object
    axis: str
    published: dict
    about: str
    claims: tuple = ()
    unit: str = "%"


def named(runs, prefix):
    """Returns `runs` with the net's name before those of the models."""
    return {
        run: tuple(f"{prefix}{model}" for model in models)
        for run, models in runs.items()
    }


def above_one(place) -> bool:
    """Whether a place is a step that is too large, up to 1.5 times."""
    return 1.0 < float(place) <= 1.5


def below_one(place) -> bool:
    """Whether a place is a step that is too small, down to 0.7 times."""
    return 0.7 <= float(place) < 1.0
