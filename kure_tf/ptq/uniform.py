"""Step sizes that are best for uniformly distributed weights."""

import numpy as np

from kure_tf.ptq.calibration import check_calibration
from kure_tf.settings import StepSizes


def uniform(calibration, point) -> StepSizes:
    """Returns the step sizes of the smallest MSE if weights are uniform.

        step_size = 2 max|w| / number of levels        (KURE paper, Lemma 3)

    That is 3 levels at W2, 7 at W3 and 15 at W4 on the grid "narrow": each of
    them stands for an equal part of -max|w|..max|w|, and half a step is cut
    off at either end. (The lemma's 2^M + 1 levels are those of the paper's Eq.
    1, the grid "equation1".) No data is needed and nothing is searched.

    It is meant for models that were trained with KURE, whose weights come near
    to a uniform distribution. Top-1 accuracy in % of such a ResNet-20 on
    10,000 test images of CIFAR-10, weights only, one step per tensor:

                 batch norm as trained    re-estimated
                 W4    W3    W2           W4    W3    W2
        uniform  86.8  81.4  35.5         87.0  85.9  78.9
        minmax   86.7  78.9  20.0         86.8  85.2  72.7
        lp_norm  85.4  78.6  21.3               85.5  77.2

    For plain models it is no good at W3 and W2: the largest weight says little
    of the others there (the same network without KURE has 10.1 and 18.4 at
    W2).

    Activations get the steps of `minmax`: KURE does not shape them, and after
    a ReLU they are far from uniform.

    Args:
        calibration: What `calibrate` returned.
        point: `OperatingPoint`; tensors in float there are left out.
    """
    return check_calibration(calibration).step_sizes(
        point, _step_size_of, method="uniform"
    )


def _step_size_of(tensor, bits):
    largest = tensor.largest_step(bits)
    if tensor.kind == "activation":
        return largest
    low, high = tensor.levels_at(bits)
    extent = np.abs(tensor.values).max(axis=1).astype(np.float64)
    # Any step represents zeros.
    return np.where(extent > 0, 2.0 * extent / (high - low + 1.0), largest)
