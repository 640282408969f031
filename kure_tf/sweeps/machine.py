"""What measured: processor and threads, which decide the last bits."""

import os
import pathlib
import platform

import tensorflow as tf


def machine_facts() -> dict:
    """Returns the processor's name and the threads that an operator may use.

    TensorFlow's sums over a batch depend on the number of threads in their
    last bits. Training carries these on, and so does what learns by gradients
    (adaround, learned_steps, the search for nested codes): the same seed on
    other threads is another run. On 1, 2 and 4 threads calibration, the other
    PTQ methods, sweeps, exact files and artifacts of small_cnn were equal to
    the last bit.
    """
    return {"processor": _processor(), "threads": _threads()}


def _processor():
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # There is none but on Linux.
        lines = []
    names = [x.partition(":")[2] for x in lines if x.startswith("model name")]
    return names[0].strip() if names else platform.machine()


def _threads():
    asked = tf.config.threading.get_intra_op_parallelism_threads()
    asked = asked or int(os.environ.get("TF_NUM_INTRAOP_THREADS") or 0)
    if asked:
        return asked
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()
