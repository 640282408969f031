"""Reports as JSON: the form that everything else is made from again."""

import dataclasses
import json

from kure_tf.files import SEAL, parsed, seal_of, unsealed
from kure_tf.measurements.rows import Row, Run
from kure_tf.settings.operating_point import OperatingPoint

FORMAT = "kure_tf report"
SCHEMA_VERSION = 3


def encode(title, runs, notes) -> str:
    """Returns a report as JSON text, one row per line, and sealed."""
    head = {
        "format": FORMAT,
        "schema_version": SCHEMA_VERSION,
        "title": title,
        "notes": list(notes),
    }
    members = [f"{_dump(key)}: {_dump(value)}" for key, value in head.items()]
    encoded = ",\n".join(_encode_run(run) for run in runs)
    members.append(f'"runs": [\n{encoded}\n]')
    seal = seal_of(json.loads("{" + ",".join(members) + "}"))
    members.append(f"{_dump(SEAL)}: {_dump(seal)}")
    return "{\n" + ",\n".join(members) + "\n}\n"


def decode(text, source="report") -> tuple[str, tuple[Run, ...], tuple]:
    """Returns title, runs and notes of a report in JSON.

    Args:
        text: The JSON, str or bytes.
        source: What an error calls it, usually the file's name.

    Raises:
        ValueError: If `text` is not JSON (a truncated file), not a report, of
            another schema, changed since it was written, or has a missing,
            unknown or invalid member.
    """
    document = parsed(text, "a report", source)
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ValueError(
            f'Expected a report, a JSON object with "format": "{FORMAT}". '
            f"Received in {source}: {_excerpt(document)}. Reports are the "
            "files report.json that sweeps write."
        )
    version = document.get("schema_version")
    if version != SCHEMA_VERSION:
        raise ValueError(
            f"Expected a report of schema version {SCHEMA_VERSION}, the one "
            f"that this kure_tf reads. Received in {source}: {version!r}. "
            "Read it with the kure_tf that wrote it, or delete it and "
            "measure again."
        )
    names = ("format", "schema_version", "title", "notes", "runs", SEAL)
    _check_members(document, names, source)
    _check_kind(document.get("notes"), list, f"{source}: notes")
    _check_kind(document.get("runs"), list, f"{source}: runs")
    runs = tuple(
        _decode_run(run, f"{source}: runs[{i}]")
        for i, run in enumerate(document["runs"])
    )
    unsealed(document, source)  # Last: what is wrong says more.
    return document.get("title"), runs, tuple(document["notes"])


def _encode_run(run):
    members = {
        field.name: getattr(run, field.name)
        for field in dataclasses.fields(run)
        if field.name != "rows"
    }
    lines = [f" {_dump(key)}: {_dump(value)}" for key, value in members.items()]
    rows = ",\n".join(f"  {_dump(_row_members(row))}" for row in run.rows)
    lines.append(f' "rows": [\n{rows}\n ]' if rows else ' "rows": []')
    return "{\n" + ",\n".join(lines) + "\n}"


def _row_members(row):
    """Returns the members of a row; operating points are their texts."""
    members = {
        field.name: getattr(row, field.name)
        for field in dataclasses.fields(row)
    }
    others = None if row.others is None else str(row.others)
    return {**members, "point": str(row.point), "others": others}


def _decode_run(members, where):
    _check_kind(members, dict, where)
    rows = members.get("rows", [])
    _check_kind(rows, list, f"{where}.rows")
    rows = [
        _build(_row, row, Row, f"{where}.rows[{i}]")
        for i, row in enumerate(rows)
    ]
    return _build(Run, members | {"rows": rows}, Run, where)


def _row(point, others=None, **members):
    others = None if others is None else OperatingPoint.parse(others)
    return Row(point=OperatingPoint.parse(point), others=others, **members)


def _build(make, members, kind, where):
    _check_kind(members, dict, where)
    _check_members(members, [f.name for f in dataclasses.fields(kind)], where)
    try:
        return make(**members)
    except (TypeError, ValueError) as error:  # One for what is missing, too.
        raise ValueError(f"{where}: {error}") from error


def _check_members(members, names, where):
    unknown = sorted(set(members) - set(names))
    if unknown:
        raise ValueError(
            f"Expected in {where} the members {', '.join(names)}. "
            f"Unknown: {', '.join(unknown)}."
        )


def _check_kind(value, kind, where):
    if not isinstance(value, kind):
        expected = "a list" if kind is list else "an object"
        raise ValueError(
            f"Expected {where} to be {expected}. Received: {_excerpt(value)}."
        )


def _excerpt(value):
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _dump(value):
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
