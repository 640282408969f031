"""How long LiteRT files take for one example."""

import statistics
import time

import numpy as np
import tensorflow as tf

from kure_tf.evaluation.litert_runner import litert_runner


def latencies(contents, *, rounds=30) -> dict:
    """Returns `{name: median milliseconds}` of files for one example.

    The interpreter has one thread and its default kernels.

    The files run in turn, A B C A B C ..., so that a machine whose speed
    drifts treats all alike: compare them, and take no figure for itself.
    Times are of the wall clock, with batches of one example of zeros. A file
    of a fixed batch size runs that, and gets the time of one example.

    Args:
        contents: `{name: bytes of a .tflite file}`.
        rounds: How often each runs; two more runs before that do not count.
    """
    runners = {
        name: litert_runner(content, num_threads=1, batch_size=1)
        for name, content in contents.items()
    }
    times = {name: [] for name in runners}
    for _ in range(rounds + 2):
        for name, runner in runners.items():
            inputs = _zeros(runner)
            start = time.perf_counter()
            runner.outputs(inputs)
            passed = time.perf_counter() - start
            times[name].append(1e3 * passed / runner.batch_size)
    return {
        name: round(statistics.median(found[2:]), 4)
        for name, found in times.items()
    }


def _zeros(runner):
    return [
        np.zeros(
            (runner.batch_size, *(size or 1 for size in port.shape[1:])),
            port.dtype,
        )
        for port in tf.nest.flatten(runner.input_ports)
    ]
