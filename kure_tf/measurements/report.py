"""The report: runs side by side, as a value with its files."""

import dataclasses
import pathlib

from kure_tf.files import existing, write_atomically
from kure_tf.measurements import json_file, merge, records
from kure_tf.measurements.rows import Run


@dataclasses.dataclass(frozen=True)
class Report:
    """Measurements of one or several runs, with where they come from.

    Attributes:
        runs: In the order of presentation. Runs of one name are seeds of one
            run: their `provenance["seed"]` differs.
        title: Heading of the page.
        notes: What a reader must know, for instance about the data.

    Raises:
        TypeError: If a value is of the wrong kind.
        ValueError: If two runs cannot be told apart.
    """

    runs: tuple[Run, ...]
    title: str = "Quantization report"
    notes: tuple[str, ...] = ()

    def __post_init__(self):
        object.__setattr__(self, "runs", tuple(self.runs))
        notes = (self.notes,) if isinstance(self.notes, str) else self.notes
        object.__setattr__(self, "notes", tuple(notes))
        for run in self.runs:
            if not isinstance(run, Run):
                raise TypeError(
                    "Expected the runs of a Report to be Run. "
                    f"Received: {type(run).__name__}."
                )
        for text in (self.title, *self.notes):
            if not isinstance(text, str):
                raise TypeError(
                    "Expected the title and the notes of a Report to be text. "
                    f"Received: {text!r}."
                )
        _check_told_apart(self.runs)

    def save(self, folder) -> pathlib.Path:
        """Writes report.json into `folder`, atomically; returns its path."""
        path = pathlib.Path(folder) / "report.json"
        return write_atomically(path, self.to_json())

    @classmethod
    def load(cls, path) -> "Report":
        """Reads a report back from its JSON.

        Args:
            path: The file, or the folder that holds a report.json.

        Raises:
            FileNotFoundError: If there is none.
            ValueError: If it is truncated, no report, or of another schema.
        """
        path = pathlib.Path(path)
        if path.is_dir():
            path = path / "report.json"
        existing(path, "a report: a report.json or the folder that holds one")
        title, runs, notes = json_file.decode(path.read_bytes(), str(path))
        try:
            return cls(runs, title, notes)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}: {error}") from error

    @classmethod
    def merge(cls, reports, *, title=None) -> "Report":
        """Returns one report with the runs of all `reports` side by side.

        Runs of equal name stay one run with several seeds if only the seed
        (and files named after it) tells their provenances apart; otherwise
        their names get the seed or a number. Equal runs and equal notes are
        taken once. Shards of a sweep become one run.

        Args:
            reports: At least one.
            title: Of the result; by default the titles, joined.

        Raises:
            ValueError: If there are no reports, or of a sweep a shard is
                missing, has not finished, or is there twice and differs.
        """
        reports = list(reports)
        if not reports:
            raise ValueError(
                "Expected at least one report to merge. Received none."
            )
        titles = dict.fromkeys(report.title for report in reports)
        return cls(
            merge.merged_runs(report.runs for report in reports),
            title or " | ".join(titles),
            tuple(dict.fromkeys(n for report in reports for n in report.notes)),
        )

    def to_json(self) -> str:
        """Returns the report as JSON; `load` reads it back, equal."""
        return json_file.encode(self.title, self.runs, self.notes)

    def to_csv(self) -> str:
        """Returns all rows as CSV text, one line each, with a header."""
        return records.to_csv(self.runs)

    def to_frame(self):
        """Returns all rows as a pandas DataFrame, one line each.

        Columns are those of the CSV; bits and what is not known are missing
        values where there are none.

        Raises:
            ImportError: If pandas is not installed.
        """
        return records.to_frame(self.runs)


def _check_told_apart(runs):
    seen = set()
    for run in runs:
        key = (run.name, str(run.seed))
        if key in seen:
            raise ValueError(
                "Expected runs of equal name to be seeds of one run, told "
                "apart by provenance['seed']. Received two runs "
                f"{run.name!r} with seed {run.seed!r}. `Report.merge` gives "
                "such runs a number."
            )
        seen.add(key)
