"""Distributions of a tensor's values, with the error of a grid in closed form.

Two-sided ones describe weights and signed activations, one-sided ones what a
ReLU lets through.
"""

import dataclasses

import numpy as np
from scipy import special


@dataclasses.dataclass(frozen=True)
class Distribution:
    """A distribution that was fitted to values by maximum likelihood.

    A subclass gives `mean`, `variance`, `mean_excess` and `log_likelihood`.

    Attributes:
        location: Mean or median of a two-sided distribution; where a
            one-sided one starts, 0.
        scale: Standard deviation of the normal, mean absolute deviation of
            the Laplace distribution; 0 if all values are equal.
    """

    location: float
    scale: float

    def mean_squared_error(self, step_sizes, levels, offset=0.0):
        """Returns E[(X - Q(X))^2] on a grid, for each step size.

            E[(X - c_low)^2] - 2 step sum_e E[max(X - e, 0)]

        c_low is the lowest level and e the middles between neighbouring
        levels: where X passes one, its squared error falls by 2 step (X - e).
        No approximation, unlike Banner et al., Eq. 5 and 7, which take the
        density as constant between levels.

        Args:
            step_sizes: Positive array `[s]`.
            levels: `(low, high)`, whole numbers.
            offset: Shift of the levels in steps.
        """
        steps = np.asarray(step_sizes, np.float64)[:, None]
        low, high = levels
        lowest = (low + offset) * steps[:, 0]
        middles = (np.arange(low, high) + offset + 0.5) * steps
        falls = 2 * steps[:, 0] * self.mean_excess(middles).sum(axis=1)
        error = self.variance + (self.mean - lowest) ** 2 - falls
        return np.maximum(error, 0.0)  # Rounding, where nothing is lost.


class Normal(Distribution):
    """Normal distribution."""

    @classmethod
    def fit(cls, values):
        return cls(float(np.mean(values)), float(np.std(values)))

    @property
    def mean(self):
        return self.location

    @property
    def variance(self):
        return self.scale**2

    def mean_excess(self, edges):
        """Returns E[max(X - edge, 0)]."""
        return _normal_excess(edges - self.location, self.scale)

    @property
    def log_likelihood(self):
        """Mean log-density of the values that this was fitted to."""
        return -np.log(self.scale) - 0.5 * np.log(2 * np.pi * np.e)


class Laplace(Distribution):
    """Laplace (two-sided exponential) distribution."""

    @classmethod
    def fit(cls, values):
        median = np.median(values)
        return cls(float(median), float(np.mean(np.abs(values - median))))

    @property
    def mean(self):
        return self.location

    @property
    def variance(self):
        return 2 * self.scale**2

    def mean_excess(self, edges):
        """Returns E[max(X - edge, 0)]."""
        beyond = edges - self.location
        tail = self.scale / 2 * np.exp(-np.abs(beyond) / self.scale)
        return np.maximum(-beyond, 0.0) + tail

    @property
    def log_likelihood(self):
        """Mean log-density of the values that this was fitted to."""
        return -np.log(2 * self.scale) - 1


class HalfNormal(Distribution):
    """Absolute value of a normal variable around 0."""

    @classmethod
    def fit(cls, values):
        return cls(0.0, float(np.sqrt(np.mean(np.square(values)))))

    @property
    def mean(self):
        return self.scale * np.sqrt(2 / np.pi)

    @property
    def variance(self):
        return self.scale**2 * (1 - 2 / np.pi)

    def mean_excess(self, edges):
        """Returns E[max(X - edge, 0)]; edges are not negative."""
        return 2 * _normal_excess(edges, self.scale)

    @property
    def log_likelihood(self):
        """Mean log-density of the values that this was fitted to."""
        return -np.log(self.scale) - 0.5 * np.log(np.pi * np.e / 2)


class HalfLaplace(Distribution):
    """Absolute value of a Laplace variable around 0: exponential."""

    @classmethod
    def fit(cls, values):
        return cls(0.0, float(np.mean(values)))

    @property
    def mean(self):
        return self.scale

    @property
    def variance(self):
        return self.scale**2

    def mean_excess(self, edges):
        """Returns E[max(X - edge, 0)]; edges are not negative."""
        return self.scale * np.exp(-edges / self.scale)

    @property
    def log_likelihood(self):
        """Mean log-density of the values that this was fitted to."""
        return -np.log(self.scale) - 1


TWO_SIDED = {"normal": Normal, "laplace": Laplace}
ONE_SIDED = {"normal": HalfNormal, "laplace": HalfLaplace}


def _normal_excess(beyond, deviation):
    """Returns E[max(Z - beyond, 0)] of a normal Z around 0."""
    z = beyond / deviation
    density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    return deviation * (density - z * special.ndtr(-z))
