"""What measured: processor and threads, which decide the last bits."""

import pathlib
import platform

from kure_tf.ops.threads import thread_count


def machine_facts() -> dict:
    """Returns the processor's name and the threads that an operator may use.

    TensorFlow's sums over a batch depend on the number of threads in their
    last bits. Training carries these on, and so does what learns by gradients
    (adaround, learned_steps, the search for nested codes): the same seed on
    other threads is another run. On 1, 2 and 4 threads calibration, the other
    PTQ methods, sweeps, exact files and artifacts of small_cnn were equal to
    the last bit.
    """
    return {"processor": _processor(), "threads": thread_count()}


def _processor():
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # There is none but on Linux.
        lines = []
    names = [x.partition(":")[2] for x in lines if x.startswith("model name")]
    return names[0].strip() if names else platform.machine()
