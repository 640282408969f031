"""The import of tensorflow-model-optimization, without its side effect.

It sets the environment variable TF_USE_LEGACY_KERAS, which would change the
Keras of every process that is started afterwards, and it makes `tf.keras`
tf_keras if nobody has asked for `tf.keras` before. `compat` has.
"""

import os

_VARIABLE = "TF_USE_LEGACY_KERAS"
_before = os.environ.get(_VARIABLE)
try:
    import tensorflow_model_optimization as tfmot
finally:
    if _before is None:
        os.environ.pop(_VARIABLE, None)
    else:
        os.environ[_VARIABLE] = _before

__all__ = ["tfmot"]
