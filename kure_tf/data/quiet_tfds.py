"""Keeps TensorFlow Datasets from talking."""

import contextlib

from kure_tf import extras


@contextlib.contextmanager
def quiet_tfds():
    """Keeps TFDS from logging and from drawing its own progress bars."""
    with extras.needed("A data set of TensorFlow Datasets"):
        import tensorflow_datasets as tfds
    from absl import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    tfds.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
