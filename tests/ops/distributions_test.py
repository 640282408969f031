"""Closed forms against SciPy's distributions and its integration."""

import doctest

import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from scipy import stats

from kure_tf.ops import distributions
from kure_tf.ops.distributions import Laplace, Normal, Uniform

ROOT_3 = np.sqrt(3)
SIGNED = (
    ("uniform", Uniform(), stats.uniform(-ROOT_3, 2 * ROOT_3)),
    ("normal", Normal(), stats.norm()),
    ("laplace", Laplace(), stats.laplace(scale=1 / np.sqrt(2))),
    (
        "uniform_beside_0",
        Uniform(0.7, location=0.3),
        stats.uniform(0.3 - 0.7 * ROOT_3, 1.4 * ROOT_3),
    ),
    ("normal_beside_0", Normal(0.7, location=0.2), stats.norm(0.2, 0.7)),
    (
        "laplace_beside_0",
        Laplace(0.4 * np.sqrt(2), location=-0.3),
        stats.laplace(-0.3, 0.4),
    ),
)
ABSOLUTE = (
    (
        "half_uniform",
        Uniform(0.7, absolute=True),
        stats.uniform(0, 0.7 * ROOT_3),
    ),
    ("half_normal", Normal(0.7, absolute=True), stats.halfnorm(0, 0.7)),
    (
        "exponential",
        Laplace(0.4 * np.sqrt(2), absolute=True),
        stats.expon(0, 0.4),
    ),
)
ALL = SIGNED + ABSOLUTE


class DistributionTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.named_parameters(*ALL)
    def test_partial_moments_are_those_of_scipy(self, ours, truth):
        ends = np.array([-0.7, 0.0, 0.4, 1.1])

        mass, moment = ours.moments_below(ends)

        self.assertAllClose(mass, truth.cdf(ends), rtol=1e-12)
        integrals = [
            truth.expect(lambda x: x, ub=end) if truth.cdf(end) else 0.0
            for end in ends
        ]
        self.assertAllClose(moment, integrals, rtol=1e-7, atol=1e-9)

    @parameterized.named_parameters(*ALL)
    def test_total_moments_are_those_of_scipy(self, ours, truth):
        mean = truth.mean()
        self.assertAllClose(
            ours.total_moments, (1.0, mean, truth.var() + mean**2), rtol=1e-9
        )

    @parameterized.named_parameters(*ALL)
    def test_density_and_entropy_are_those_of_scipy(self, ours, truth):
        x = np.array([-0.4, -0.01, 0.01, 0.9, 2.5])
        self.assertAllClose(ours.density(x), truth.pdf(x), rtol=1e-12)
        self.assertAllClose(ours.entropy, truth.entropy(), rtol=1e-9)

    @parameterized.named_parameters(*SIGNED[:3])
    def test_kurtosis_is_that_of_scipy(self, ours, truth):
        self.assertAllClose(ours.kurtosis, truth.stats(moments="k") + 3)

    @parameterized.named_parameters(*SIGNED[4:], *ABSOLUTE[1:])
    def test_fit_finds_the_distribution_again(self, ours, truth):
        sample = truth.rvs(200_000, random_state=0)

        fit = type(ours).fit(sample, absolute=ours.absolute)

        self.assertAllClose(
            fit.standard_deviation, ours.standard_deviation, rtol=0.01
        )
        self.assertAllClose(fit.location, ours.location, atol=0.005)
        log_likelihood = np.mean(np.log(fit.density(sample)))
        self.assertAllClose(fit.entropy, -log_likelihood, rtol=1e-9)

    def test_a_uniform_distribution_is_named_by_its_half_width(self):
        of = Uniform.on(2.0)

        self.assertAllClose(of.half_width, 2.0)
        self.assertAllClose(of.density([1.99, 2.01]), [0.25, 0.0])

    def test_examples_give_what_they_show(self):
        found = doctest.testmod(distributions)
        self.assertEqual((found.failed, found.attempted), (0, 1))


class ArgumentsTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(0.0, -1.0, np.inf)
    def test_a_standard_deviation_is_positive_and_finite(self, value):
        with self.assertRaisesRegex(ValueError, "standard deviation"):
            Normal(value)
        with self.assertRaisesRegex(ValueError, "half width"):
            Uniform.on(value)

    def test_text_is_no_number(self):
        with self.assertRaisesRegex(TypeError, "location in numbers.*'0'"):
            Normal(location="0")

    def test_absolute_values_are_of_an_x_around_zero(self):
        with self.assertRaisesRegex(ValueError, "around 0.*location 0.5"):
            Laplace(location=0.5, absolute=True)

    def test_an_unknown_name_is_refused(self):
        self.assertIs(distributions.get("normal"), Normal)
        with self.assertRaisesRegex(ValueError, "laplace.*'cauchy'"):
            distributions.get("cauchy")


if __name__ == "__main__":
    tf.test.main()
