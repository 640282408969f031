"""Distributions of weights with closed-form partial moments."""

import abc
import dataclasses
import math
from typing import ClassVar

import numpy as np
from scipy import special

from kure_tf.paper.theory.checks import check_positive


@dataclasses.dataclass(frozen=True)
class Distribution(abc.ABC):
    """A distribution of mean zero, symmetric, of given standard deviation.

    Attributes:
        standard_deviation: Of X, in the unit of X; positive. It is also the
            root mean square of X, and that of |X|.
        absolute: Whether |X| is meant: what an unsigned grid is for. (ReLU
            outputs are |X| or 0, each half of the time: the same optimal
            step, half the error.)
        name: "uniform", "normal" or "laplace".
        kurtosis: Of X: 1.8, 3 or 6 (KURE paper, section 4.1).

    Raises:
        TypeError: If the standard deviation is not a number.
        ValueError: If it is not positive and finite.
    """

    standard_deviation: float = 1.0
    absolute: bool = False

    name: ClassVar[str]
    kurtosis: ClassVar[float]

    def __post_init__(self):
        value = check_positive(
            "the standard deviation", self.standard_deviation
        )
        object.__setattr__(self, "standard_deviation", float(value))

    @property
    def total_moments(self):
        """E[X^0], E[X^1] and E[X^2], as an array."""
        first = 0.0
        if self.absolute:
            first = -2.0 * float(self._moments_below(np.zeros(()))[1])
        return np.array([1.0, first, self.standard_deviation**2])

    def moments_below(self, x):
        """Returns E[X^i 1(X <= x)] for i = 0, 1, 2: `[3, *x.shape]`."""
        x = np.asarray(x, np.float64)
        if not self.absolute:
            return self._moments_below(x)
        at_zero = self._moments_below(np.zeros_like(x))
        return 2.0 * (self._moments_below(np.maximum(x, 0.0)) - at_zero)

    def density(self, x):
        """Returns the probability density at `x`, per unit of X."""
        x = np.asarray(x, np.float64)
        if not self.absolute:
            return self._density(x)
        return np.where(x >= 0, 2.0 * self._density(x), 0.0)

    @abc.abstractmethod
    def _moments_below(self, x):
        """`moments_below` of X itself."""

    @abc.abstractmethod
    def _density(self, x):
        """`density` of X itself."""


class Uniform(Distribution):
    """Uniform on [-a, a], a = sqrt(3) standard deviations.

    Example:
        >>> round(Uniform.on(1.0).standard_deviation, 4)
        0.5774
    """

    name = "uniform"
    kurtosis = 1.8

    @classmethod
    def on(cls, half_width, absolute=False):
        """Returns the uniform distribution on [-half_width, half_width]."""
        half_width = check_positive("the half width", half_width)
        return cls(float(half_width) / math.sqrt(3), absolute)

    @property
    def half_width(self):
        """a: the largest value of |X|."""
        return math.sqrt(3) * self.standard_deviation

    def _moments_below(self, x):
        a = self.half_width
        x = np.clip(x, -a, a)
        return np.stack(
            [
                (x + a) / (2 * a),
                (x**2 - a**2) / (4 * a),
                (x**3 + a**3) / (6 * a),
            ]
        )

    def _density(self, x):
        a = self.half_width
        return np.where(np.abs(x) < a, 1 / (2 * a), 0.0)


class Normal(Distribution):
    """Normal distribution of mean zero."""

    name = "normal"
    kurtosis = 3.0

    def _moments_below(self, x):
        sigma = self.standard_deviation
        z = x / sigma
        below = special.ndtr(z)
        bell = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
        return np.stack([below, -sigma * bell, sigma**2 * (below - z * bell)])

    def _density(self, x):
        sigma = self.standard_deviation
        bell = np.exp(-((x / sigma) ** 2) / 2)
        return bell / (math.sqrt(2 * math.pi) * sigma)


class Laplace(Distribution):
    """Laplace distribution of mean zero: exp(-|x| / b) / (2 b).

    b = standard deviation / sqrt(2).
    """

    name = "laplace"
    kurtosis = 6.0

    @property
    def scale(self):
        """b: the mean of |X|."""
        return self.standard_deviation / math.sqrt(2)

    def _moments_below(self, x):
        b = self.scale
        left = -np.abs(x)
        tail = np.exp(left / b) / 2  # P(X <= -|x|).
        second = tail * (left**2 - 2 * b * left + 2 * b**2)
        first = tail * (left - b)  # Odd: the same on both sides.
        above = x > 0
        return np.stack(
            [
                np.where(above, 1 - tail, tail),
                first,
                np.where(above, 2 * b**2 - second, second),
            ]
        )

    def _density(self, x):
        return np.exp(-np.abs(x) / self.scale) / (2 * self.scale)


DISTRIBUTIONS = {kind.name: kind for kind in (Uniform, Normal, Laplace)}


def get(name) -> type[Distribution]:
    """Returns the class of that name: "uniform", "normal" or "laplace".

    Raises:
        ValueError: If there is none.
    """
    if name not in DISTRIBUTIONS:
        raise ValueError(
            "Expected the name of a distribution, one of "
            f"{sorted(DISTRIBUTIONS)}. Received: {name!r}."
        )
    return DISTRIBUTIONS[name]


def check_distribution(distribution):
    """Raises a TypeError for what is no distribution (a name, a class)."""
    if not isinstance(distribution, Distribution):
        raise TypeError(
            "Expected a distribution, such as Normal() or "
            f"Uniform(absolute=True). Received: {distribution!r}."
        )
