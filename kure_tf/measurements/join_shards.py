"""Makes one run of the shards of a sweep."""

import dataclasses

from kure_tf.measurements.shard import Shard, gathered

_MACHINE = ("processor", "threads")  # What shards of a sweep may differ in.
_OWN = ("shard", "planned_rows")  # What is said of a shard alone.


@dataclasses.dataclass(frozen=True)
class _Sweep:
    """The shards of one sweep, as far as they are known.

    Attributes:
        name: What the report calls the model.
        facts: The provenance that its shards share, and how many they are.
        shards: `{Shard: Run}`.
    """

    name: str
    facts: dict
    shards: dict = dataclasses.field(default_factory=dict, compare=False)


def join_shards(runs) -> list:
    """Returns `runs`, with one run in the place of the shards of a sweep.

    Shards are of one sweep if name and provenance agree, apart from the shard
    and the machine. The run names the machine of its shards; where they had
    several, its provenance lists them as "machines", each once.

    Raises:
        ValueError: If a shard is missing, has not finished, or is there twice.
    """
    found, sweeps = [], []
    for run in runs:
        if "shard" not in run.provenance:
            found.append(run)
            continue
        sweep = _sweep_of(run)
        if sweep not in sweeps:
            sweeps.append(sweep)
            found.append(sweep)
        _add(sweeps[sweeps.index(sweep)], run)
    return [_joined(x, sweeps) if x in sweeps else x for x in found]


def _sweep_of(run):
    shared = _without(run.provenance, ("shard", *_MACHINE))
    count = Shard.parse(run.provenance["shard"]).count
    return _Sweep(run.name, {**shared, "number of shards": count})


def _add(sweep, run):
    shard = Shard.parse(run.provenance["shard"])
    if shard in sweep.shards:
        raise ValueError(
            "Expected each shard of a sweep once, or equal reports of it. "
            f"Received two reports of shard {shard} of {run.name!r} that "
            "differ. Leave one of them out."
        )
    sweep.shards[shard] = run


def _joined(sweep, sweeps):
    shards = _all_shards(sweep, sweeps)
    placements = dict.fromkeys(x.placement for s in shards for x in s.rows)
    rows = []
    for placement in placements:  # Each was dealt by itself.
        hands = [
            [x for x in s.rows if x.placement == placement] for s in shards
        ]
        rows += gathered(hands)
    _check_finished(sweep, len(rows))
    return dataclasses.replace(
        shards[0], rows=tuple(rows), provenance=_provenance(shards)
    )


def _all_shards(sweep, sweeps):
    """Returns the shards of a sweep in their order."""
    count = sweep.facts["number of shards"]
    shards = [Shard(index, count) for index in range(count)]
    missing = [str(shard) for shard in shards if shard not in sweep.shards]
    if missing:
        raise ValueError(
            f"Expected all {count} shards of the sweep {sweep.name!r}. "
            f"Missing: {', '.join(missing)}. Merge its report too."
            + "".join(_others(sweep, sweeps))
        )
    return [sweep.shards[shard] for shard in shards]


def _others(sweep, sweeps):
    """Yields what tells a sweep from the others of its name."""
    for other in sweeps:
        if other.name == sweep.name and other != sweep:
            differences = "; ".join(_differences(sweep.facts, other.facts))
            yield (
                " Other shards of that name are of another sweep, by "
                f"{differences}. For shards of one sweep, repeat the command "
                "with another --shard alone."
            )


def _differences(one, other, prefix=""):
    for name in {**one, **other}:
        pair = one.get(name), other.get(name)
        if all(isinstance(thing, dict) for thing in pair):
            yield from _differences(*pair, f"{prefix}{name} ")
        elif pair[0] != pair[1]:
            yield f"{prefix}{name}: {pair[0]!r} and {pair[1]!r}"


def _check_finished(sweep, rows):
    planned = sweep.facts.get("planned_rows", 0)
    if rows < planned:
        raise ValueError(
            f"Expected all {planned} rows that the sweep {sweep.name!r} "
            f"plans. Received {rows} from its shards; {planned - rows} are "
            "missing. Run the commands of its shards again: each goes on "
            "where it was."
        )


def _provenance(shards):
    """Returns the provenance of a sweep from its shards'."""
    facts = _without(shards[0].provenance, _OWN)
    machines = []
    for shard in shards:
        known = shard.provenance
        machine = {name: known[name] for name in _MACHINE if name in known}
        if machine not in machines:
            machines.append(machine)
    if len(machines) == 1:
        return facts
    return {**_without(facts, _MACHINE), "machines": machines}


def _without(facts, names):
    return {name: x for name, x in facts.items() if name not in names}
