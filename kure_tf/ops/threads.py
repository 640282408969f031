"""A loop whose parts threads share: NumPy lets others run while it works."""

import os
from concurrent import futures

import tensorflow as tf


def thread_count() -> int:
    """Returns the threads that an operator may use: those of TensorFlow.

    They are what its configuration or TF_NUM_INTRAOP_THREADS asks for, or the
    processors that this process may run on.

    Raises:
        ValueError: If the variable is no number.
    """
    asked = tf.config.threading.get_intra_op_parallelism_threads()
    asked = asked or _asked_by_environment()
    if asked:
        return asked
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _asked_by_environment():
    text = os.environ.get("TF_NUM_INTRAOP_THREADS") or "0"
    if not text.isdecimal():
        raise ValueError(
            "Expected TF_NUM_INTRAOP_THREADS to be a number of threads, or "
            f"unset. Received: {text!r}."
        )
    return int(text)


def in_threads(function, parts) -> list:
    """Returns `[function(part) for part in parts]`, found side by side."""
    threads = min(thread_count(), len(parts))
    if threads <= 1:
        return [function(part) for part in parts]
    with futures.ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, parts))
