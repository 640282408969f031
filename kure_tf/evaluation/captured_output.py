"""Keeps the noise of C++ code off the terminal."""

import contextlib
import ctypes
import logging
import os
import pathlib
import sys
import tempfile
import warnings


@contextlib.contextmanager
def captured_output():
    """Captures everything that this process writes to descriptors 1 and 2.

    TensorFlow's converter and interpreter write to the file descriptors
    themselves, which neither `sys.stdout` nor a logging level can stop. While
    this is open they lead to a file, as do `sys.stdout` and `sys.stderr` (in a
    notebook, those are no descriptors) and Python's warnings. What other
    threads print meanwhile is captured too. Descriptors that were closed are
    closed again afterwards.

    Yields:
        A function that returns the text captured so far.
    """
    saved = {fd: _duplicate(fd) for fd in (1, 2)}
    temporary, path = tempfile.mkstemp(prefix="kure_tf_")
    log = _above_standard(temporary)
    try:
        second = _above_standard(os.dup(log))
        with open(second, "w", 1, "utf-8", "replace") as stream:
            _flush()
            for fd in saved:
                os.dup2(log, fd)
            try:
                with (
                    contextlib.redirect_stdout(stream),
                    contextlib.redirect_stderr(stream),
                    warnings.catch_warnings(),
                ):
                    warnings.simplefilter("ignore")
                    yield lambda: _read(path)
            finally:
                _flush()
                for fd, copy in saved.items():
                    _restore(fd, copy)
                _free_loggers(stream)
    finally:
        os.close(log)
        pathlib.Path(path).unlink(missing_ok=True)


def _free_loggers(stream):
    """Frees loggers of handlers that were made here and write to `stream`.

    `logging.warning` and its like give a handler to a root logger that has
    none; the root gets none from here, so that `logging.basicConfig` still
    works.
    """
    root = logging.getLogger()
    named = list(root.manager.loggerDict.values())
    for logger in (root, *(x for x in named if hasattr(x, "handlers"))):
        for handler in list(logger.handlers):
            if getattr(handler, "stream", None) is not stream:
                continue
            if logger is root:
                logger.removeHandler(handler)
            else:
                handler.setStream(sys.stderr)


def _duplicate(fd):
    """Returns a copy of a descriptor, or None if it is closed."""
    try:
        return _above_standard(os.dup(fd))
    except OSError:
        return None


def _above_standard(fd):
    """Returns `fd`, moved to a number above the standard descriptors.

    Where one of those is closed, the system gives its number to the next file
    that is opened, which would then be taken for the standard output.
    """
    low = []
    while fd <= 2:
        low.append(fd)
        fd = os.dup(fd)
    for number in low:
        os.close(number)
    return fd


def _restore(fd, copy):
    if copy is None:
        os.close(fd)
        return
    os.dup2(copy, fd)
    os.close(copy)


def _flush():
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        # None without a console, or closed.
        with contextlib.suppress(AttributeError, OSError, ValueError):
            stream.flush()
    # What C wrote may wait in its buffers; None names this process, which
    # not every system can open.
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).fflush(None)


def _read(path):
    _flush()
    return pathlib.Path(path).read_text("utf-8", "replace")
