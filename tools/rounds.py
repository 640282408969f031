"""Timing functions side by side, in rounds, for tools/benchmark.py."""

import gc
import statistics

from absl import flags

ROUNDS = flags.DEFINE_integer(
    "rounds", 15, "How often everything is measured.", lower_bound=3
)


def in_turn(functions, clock):
    """Returns seconds by name: of the first calls, and of each round.

    Rounds go A B C A B C ...; the first call compiles. What was left behind
    before it is collected first, so that it is on nobody's account.
    """

    def seconds(function):
        start = clock()
        function()
        return clock() - start

    firsts = {}
    for name, function in functions.items():
        gc.collect()
        firsts[name] = seconds(function)
    times = {name: [] for name in functions}
    for function in functions.values():  # Fill the caches.
        function()
    for _ in range(ROUNDS.value):
        for name, function in functions.items():
            times[name].append(seconds(function))
    return firsts, times


def ratio(firsts, times, above, below):
    """Returns how long `above` takes over `below`, with what it is made of."""
    ratios = [a / b for a, b in zip(times[above], times[below], strict=True)]
    return {
        "ratio": statistics.median(ratios),
        "lowest": min(ratios),
        "highest": max(ratios),
        "milliseconds": {
            name: 1e3 * statistics.median(times[name])
            for name in (above, below)
        },
        "ratio of the first calls": firsts[above] / firsts[below],
        "rounds": len(ratios),
    }
