"""The search for one layer's rounding, on second moments alone."""

import dataclasses
import math

import numpy as np
import tensorflow as tf

_ZETA, _GAMMA = 1.1, -0.1  # Of the rectified sigmoid (Nagel et al., Eq. 23).
_FIRST_BETA, _LAST_BETA = 20.0, 2.0
_WITHOUT_REGULARIZATION = 0.2  # Of the updates: first the error alone.
_MOMENTUM, _MOMENTUM_OF_SQUARES, _EPSILON = 0.9, 0.999, 1e-12
_TINY = 1e-12
_ROUNDS = 4
_SMALLEST_GAIN = 1e-6  # Relative: rounding errors are no gain.


class SecondMoments:
    """What the error of a layer's output needs to know of all images.

        rows^T rows / n,   rows^T y / n,   y^2 / n

    where `rows` are the patches of the quantized network's input and y the
    output of the float one; see `KernelMatrix`. The error of any kernel
    follows from them, so that no image is looked at twice.

    Args:
        centered: Whether the means over n are subtracted.
    """

    def __init__(self, *, centered):
        self._centered = centered
        self._count, self._sums = 0, None

    def add(self, rows, outputs):
        """Takes note of tensors `[g, n, k]` and `[g, n, m]`."""
        sums = [
            tf.matmul(rows, rows, transpose_a=True),
            tf.matmul(rows, outputs, transpose_a=True),
            tf.reduce_sum(outputs**2, 1),
            tf.reduce_sum(rows, 1),
            tf.reduce_sum(outputs, 1),
        ]
        sums = [np.asarray(found, np.float64) for found in sums]
        if self._sums is not None:
            sums = [a + b for a, b in zip(self._sums, sums, strict=True)]
        self._sums = sums
        self._count += int(rows.shape[1])

    def means(self):
        """Returns them as float32 arrays `[g, k, k]`, `[g, k, m]`, `[g, m]`."""
        gram, cross, power, row, output = (
            found / self._count for found in self._sums
        )
        if self._centered:
            gram = gram - row[:, :, np.newaxis] * row[:, np.newaxis]
            cross = cross - row[:, :, np.newaxis] * output[:, np.newaxis]
            power = power - output**2
        return tuple(np.float32(found) for found in (gram, cross, power))

    def mean_error(self, matrix) -> np.ndarray:
        """Returns E[y] - E[rows] matrix, float64 `[g, m]`, of `[g, k, m]`."""
        row, output = (found / self._count for found in self._sums[3:])
        return output - np.einsum("gk,gkm->gm", row, matrix)


@dataclasses.dataclass(frozen=True)
class OutputError:
    """The error of a layer's output, per output channel.

    In the ordinary case relative to the float output y,

        E[(y - q)^2] / E[y^2],

    and, where batch normalization with the statistics of the quantized network
    follows, of what it makes of them up to its gain,

        E[(z(y) - z(q))^2],    z(y) = (y - E[y]) / sqrt(Var[y] + epsilon).

    Attributes:
        step_size: Array `[g, 1, m]`: the unit of the codes.
        moments: What `SecondMoments.means` returned; centered in that case.
        epsilon: Of the batch normalization; None for the ordinary case.
        offset: What the level of a code is more than the code, in steps.
    """

    step_size: np.ndarray
    moments: tuple
    epsilon: float | None = None
    offset: float = 0.0

    def __call__(self, codes):
        """Returns the errors `[g, m]` of codes `[g, k, m]`, as an array."""
        found = _error(tf.constant(codes, tf.float32), *self.arguments())
        return found.numpy()

    def of_sums(self, own, shared, power):
        """Returns the errors for E[q^2], E[y q] and E[y^2], as arrays."""
        own, power = np.maximum(own, 0.0), np.maximum(power, 0.0)
        if self.epsilon is None:
            return _relative(power, own, shared)
        return _normalized(power, own, shared, self.epsilon)

    def arguments(self):
        """Returns what the compiled functions take."""
        normalized = self.epsilon is not None
        return (
            tf.constant(self.step_size, tf.float32),
            *(tf.constant(found) for found in self.moments),
            tf.constant(self.epsilon if normalized else 0.0, tf.float32),
            tf.constant(normalized),
            tf.constant(self.offset, tf.float32),
        )


def _error(codes, step_size, gram, cross, power, epsilon, normalized, offset):
    matrix = (codes + offset) * step_size
    own = tf.reduce_sum(matrix * tf.matmul(gram, matrix), 1)
    shared = tf.reduce_sum(matrix * cross, 1)
    # Differences of sums: rounding may leave a variance below zero.
    own, power = tf.maximum(own, 0.0), tf.maximum(power, 0.0)
    return tf.where(
        normalized,
        _normalized(power, own, shared, epsilon),
        _relative(power, own, shared),
    )


def _relative(power, own, shared):
    return (power + own - 2.0 * shared) / (power + _TINY)


def _normalized(power, own, shared, epsilon):
    a, b = power + epsilon + _TINY, own + epsilon + _TINY
    return power / a + own / b - 2.0 * shared / (a * b) ** 0.5


