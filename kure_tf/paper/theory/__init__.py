"""How well a uniform quantizer does on known distributions (KURE, section 3).

Two kinds of numbers, kept apart:

* exact, of the quantizer itself: `mean_squared_error`, `slope`, `curvature`,
  `optimum`, `sensitivity`, `second_order_sensitivity`, `theorem_4`;
* `paper`: the paper's own formulas by equation, in corrected form, each with
  its printed form beside it, the range it holds in, and its error there.

    >>> from kure_tf.paper import theory
    >>> best = theory.optimum(theory.Normal(), bits=4, grid="equation1")
    >>> round(best.clipping_range, 4), round(best.mean_squared_error, 6)
    (2.5512, 0.010405)
    >>> round(theory.theorem_4(4).mse_ratio, 2)
    3.01
"""

from kure_tf.ops.distributions import (
    DISTRIBUTIONS,
    Distribution,
    Laplace,
    Normal,
    Uniform,
)
from kure_tf.paper.theory import paper
from kure_tf.paper.theory.error import curvature, mean_squared_error, slope
from kure_tf.paper.theory.optimum import (
    Optimum,
    optimum,
    second_order_sensitivity,
    sensitivity,
)
from kure_tf.paper.theory.theorem_4 import Theorem4, theorem_4

__all__ = [
    "DISTRIBUTIONS",
    "Distribution",
    "Laplace",
    "Normal",
    "Optimum",
    "Theorem4",
    "Uniform",
    "curvature",
    "mean_squared_error",
    "optimum",
    "paper",
    "second_order_sensitivity",
    "sensitivity",
    "slope",
    "theorem_4",
]
