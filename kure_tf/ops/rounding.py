"""Rounding to whole numbers in other ways than to the nearest."""

import zlib

import tensorflow as tf

NEAREST = 0.0
HALF_UP = 1.0
FLOOR = 2.0
STOCHASTIC = 3.0
"""Codes of rounding modes; `STOCHASTIC + n` draws by seed n."""

SEEDS = 2**23
"""How many seeds a code can tell apart: float32 counts exactly that far."""

_CODES = {"nearest": NEAREST, "half_up": HALF_UP, "floor": FLOOR}
_SLACK = 2.0**-14
_FOUR_ULPS = 2.0**-21  # Of float32, relative.
_FRACTION = 2**23 - 1  # The bits of a float32 behind the binary point,
_ONE = 127 << 23  # and the others, of a number from 1 to 2.


def rounding_code(mode, path) -> float:
    """Returns the code of an operating point's rounding mode for one tensor.

    Args:
        mode: "nearest", "half_up", "floor" or "stochastic:<seed>".
        path: Path of the tensor: each draws numbers of its own from one seed.
    """
    if mode in _CODES:
        return _CODES[mode]
    seed = mode.partition(":")[2]
    return STOCHASTIC + zlib.crc32(f"{seed} {path}".encode()) % SEEDS


# A function of its own that is not inlined: traced and optimized once for all
# tensors, it adds one operation to what each of them compiles.
@tf.function(
    input_signature=[
        tf.TensorSpec(None, tf.float32),
        tf.TensorSpec(None, tf.float32),
        tf.TensorSpec(None, tf.float32),
        tf.TensorSpec([], tf.float32),
        tf.TensorSpec([], tf.float32),
        tf.TensorSpec([], tf.float32),
    ],
    autograph=False,
    experimental_attributes={"_noinline": True},
)
def quantize_by_mode(x, step_size, origin, low, high, mode):
    """Returns `fake_quantize` with another rounding: `round_by_mode`.

        y = origin + step_size * round_by_mode(clip((x - origin) / step_size))

    It has no gradient: `fake_quantize` has.
    """
    v = tf.clip_by_value((x - origin) / step_size, low, high)
    return origin + step_size * round_by_mode(v, mode)


def round_by_mode(v, mode):
    """Returns `v` rounded to one of its two whole neighbours.

        floor(v) + [v - floor(v) >= threshold]

    with the threshold of the mode:

        NEAREST      0.5, or more where v is halfway and floor(v) even
        HALF_UP      0.5: halves go up, what adding 0.5 and truncating does
        FLOOR        1: the fraction is cut off, as truncating hardware does
        STOCHASTIC   1 - u, u uniform in [0, 1): up with the probability of
                     the fraction, so that the mean of the result is v

    (Comparing the fraction is exact where `floor(v + 0.5)` is not: that takes
    0.49999997 to 1 in float32.) FLOOR lets values within 2^-14, or four units
    in the last place, below a whole number count as that number: a value that
    lies on the grid already may come out of a division that little below it.

    Args:
        v: Float32 tensor of any shape; values in units of the step size.
        mode: Scalar, one of the codes of this module. The same seed and shape
            give the same draw, from call to call.
    """
    below = tf.floor(v)
    seed = tf.cast(mode - STOCHASTIC, tf.int32)
    # Drawn in vain for the other modes: a condition would cost every model the
    # time to compile it.
    drawn = _uniform(tf.shape(v), tf.stack([0, seed]))
    below_one = 1.0 - tf.maximum(_SLACK, tf.abs(v) * _FOUR_ULPS)
    fixed = tf.where(tf.equal(mode, HALF_UP), 0.5, below_one)
    threshold = tf.where(mode < STOCHASTIC, fixed, 1.0 - drawn)
    rounded = below + tf.cast(v - below >= threshold, tf.float32)
    return tf.where(tf.equal(mode, NEAREST), tf.round(v), rounded)


def _uniform(shape, seed):
    """Returns `tf.random.stateless_uniform(shape, seed)`, under XLA as well.

    XLA would choose another algorithm, and makes numbers of other bits of what
    that draws: here both are said.
    """
    bits = tf.random.stateless_uniform(
        shape, seed, None, None, tf.int32, alg="philox"
    )
    fraction = tf.bitwise.bitwise_and(bits, _FRACTION)
    from_1_to_2 = tf.bitwise.bitwise_or(fraction, _ONE)
    return tf.bitcast(from_1_to_2, tf.float32) - 1.0
