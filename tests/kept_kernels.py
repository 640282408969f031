"""Kernels that TensorFlow has prepared stay from one test to the next.

Whoever sets TensorFlow's seed, as each `tf.test.TestCase` does, makes it forget
them all, since a random operation's kernel holds its place in a sequence. To
prepare them anew takes a quarter of the time of the suite. So they are kept
until such an operation is made; from then on, and until the module ends, each
seed makes TensorFlow forget as before. (One in a `tf.function` that an earlier
module has traced would not be noticed.) Keras draws by stateless operations,
which have no such kernels.
"""

from unittest import mock

from tensorflow.python.eager import context
from tensorflow.python.framework import random_seed


class KeptKernels:
    """Puts itself between TensorFlow and its seeds."""

    def __init__(
        self,
        get_seed=random_seed.get_seed,
        set_global_seed=context.Context._set_global_seed,
    ):
        self._drawn = True
        self._get_seed = get_seed
        self._set_global_seed = set_global_seed

    def install(self):
        """Lets seeds go through this object."""
        random_seed.get_seed = self.get_seed
        context.Context._set_global_seed = lambda itself, seed: (
            self.set_global_seed(itself, seed)
        )

    def get_seed(self, op_seed):
        """Each operation that is random and not stateless asks for one."""
        self._drawn = True
        return self._get_seed(op_seed)

    def set_global_seed(self, itself, seed):
        """Sets the seed of a `Context`, `itself`."""
        if self._drawn:
            self._set_global_seed(itself, seed)
            return
        with mock.patch.object(context.pywrap_tfe, "TFE_ContextClearCaches"):
            self._set_global_seed(itself, seed)

    def begin_module(self):
        """Forgets all kernels; those of the module that begins are kept."""
        context.context().clear_kernel_cache()
        self._drawn = False
