"""The state of a model's random layers, such as dropout."""

import contextlib

import numpy as np

from kure_tf import compat
from kure_tf.compat import keras


@contextlib.contextmanager
def restorable_randomness():
    """Random layers that are made meanwhile keep their state in variables.

    Keras 3 always does. tf_keras by default draws from operations whose state
    nobody can read, so that training with dropout could not be resumed.
    """
    if compat.IS_KERAS_3:
        yield
        return
    switch = keras.backend.experimental
    if switch.is_tf_random_generator_enabled():
        yield
        return
    switch.enable_tf_random_generator()
    try:
        yield
    finally:
        switch.disable_tf_random_generator()


def random_variables(model):
    """Returns the state variables of the model's random layers, in order."""
    if compat.IS_KERAS_3:
        weights = {id(variable) for variable in model.weights}
        return [v for v in model.variables if id(v) not in weights]
    return [generator.state for generator in _tf_keras_generators(model)]


def reseed(model, seed):
    """Sets the state of all random layers from `seed`.

    Otherwise it would depend on what the process has drawn before.
    """
    variables = random_variables(model)
    generator = np.random.default_rng([seed])
    for variable in variables:
        state = generator.integers(2**31, size=variable.shape)
        state[1:] = (
            0  # Keras 3: (seed, counter); tf.random: (counter, .., key).
        )
        variable.assign(state if compat.IS_KERAS_3 else state[::-1])


def _tf_keras_generators(model):
    generators = []
    for layer in model._flatten_layers(include_self=False):
        source = getattr(layer, "_random_generator", None)
        if source is None:
            continue
        source._maybe_init()
        if source._generator is not None:
            generators.append(source._generator)
    return generators