def learned_codes(
    error, weights, levels, *, updates, learning_rate, regularization
):
    """Returns codes near `weights` with a small error.

    Each weight goes to one of its two neighbouring levels. The choice is
    relaxed to h(V) between them,

        code = clip(floor(weight) + h(V), low, high)
        h(V) = clip(sigmoid(V) (zeta - gamma) + gamma, 0, 1)

    V starts where h(V) is the weight's own fraction, and Adam minimizes

        error / error of the nearest levels
            + regularization * mean(1 - |2 h(V) - 1|^beta)

    summed over channels, where beta falls from 20 to 2 as a cosine after a
    first fifth of the updates without regularization. (The paper weighs a sum
    against the error itself; in relation to the error at the start, the same
    weight serves all bit-widths and sizes of kernels.) Channels are
    independent of each other; one that this has made worse than rounding to
    the nearest level is rounded so. In the end single weights still go to
    their other level where that makes the error smaller, which matters for
    kernels with few weights.

    Args:
        error: The `OutputError` of codes.
        weights: Array `[g, k, m]`, in units of its step size.
        levels: `(low, high)`.
        updates, learning_rate, regularization: See `adaround`.

    Returns:
        `(codes, error of the nearest levels, error of the codes)`: arrays
        `[g, k, m]`, `[g, m]`, `[g, m]`.
    """
    low, high = levels
    nearest = np.clip(np.rint(weights), low, high)
    floor = np.floor(weights)
    fraction = np.clip(weights - floor, 0.01, 0.99)
    share = (fraction - _GAMMA) / (_ZETA - _GAMMA)
    before = error(nearest)
    v = _descend(
        tf.constant(np.log(share / (1 - share)), tf.float32),
        tf.constant(floor, tf.float32),
        tf.constant([low, high], tf.float32),
        tf.constant([updates, learning_rate, regularization], tf.float32),
        tf.constant(1.0 / (before + _TINY)),
        *error.arguments(),
    )
    up = _rectified(v).numpy() >= 0.5
    codes = np.clip(floor + up, low, high)
    better = (error(codes) < before)[:, np.newaxis]
    codes = np.where(better, codes, nearest)
    if updates:
        codes = _settled(error, codes, floor, levels)
    return codes, before, error(codes)


def _settled(error, codes, floor, levels):
    """Returns codes of which none gains by going to its other neighbour.

    One weight after the other, of all channels at once; at most a few rounds.
    """
    step_size = error.step_size.astype(np.float64)
    gram, cross, power = (np.float64(found) for found in error.moments)
    codes = codes.astype(np.float64)
    matrix = (codes + error.offset) * step_size
    response = gram @ matrix
    own, shared = (matrix * response).sum(1), (matrix * cross).sum(1)
    for _ in range(_ROUNDS):
        before = codes.copy()
        for k in range(codes.shape[1]):
            other = np.clip(2 * floor[:, k] + 1 - codes[:, k], *levels)
            move = (other - codes[:, k]) * step_size[:, 0]
            diagonal = gram[:, k, k, np.newaxis]
            new_own = own + 2 * move * response[:, k] + move**2 * diagonal
            new_shared = shared + move * cross[:, k]
            present = error.of_sums(own, shared, power)
            gain = present - error.of_sums(new_own, new_shared, power)
            better = gain > _SMALLEST_GAIN * present
            move = np.where(better, move, 0.0)
            codes[:, k] = np.where(better, other, codes[:, k])
            own = np.where(better, new_own, own)
            shared = np.where(better, new_shared, shared)
            response += gram[:, :, k, np.newaxis] * move[:, np.newaxis]
        if (codes == before).all():
            break
    return codes


def _rectified(v):
    return tf.clip_by_value(tf.sigmoid(v) * (_ZETA - _GAMMA) + _GAMMA, 0.0, 1.0)


_MATRIX = tf.TensorSpec((None, None, None), tf.float32)


@tf.function(
    input_signature=[
        _MATRIX,
        _MATRIX,
        tf.TensorSpec((2,), tf.float32),
        tf.TensorSpec((3,), tf.float32),
        tf.TensorSpec((None, None), tf.float32),
        _MATRIX,
        _MATRIX,
        _MATRIX,
        tf.TensorSpec((None, None), tf.float32),
        tf.TensorSpec((), tf.float32),
        tf.TensorSpec((), tf.bool),
        tf.TensorSpec((), tf.float32),
    ],
    autograph=False,
)
def _descend(v, floor, levels, options, weights, *error):
    """Returns V after all updates of Adam; one graph serves all layers."""
    updates, learning_rate, regularization = tf.unstack(options)

    def gradient(v, beta, weight):
        with tf.GradientTape() as tape:
            tape.watch(v)
            h = _rectified(v)
            codes = tf.clip_by_value(floor + h, levels[0], levels[1])
            undecided = 1.0 - tf.abs(2.0 * h - 1.0) ** beta
            loss = weights * _error(codes, *error)
            loss = loss + weight * tf.reduce_mean(undecided, 1)
        return tape.gradient(loss, v)

    def update(n, v, mean, squares):
        first = _WITHOUT_REGULARIZATION
        done = tf.maximum((n / updates - first) / (1.0 - first), 0.0)
        beta = _LAST_BETA + (_FIRST_BETA - _LAST_BETA) * 0.5 * (
            1.0 + tf.cos(math.pi * done)
        )
        weight = tf.where(done > 0.0, regularization, 0.0)
        found = gradient(v, beta, weight)
        b, c = _MOMENTUM, _MOMENTUM_OF_SQUARES
        mean = b * mean + (1.0 - b) * found
        squares = c * squares + (1.0 - c) * found**2
        deviation = tf.sqrt(squares / (1.0 - c ** (n + 1.0)))
        move = mean / (1.0 - b ** (n + 1.0)) / (deviation + _EPSILON)
        return n + 1.0, v - learning_rate * move, mean, squares

    zeros = tf.zeros_like(v)
    return tf.while_loop(
        lambda n, *rest: n < updates, update, (0.0, v, zeros, zeros)
    )[1]
