"""How accuracies were measured: what tells blocks of a table apart."""

import dataclasses

OWN_TABLES = ("tflite", "device")
"""Sweeps whose rows are in tables of their own, and in no others."""


@dataclasses.dataclass(frozen=True)
class Method:
    """How the numbers of one block of a table were made."""

    ptq: str | None
    scheme: str | None
    reestimated_batch_norm: bool
    split: str
    sweep: str | None

    def label(self, methods=()) -> str:
        """Returns its name; `methods` are those to tell it apart from."""
        kept = self.ptq in (None, "trained")
        parts = ["steps as trained" if kept else self.ptq]
        if self.sweep:
            parts.append(self.sweep)
        if self.reestimated_batch_norm:
            parts.append("batch norm re-estimated")
        if len({method.scheme for method in methods}) > 1 and self.scheme:
            parts.append(f"{self.scheme} scheme")
        if len({method.split for method in methods}) > 1:
            parts.append(f"{self.split} split")
        return ", ".join(parts)


def method_of(row, *known) -> Method:
    """Returns the method of a row.

    Args:
        row: A `Row`.
        *known: Names of sweeps that go without saying, beside those over bits
            and steps of the weights. A sweep of any other name may have done
            more to the model than its row tells.
    """
    known = ("bit_width", "step_size", "power_of_two", *known)
    in_float = row.point.in_float
    return Method(
        ptq=None if in_float and row.others is None else row.ptq,
        scheme=row.scheme,
        reestimated_batch_norm=row.reestimated_batch_norm,
        split=row.split,
        sweep=None if row.sweep in known else row.sweep,
    )
