"""One panel or table of the paper, and what is set against it."""

import dataclasses

NONE, KURE = "no regularization", "KURE"
PAIR = {NONE: ("plain",), KURE: ("kure",)}


@dataclasses.dataclass(frozen=True)
class Panel:
    """One panel of a figure, or one table.

    Attributes:
        title: Its heading.
        sweep: Which measurement of each model it shows: the name of a flagfile
            in configs/reproduce/sweeps; "weights" for the kernels themselves;
            "theory" for tools/theory.py.
        series: `{what the page calls it: names of models}`, one for each seed.
        column: Function of a row that says which column it belongs to, None
            for none; of "weights" and "theory" the name of the quantity.
        axis: What the columns are: "bits", "ratio", "given" for others that
            a figure shows, in the order they are given in, or "table".
        published: The paper's numbers, `{series: {column: Value}}`.
        about: What the paper's numbers are, and what to know of them.
        claims: What to check.
        unit: "%" for accuracies, else the name of the quantity.
    """

    title: str
    _: dataclasses.KW_ONLY
    sweep: str
    series: dict
    column: object
    axis: str = "table"
    published: dict = dataclasses.field(default_factory=dict)
    about: str
    claims: tuple = ()
    unit: str = "%"

    def of_net(self, net, *, one_of_several=False):
        """Returns the panel of one net, whose name begins those of models."""
        return dataclasses.replace(
            self,
            title=f"{self.title}, {net}" if one_of_several else self.title,
            series={
                name: tuple(f"{net}_{model}" for model in models)
                for name, models in self.series.items()
            },
        )


def above_one(column) -> bool:
    """Whether a column is a step that is too large, up to 1.5 times."""
    return 1.0 < float(column) <= 1.5


def below_one(column) -> bool:
    """Whether a column is a step that is too small, down to 0.7 times."""
    return 0.7 <= float(column) < 1.0
