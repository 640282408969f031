"""Puts the runs of several reports side by side, under names that differ."""

from kure_tf.measurements.join_shards import join_shards

_VARIES_BETWEEN_SEEDS = frozenset(
    "seed checkpoint hash workdir started finished date time seconds host "
    "command versions output".split()
)
"""Words in a provenance key (or flag) that say nothing of the experiment."""


def merged_runs(groups) -> tuple:
    """Returns the runs of all `groups`, each report's runs being one group.

    Equal runs are taken once. Shards of one sweep become the run that they are
    parts of. Runs of equal name keep it if they are seeds of one run: their
    `provenance["seed"]` differs and the rest of it, apart from the files'
    particulars, does not. Otherwise the name gets the seed, or where that does
    not tell them apart a number.

    Raises:
        ValueError: As `join_shards`.
    """
    runs = _once(run for group in groups for run in group)
    runs = _once(join_shards(runs))
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


def _once(runs):
    """Returns `runs` without those that equal an earlier one."""
    found = []
    for run in runs:
        if run not in found:
            found.append(run)
    return found


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
