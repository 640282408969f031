"""Wrong values of arguments, by the kind of argument."""

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from small_run import make_model

from kure_tf import (
    runs,
    settings,
)

# Values that no argument of the kind takes.
COUNT = (0, -1, 1.5, "3", None, True, math.nan)
WHOLE = (-1, 1.5, "3", None, math.nan)
SEED = (-1, 2**32, 1.5, "0", None)
POSITIVE = (0, -1, math.nan, math.inf, "1", None)
NOT_NEGATIVE = (-1, math.nan, math.inf, "1", None)
SHARE = (-0.1, 1.5, math.nan, "1", None)
BITS = (0, 17, -1, 2.5, "x", math.nan)
CHOICE = ("magic", 7, "")
POINT = ("4-8", "", "17/8", "0/8", "4/4 x1e30", "4/4 x0", "4/4 xnan", 7, None)
MODEL = (None, 7, "small_cnn", object())
STEPS = (None, {}, 0.1, "steps")
FILE = ("gone.file", "a\0b")
LAYERS = ("gone", ("gone",), 7)


@dataclasses.dataclass(frozen=True)
class Door:
    """A public function with good arguments, and wrong ones for some of them.

    Attributes:
        call: The function.
        good: All arguments that it needs, by name; none where it needs a file.
        wrong: `{name: wrong values}`.
    """

    call: Callable
    good: dict
    wrong: dict


def wild(value):
    """Returns a model with a kernel of one value."""
    model = make_model()
    kernel = model.layers[1].kernel
    kernel.assign(tf.fill(kernel.shape, np.float32(value)))
    return model


def steps(path="b/kernel"):
    return settings.StepSizes({path: settings.TensorStep(0.1, 4)})


def entered(**arguments):
    with runs.run_folder(**arguments):
        pass
