"""The paper's own formulas for the quantizer of Eq. 1, in corrected form.

KURE paper ("Robust Quantization: One Model to Rule Them All"), section 3. Each
docstring gives the printed form where it differs. Ranges are enforced: outside
them a formula gives numbers that no quantizer has.

    Equation         Here                        Kind
    5                `uniform_mse`               exact up to 2 a / (2^M - 1)
    6, A.13, A.15    `uniform_step_size`         exact
    8 (middle)       `uniform_curvature`         exact up to 2 a / (2^M - 1)
    8 (right)        `uniform_sensitivity`       exact to second order
    9                `normal_mse`                approximation
    9, minimized     `normal_step_size`          approximation
    10               `normal_curvature`          approximation
    11               `normal_sensitivity`        approximation
    12               `uniform_flat_step_size`    exact

The numbers of the quantizer itself are in `kure_tf.paper.theory`.
"""

import math

import numpy as np
from scipy import optimize, special

from kure_tf.ops.checks import check_numbers, check_positive
from kure_tf.paper.theory.error import check_bits

# Steps up to which Eq. 9 stands for the quantizer, in standard deviations.
_NORMAL_LIMIT = 2.0


def uniform_mse(step_size, bits, half_width=1.0):
    """Returns the MSE of X uniform on [-a, a]: Eq. 5 (and A.12).

        MSE = (a - 2^(M-1) step)^3 / (3 a) + 2^M step^3 / (24 a)

    Printed for every step. It is exact up to 2 a / (2^M - 1): beyond
    2 a / 2^M its first term is negative, which takes away the part of the
    outermost bins that X does not reach. Larger steps leave those bins empty;
    there Eq. 5 falls, and below zero, while the MSE of the quantizer rises.

    Args:
        step_size: In the unit of X, positive, at most 2 a / (2^M - 1); a
            number or an array.
        bits: M, a whole number in 1..8.
        half_width: a, positive.

    Returns:
        float64 of the shape of `step_size`, in the unit of X squared.

    Raises:
        TypeError: If an argument is not a number.
        ValueError: If one is out of range.
    """
    step, levels, a = _uniform_arguments(step_size, bits, half_width)
    clipped = a - levels / 2 * step
    return clipped**3 / (3 * a) + levels * step**3 / (24 * a)


def uniform_step_size(bits, half_width=1.0):
    """Returns the best step of X uniform on [-a, a]: Eq. 6 (and A.15).

        2 a / (2^M + 1)

    Printed: 2 a / (2^M +- 1), about 2 a / 2^M. Only "+" is a minimum. At "-"
    the slope vanishes without one: Eq. 5 has a maximum there and ends, and
    the MSE of the quantizer goes on rising (at one bit it has reached E[X^2]).

    Arguments and errors are those of `uniform_mse`.
    """
    a = float(check_positive("the half width", half_width))
    return 2 * a / (2 ** check_bits(bits) + 1)


def uniform_curvature(step_size, bits, half_width=1.0):
    """Returns d^2 MSE/dstep^2 of X uniform on [-a, a]: Eq. 8, middle.

        (2^(2M-1) (a - 2^(M-1) step) + 2^(M-2) step) / a

    It falls linearly: 2^(M-1) at the best step 2 a / (2^M + 1), 1/2 at
    2 a / 2^M, 0 at `uniform_flat_step_size`.

    Arguments, range and errors are those of `uniform_mse`. Dimensionless.
    """
    step, levels, a = _uniform_arguments(step_size, bits, half_width)
    clipped = a - levels / 2 * step
    return (levels**2 / 2 * clipped + levels / 4 * step) / a


def uniform_sensitivity(epsilon, bits):
    """Returns Gamma(X_U, epsilon) to second order: Eq. 8, right.

        Gamma_U = 2^(M-2) epsilon^2

    Printed: epsilon^2 / 4, which puts 2 a / 2^M in place of the best step
    2 a / (2^M + 1); the curvature is 1/2 at the one and 2^(M-1) at the other.

    Args:
        epsilon: |step - best step| in the unit of X; a number or an array.
        bits: M, a whole number in 1..8.

    Returns:
        float64 of the shape of `epsilon`, in the unit of X squared; the same
        for every half width.

    Raises:
        TypeError: If an argument is not a number.
        ValueError: If one is out of range.
    """
    half_curvature = 2.0 ** (check_bits(bits) - 2)
    return half_curvature * check_numbers("epsilon", epsilon) ** 2


def uniform_flat_step_size(bits, half_width=1.0):
    """Returns where the curvature of the uniform's MSE is zero: Eq. 12.

        2 a / (2^M - 2^-M)

    Printed as about 2 a / 2^M, the best step, so that "robustness and
    optimality meet". It is 2^M / (2^M - 1) times the best step: close on the
    scale of the step, far on that of the curvature, which falls from 2^(M-1)
    to 0 between them. It lies inside the range of Eq. 5.

    Arguments and errors are those of `uniform_mse`.
    """
    a = float(check_positive("the half width", half_width))
    levels = 2.0 ** check_bits(bits)
    return 2 * a / (levels - 1 / levels)


