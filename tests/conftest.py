"""What every test starts from: seeds, a quiet log, the optional data folder."""

import gc
import os
import pathlib
import random
import sys

# Before TensorFlow is imported; what the caller has set wins. The suite means
# the same on every machine, so accelerators stay out of it.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("MPLBACKEND", "agg")

import numpy as np  # noqa: E402
import pytest  # noqa: E402
import tensorflow as tf  # noqa: E402
from hypothesis import settings  # noqa: E402
from kept_kernels import KeptKernels  # noqa: E402
from keras_reach import reaches_keras  # noqa: E402

TFMOT = pathlib.Path(__file__).resolve().parent / "qat" / "tfmot"
# The one file there that has something to say in a process of Keras 3.
TOGETHER = "coexistence_test"

# Two devices for the tests of `tf.distribute`; one that runs a file without
# pytest has to do the same. TensorFlow refuses it once it has computed
# anything, so it is done before any test module is imported.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * 2,
)

KEPT_KERNELS = KeptKernels()
KEPT_KERNELS.install()

# The first example of a property compiles TensorFlow functions, and the same
# examples on every run make a failure repeatable.
settings.register_profile("kure_tf", deadline=None, derandomize=True)
settings.load_profile("kure_tf")


def pytest_collection_modifyitems(config, items):
    # A skipped "test" that every `tf.test.TestCase` inherits: only noise.
    items[:] = [item for item in items if item.name != "test_session"]
    for asked in ("torture", "site"):  # By `make torture`, by `make docs`.
        if asked not in config.option.markexpr:
            items[:] = [i for i in items if not i.get_closest_marker(asked)]
    for item in items:
        if not reaches_keras(item.path):
            item.add_marker("keras_free")
        elif item.path.is_relative_to(TFMOT) and item.path.stem != TOGETHER:
            item.add_marker("tfmot")


def pytest_collection_finish(session):
    # TensorFlow's objects stay until the end; looking through them again and
    # again for garbage takes a tenth of the time of the suite.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@pytest.fixture(autouse=True, scope="module")
def kernels_of_the_module():
    """Lets the tests of a module share what TensorFlow has prepared."""
    KEPT_KERNELS.begin_module()


@pytest.fixture(autouse=True)
def seeded():
    """Starts each test from the same random state."""
    random.seed(0)
    np.random.seed(0)
    tf.random.set_seed(0)
    if "tf_keras" in sys.modules:
        # It keeps a generator that an earlier test may have set and used.
        sys.modules["tf_keras"].utils.set_random_seed(0)


@pytest.fixture
def data_dir():
    """The folder of TFDS data sets named by KURE_TF_DATA_DIR, else a skip.

    A method of a TestCase asks for it with
    `@pytest.mark.usefixtures("data_dir")` and reads the variable itself.
    """
    folder = os.environ.get("KURE_TF_DATA_DIR", "")
    if not folder:
        pytest.skip(
            "Needs a folder of TFDS data sets. Set the environment variable "
            "KURE_TF_DATA_DIR to one."
        )
    if not pathlib.Path(folder).is_dir():
        pytest.fail(f"KURE_TF_DATA_DIR is no folder: {folder!r}.")
    return pathlib.Path(folder)
