"""A loop whose parts threads share: NumPy lets others run while it works."""

import os
from concurrent import futures

import tensorflow as tf


def thread_count() -> int:
    """Returns the threads that an operator may use: those of TensorFlow.

    They are what its configuration or TF_NUM_INTRAOP_THREADS asks for, or the
    processors that this process may run on.
    """
    asked = tf.config.threading.get_intra_op_parallelism_threads()
    asked = asked or int(os.environ.get("TF_NUM_INTRAOP_THREADS") or 0)
    if asked:
        return asked
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def in_threads(function, parts) -> list:
    """Returns `[function(part) for part in parts]`, found side by side."""
    threads = min(thread_count(), len(parts))
    if threads <= 1:
        return [function(part) for part in parts]
    with futures.ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, parts))