def normal_mse(step_size, bits, standard_deviation=1.0):
    """Returns about the MSE of a normal X: Eq. 9, after Banner et al. 2019.

        (tau^2 + sigma^2) (1 - erf(tau / (sqrt2 sigma)))
        + tau^2 / (3 4^M) - sqrt(2 / pi) tau sigma exp(-tau^2 / (2 sigma^2))

    with tau = 2^(M-1) step. An approximation: it takes the rounding error as
    step^2 / 12, also beyond tau. It is never low, and at its own minimum
    13, 6, 2 and 0.9 % high for M = 1, 2, 3, 4; anywhere up to 2 sigma at most
    13.3, 6.9, 3.3 and 1.5 % for M = 1..4 and 0.9 % above. Beyond 2 sigma it
    grows without limit, while the MSE of the quantizer tends to sigma^2.

    Args:
        step_size: In the unit of X, positive, at most 2 sigma; a number or
            an array.
        bits: M, a whole number in 1..8.
        standard_deviation: sigma, positive.

    Returns:
        float64 of the shape of `step_size`, in the unit of X squared.

    Raises:
        TypeError: If an argument is not a number.
        ValueError: If one is out of range.
    """
    tau, levels, sigma = _normal_arguments(step_size, bits, standard_deviation)
    outside = special.erfc(tau / (math.sqrt(2) * sigma))
    bell = np.exp(-((tau / sigma) ** 2) / 2)
    return (
        (tau**2 + sigma**2) * outside
        + tau**2 / (3 * levels**2)
        - math.sqrt(2 / math.pi) * tau * sigma * bell
    )


def normal_step_size(bits, standard_deviation=1.0):
    """Returns the step with the smallest Eq. 9.

    1.3, 1.5 and 0.8 % above the best step of the quantizer for M = 1, 2, 3,
    ever closer above. The root of

        tau (1 - erf(tau / (sqrt2 sigma)) + 1 / (3 4^M))
        = sqrt(2 / pi) sigma exp(-tau^2 / (2 sigma^2))

    Arguments and errors are those of `normal_mse`.
    """
    sigma = float(check_positive("the standard deviation", standard_deviation))
    levels = 2.0 ** check_bits(bits)

    def half_slope(tau):  # By tau, at sigma = 1.
        inner = special.erfc(tau / math.sqrt(2)) + 1 / (3 * levels**2)
        return tau * inner - math.sqrt(2 / math.pi) * math.exp(-(tau**2) / 2)

    tau = optimize.brentq(half_slope, 0.1, 10.0, xtol=1e-14)
    return tau * sigma / (levels / 2)


def normal_curvature(step_size, bits, standard_deviation=1.0):
    """Returns d^2 MSE/dstep^2 of Eq. 9: Eq. 10 in corrected form.

        4^(M-1) (2 (1 - erf(tau / (sqrt2 sigma))) + 2 / (3 4^M))

    Always positive. Printed: 2 / (3 2^(2M)) - 2 erf(...) - 2, always
    negative (`printed_normal_curvature`): the sign of the constant is lost,
    and with it that the derivative by step is 2^(M-1) times that by tau.

    Arguments, range and errors are those of `normal_mse`. Dimensionless.
    """
    tau, levels, sigma = _normal_arguments(step_size, bits, standard_deviation)
    outside = special.erfc(tau / (math.sqrt(2) * sigma))
    return levels**2 / 4 * (2 * outside + 2 / (3 * levels**2))


def normal_sensitivity(epsilon, bits):
    """Returns Gamma(X_N, epsilon) of Eq. 9 to second order: Eq. 11 corrected.

    0.298, 0.432, 0.586, 0.755, 0.934, 1.12, 1.31, 1.51 epsilon^2 for
    M = 1..8; of the quantizer itself 0.338, 0.457, 0.600, 0.761, 0.937, 1.12,
    1.31, 1.51. Printed: at least 11/12 epsilon^2 for every M, from Eq. 10 as
    printed.

    Arguments, result and errors are those of `uniform_sensitivity`; the same
    for every standard deviation.
    """
    half_curvature = normal_curvature(normal_step_size(bits), bits) / 2
    return half_curvature * check_numbers("epsilon", epsilon) ** 2


def printed_uniform_sensitivity(epsilon):
    """Returns Eq. 8 as printed, epsilon^2 / 4; see `uniform_sensitivity`."""
    return check_numbers("epsilon", epsilon) ** 2 / 4


def printed_normal_curvature(step_size, bits, standard_deviation=1.0):
    """Returns Eq. 10 as printed; see `normal_curvature`, also for errors."""
    tau, levels, sigma = _normal_arguments(step_size, bits, standard_deviation)
    inside = special.erf(tau / (math.sqrt(2) * sigma))
    return 2 / (3 * levels**2) - 2 * inside - 2


def printed_normal_sensitivity(epsilon):
    """Returns the bound of Eq. 11 as printed; see `normal_sensitivity`."""
    return 11 / 12 * check_numbers("epsilon", epsilon) ** 2


def _uniform_arguments(step_size, bits, half_width):
    levels = 2.0 ** check_bits(bits)
    a = float(check_positive("the half width", half_width))
    limit = 2 * a / (levels - 1)
    step_size = _checked(step_size, limit, "2 a / (2^M - 1)", "Eq. 5 is not")
    return step_size, levels, a


def _normal_arguments(step_size, bits, standard_deviation):
    levels = 2.0 ** check_bits(bits)
    sigma = float(check_positive("the standard deviation", standard_deviation))
    limit = _NORMAL_LIMIT * sigma
    rule = f"{_NORMAL_LIMIT:g} standard deviations"
    step_size = _checked(step_size, limit, rule, "Eq. 9 is far from")
    return levels / 2 * step_size, levels, sigma


def _checked(step_size, limit, rule, beyond):
    """Returns step sizes; refuses those above `limit`, but for rounding."""
    step_size = check_positive("the step size", step_size)
    if np.any(step_size > limit * (1 + 1e-12)):
        raise ValueError(
            f"Expected a step size of at most {rule} = {limit:.6g}. Received: "
            f"{np.max(step_size):.6g}. Beyond, {beyond} the MSE of the "
            "quantizer: use kure_tf.paper.theory.mean_squared_error."
        )
    return step_size
