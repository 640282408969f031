"""Distributions of a tensor's values, with partial moments in closed form."""

import abc
import dataclasses
import math
from typing import ClassVar

import numpy as np
from scipy import special

from kure_tf.ops.checks import check_choice, check_numbers, check_positive


@dataclasses.dataclass(frozen=True)
class Distribution(abc.ABC):
    """A symmetric distribution of X, or that of |X|.

    Attributes:
        standard_deviation: Of X, in the unit of X; positive.
        location: Mean and median of X, in its unit.
        absolute: Whether |X| is meant, of an X around 0: what an unsigned
            grid is for. (ReLU outputs are |X| or 0, each half of the time:
            the same optimal step, half the error.)
        name: "uniform", "normal" or "laplace".
        kurtosis: Of X: 1.8, 3 or 6 (KURE paper, section 4.1).

    Raises:
        TypeError: If a value is not a number.
        ValueError: If the standard deviation is not positive and finite, or
            |X| is meant of an X beside 0.
    """

    standard_deviation: float = 1.0
    location: float = dataclasses.field(default=0.0, kw_only=True)
    absolute: bool = dataclasses.field(default=False, kw_only=True)

    name: ClassVar[str]
    kurtosis: ClassVar[float]

    def __post_init__(self):
        for name, check in (
            ("standard_deviation", check_positive),
            ("location", check_numbers),
        ):
            checked = check(
                f"the {name.replace('_', ' ')}", getattr(self, name)
            )
            object.__setattr__(self, name, float(checked))
        if self.absolute and self.location:
            raise ValueError(
                "Expected absolute values of an X around 0. Received: "
                f"location {self.location:g}."
            )

    @property
    def total_moments(self):
        """E[X^0], E[X^1] and E[X^2]."""
        first = self.location
        if self.absolute:
            first = -2.0 * float(self._centred_moments_below(np.zeros(()))[1])
        return 1.0, first, self.standard_deviation**2 + self.location**2

    def moments_below(self, x):
        """Returns P(X <= x) and E[X 1(X <= x)], each of the shape of `x`."""
        x = np.asarray(x, np.float64)
        if self.absolute:
            mass, moment = self._centred_moments_below(np.maximum(x, 0.0))
            at_zero = self._centred_moments_below(np.zeros(()))
            return 2.0 * (mass - at_zero[0]), 2.0 * (moment - at_zero[1])
        mass, moment = self._centred_moments_below(x - self.location)
        return mass, moment + self.location * mass

    def density(self, x):
        """Returns the probability density at `x`, per unit of X."""
        x = np.asarray(x, np.float64)
        if self.absolute:
            return np.where(x >= 0, 2.0 * self._centred_density(x), 0.0)
        return self._centred_density(x - self.location)

    @property
    def entropy(self):
        """E[-log density], in nats: minus the mean log-likelihood of a fit."""
        halved = math.log(2.0) if self.absolute else 0.0
        return self._entropy_of_x - halved

    @property
    @abc.abstractmethod
    def _entropy_of_x(self):
        """`entropy` of X itself."""

    @abc.abstractmethod
    def _centred_moments_below(self, x):
        """`moments_below` of X - location."""

    @abc.abstractmethod
    def _centred_density(self, x):
        """`density` of X - location."""


class Uniform(Distribution):
    """Uniform within sqrt(3) standard deviations of its location.

    Example:
        >>> round(Uniform.on(1.0).standard_deviation, 4)
        0.5774
    """

    name = "uniform"
    kurtosis = 1.8

    @classmethod
    def on(cls, half_width):
        """Returns the uniform distribution on [-half_width, half_width]."""
        half_width = check_positive("the half width", half_width)
        return cls(float(half_width) / math.sqrt(3))

    @property
    def half_width(self):
        """a: the largest value of |X - location|."""
        return math.sqrt(3) * self.standard_deviation

    @property
    def _entropy_of_x(self):
        return math.log(2 * self.half_width)

    def _centred_moments_below(self, x):
        a = self.half_width
        x = np.clip(x, -a, a)
        return (x + a) / (2 * a), (x**2 - a**2) / (4 * a)

    def _centred_density(self, x):
        a = self.half_width
        return np.where(np.abs(x) < a, 1 / (2 * a), 0.0)


class Normal(Distribution):
    """Normal distribution."""

    name = "normal"
    kurtosis = 3.0

    @classmethod
    def fit(cls, values, *, absolute=False):
        """Returns the likeliest one for values that are not all equal."""
        location = 0.0 if absolute else float(np.mean(values))
        variance = np.mean(np.square(values - location))
        return cls(np.sqrt(variance), location=location, absolute=absolute)

    @property
    def _entropy_of_x(self):
        return math.log(self.standard_deviation) + (
            0.5 * math.log(2 * math.pi * math.e)
        )

    def _centred_moments_below(self, x):
        z = x / self.standard_deviation
        bell = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
        return special.ndtr(z), -self.standard_deviation * bell

    def _centred_density(self, x):
        sigma = self.standard_deviation
        bell = np.exp(-((x / sigma) ** 2) / 2)
        return bell / (math.sqrt(2 * math.pi) * sigma)


class Laplace(Distribution):
    """Laplace distribution: exp(-|x - location| / b) / (2 b).

    b = standard deviation / sqrt(2).
    """

    name = "laplace"
    kurtosis = 6.0

    @classmethod
    def fit(cls, values, *, absolute=False):
        """Returns the likeliest one for values that are not all equal."""
        location = 0.0 if absolute else float(np.median(values))
        b = np.mean(np.abs(values - location))
        return cls(math.sqrt(2) * b, location=location, absolute=absolute)

    @property
    def scale(self):
        """b: the mean of |X - location|."""
        return self.standard_deviation / math.sqrt(2)

    @property
    def _entropy_of_x(self):
        return math.log(2 * self.scale) + 1

    def _centred_moments_below(self, x):
        b = self.scale
        left = -np.abs(x)
        tail = np.exp(left / b) / 2  # P(X <= -|x|).
        # The moment is even in x: the same on both sides.
        return np.where(x > 0, 1 - tail, tail), tail * (left - b)

    def _centred_density(self, x):
        return np.exp(-np.abs(x) / self.scale) / (2 * self.scale)


DISTRIBUTIONS = {kind.name: kind for kind in (Uniform, Normal, Laplace)}


def get(name) -> type[Distribution]:
    """Returns the class of that name: "uniform", "normal" or "laplace".

    Raises:
        ValueError: If there is none.
    """
    check_choice("the name of a distribution", name, DISTRIBUTIONS)
    return DISTRIBUTIONS[name]
