"""Batch normalization whose statistics stay what they are while training."""

import contextlib

from kure_tf import compat


@contextlib.contextmanager
def frozen_batch_norm(model):
    """While open, batch normalization trains with its moving statistics.

    Mean and variance are those that inference uses, and no longer change;
    gamma and beta still learn. (`layer.trainable = False` would stop those
    too.) Quantization noise moves the statistics of a batch from step to step;
    holding them for the last epochs lets weights and step sizes settle on what
    will be deployed.

    A training step that was compiled before has to be compiled again.

    Args:
        model: A built functional or sequential model.
    """
    with contextlib.ExitStack() as stack:
        for _, layer in compat.batch_norms_of(model):
            stack.enter_context(
                compat.calling(layer, _in_inference_mode(layer.call))
            )
        yield


def _in_inference_mode(call):
    def frozen(inputs, training=None, mask=None):
        del training
        return call(inputs, training=False, mask=mask)

    return frozen
