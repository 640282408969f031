"""A learning rate that rises first, whatever it does then."""

import tensorflow as tf

from kure_tf.compat import keras, register_serializable
from kure_tf.ops.checks import check_whole


@register_serializable("kure_tf")
class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """Lets the learning rate of another schedule rise from near 0.

        rate(t) = schedule(t) min(1, (t + 1) / steps),    t = 0, 1, ...

    Large batches, and nets that start far from their kurtosis target, have
    large gradients at first (Goyal et al. 2017, section 2.2).

    Args:
        schedule: A Keras schedule, or a learning rate.
        steps: Training steps until the rate is that of `schedule`, at least 1.

    Raises:
        TypeError, ValueError: If `steps` is no such number.
    """

    def __init__(self, schedule, steps):
        super().__init__()
        self.schedule = schedule
        self.steps = check_whole("steps", steps, 1)

    def __call__(self, step):
        rate = self.schedule
        if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
            rate = rate(step)
        risen = (tf.cast(step, tf.float32) + 1.0) / self.steps
        return tf.cast(rate, tf.float32) * tf.minimum(risen, 1.0)

    def get_config(self):
        schedule = self.schedule
        if isinstance(
            schedule, keras.optimizers.schedules.LearningRateSchedule
        ):
            schedule = keras.optimizers.schedules.serialize(schedule)
        return {"schedule": schedule, "steps": self.steps}

    @classmethod
    def from_config(cls, config):
        schedule = config["schedule"]
        if isinstance(schedule, dict):
            schedule = keras.optimizers.schedules.deserialize(schedule)
        return cls(schedule, config["steps"])
