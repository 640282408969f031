"""Training one set of weights for many operating points at once."""

import numpy as np

from kure_tf.compat import keras
from kure_tf.fake_quantized import set_operating_point
from kure_tf.ops.checks import check_real
from kure_tf.settings.operating_point import OperatingPoint


class SampledPrecision(keras.callbacks.Callback):
    """Moves the model to a random operating point before every batch.

    One set of weights is then trained for all the points of a distribution:
    weight and activation bits are drawn from lists, each entry as likely as the
    others (name one twice to have it twice as often), the step ratio
    log-uniformly from a range, rounding to powers of two with a probability.
    Bits are variables, so that nothing is traced again.

    The draw is a function of (seed, epoch, batch) alone: a run that is resumed
    draws what the uninterrupted one would have.

    Batch-norm statistics become an average over the points. Re-estimate them
    at the point of deployment (`ptq.reestimate_batch_norm`), above all at few
    bits; see docs/pages/training.md for its worth.

    Validation, and the end of training, see the point `final`.

    Args:
        weight_bits: Bit-widths to draw from; None among them is float.
        activation_bits: Likewise; `(None,)` leaves activations in float.
        step_scale: `(low, high)` of the step ratio; None keeps it at 1.
        power_of_two: Probability that steps are rounded to powers of two.
        final: The operating point for validation and after training.
        seed: Seed of the draw.

    Raises:
        ValueError: If a value is outside what is allowed.

    Example:
        >>> model = kure_tf.quantize_aware(model, "lsq", 4, None)
        >>> model.fit(x, y, callbacks=[SampledPrecision((3, 4, 5, 6, 8))])
    """

    def __init__(
        self,
        weight_bits=(3, 4, 5, 6, 8),
        activation_bits=(None,),
        *,
        step_scale=None,
        power_of_two=0.0,
        final="FP/FP",
        seed=0,
    ):
        super().__init__()
        self._weight_bits = _checked_bits("weight_bits", weight_bits)
        self._activation_bits = _checked_bits(
            "activation_bits", activation_bits
        )
        self._range = _checked_range(step_scale)
        self._power_of_two = check_real(
            "power_of_two as a probability",
            power_of_two,
            "in [0, 1]",
            lambda p: 0 <= p <= 1,
        )
        self._final = OperatingPoint.parse(str(final))
        self._seed = seed
        self._epoch = 0

    def point(self, epoch, batch) -> OperatingPoint:
        """Returns the operating point of that batch."""
        random = np.random.default_rng([self._seed, epoch, batch])
        weight = self._weight_bits[random.integers(len(self._weight_bits))]
        activation = self._activation_bits[
            random.integers(len(self._activation_bits))
        ]
        low, high = np.log(self._range)
        scale = float(np.exp(random.uniform(low, high)))
        rounded = random.random() < self._power_of_two
        return OperatingPoint(
            weight,
            activation,
            step_scale=scale,
            step_rounding="nearest" if rounded else None,
        )

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        set_operating_point(self.model, self.point(self._epoch, batch))

    def on_test_begin(self, logs=None):
        set_operating_point(self.model, self._final)

    def on_epoch_end(self, epoch, logs=None):
        set_operating_point(self.model, self._final)

    def on_train_end(self, logs=None):
        set_operating_point(self.model, self._final)


def _checked_bits(name, values):
    values = tuple(values)
    if not values:
        raise ValueError(
            f"Expected at least one bit-width in {name}, such as (3, 4, 8), or "
            "(None,) for float. Received none."
        )
    # The operating point knows what is allowed.
    return tuple(OperatingPoint(bits).weight_bits for bits in values)


def _checked_range(step_scale):
    if step_scale is None:
        return (1.0, 1.0)
    low, high = step_scale
    if not 0 < low <= high:
        raise ValueError(
            "Expected step_scale as (low, high) with 0 < low <= high, such as "
            f"(0.8, 1.3). Received: {step_scale!r}."
        )
    return (low, high)
