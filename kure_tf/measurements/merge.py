"""Puts the runs of several reports side by side, under names that differ."""

import dataclasses

from kure_tf.measurements.shard import Shard, gathered

_VARIES_BETWEEN_SEEDS = frozenset(
    "seed checkpoint hash workdir started finished date time seconds host "
    "command versions output".split()
)
"""Words in a provenance key (or flag) that say nothing of the experiment."""
_MACHINES = ("machine", "versions")  # What shards of a sweep may differ in.


def merged_runs(groups) -> tuple:
    """Returns the runs of all `groups`, each report's runs being one group.

    Equal runs are taken once. Shards of one sweep become the run that they are
    parts of. Runs of equal name keep it if they are seeds of
    one run: their `provenance["seed"]` differs and the rest of it, apart from
    the files' and the machine's particulars, does not. Otherwise the name
    gets the seed, or where that does not tell them apart a number.

    Raises:
        ValueError: If shards are missing, not finished, or of different sweeps.
    """
    runs = []
    for run in (run for group in groups for run in group):
        if run not in runs:
            runs.append(run)
    runs = _whole(runs)
    taken = {run.name for run in runs}
    names = {}
    for name in taken:
        same = [run for run in runs if run.name == name]
        for run, new in zip(same, _names(same, taken), strict=True):
            names[id(run)] = new
    return tuple(
        run if names[id(run)] == run.name else run.renamed(names[id(run)])
        for run in runs
    )


def _whole(runs):
    """Returns `runs`, with one run in the place of the shards of a sweep."""
    found, shards = [], {}
    for run in runs:
        if "shard" not in run.provenance:
            found.append(run)
            continue
        shard = Shard.parse(run.provenance["shard"])
        key = run.name, str(run.seed), shard.count
        if key not in shards:
            found.append(key)
        shards.setdefault(key, {})[shard.index] = run
    return [_joined(shards[x], x) if x in shards else x for x in found]


def _joined(shards, key):
    name, _, count = key
    missing = [f"{i}/{count}" for i in range(count) if i not in shards]
    if missing:
        raise ValueError(
            f"Expected all {count} shards of the sweep {name!r}. Missing: "
            f"{', '.join(missing)}. Merge its report too."
        )
    shards = [shards[index] for index in range(count)]
    provenance = _shared_provenance(shards)
    placements = dict.fromkeys(x.placement for s in shards for x in s.rows)
    rows = []
    for placement in placements:  # Each was dealt by itself.
        hands = [
            [x for x in s.rows if x.placement == placement] for s in shards
        ]
        rows += gathered(hands)
    return dataclasses.replace(
        shards[0], rows=tuple(rows), provenance=provenance
    )


def _shared_provenance(shards):
    """Returns the provenance of a sweep from its shards'."""
    first, *others = (
        {k: v for k, v in run.provenance.items() if k != "shard"}
        for run in shards
    )
    for other in others:
        differing = [
            name
            for name in {**first, **other}
            if first.get(name) != other.get(name) and name not in _MACHINES
        ]
        if differing:
            raise ValueError(
                "Expected shards of one sweep. They differ in "
                + "; ".join(
                    f"{n}: {first.get(n)!r} and {other.get(n)!r}"
                    for n in differing
                )
                + ". Repeat the command with another --shard alone."
            )
    return first


def are_seeds_of_one_run(runs) -> bool:
    """Returns whether `runs` repeat one experiment with different seeds."""
    seeds = [run.seed for run in runs]
    if None in seeds or len({str(seed) for seed in seeds}) < len(runs):
        return False
    first = _experiment(runs[0].provenance)
    return all(_experiment(run.provenance) == first for run in runs[1:])


def _names(same, taken):
    name = same[0].name
    if len(same) == 1 or are_seeds_of_one_run(same):
        return [name] * len(same)
    seeds = [run.seed for run in same]
    new = [f"{name} (seed {seed})" for seed in seeds]
    if None not in seeds and len(set(new)) == len(new):
        if not taken.intersection(new):
            return new
    new, number = [], 1
    while len(new) < len(same):
        if f"{name} ({number})" not in taken:
            new.append(f"{name} ({number})")
        number += 1
    return new


def _experiment(thing):
    """Returns `thing` without what may differ between seeds of one run."""
    if isinstance(thing, dict):
        return {
            key: _experiment(value)
            for key, value in thing.items()
            if not _varies(key)
        }
    if isinstance(thing, list):
        return [x for x in thing if not (_is_flag(x) and _varies(x))]
    if isinstance(thing, str) and "\n" in thing:  # A flagfile's text.
        return _experiment(thing.splitlines())
    return thing


def _is_flag(thing):
    return isinstance(thing, str) and thing.startswith("-")


def _varies(key):
    name = key.lstrip("-").partition("=")[0].lower()
    return not _VARIES_BETWEEN_SEEDS.isdisjoint(
        name.replace("-", "_").replace(" ", "_").split("_")
    )
