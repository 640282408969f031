"""What reaches the inputs of a fake-quantized model's layers."""

import contextlib

import numpy as np

from kure_tf.data.batches import batches_of
from kure_tf.fake_quantized.tensors import quantizers_of

SAMPLE = 1 << 18
"""At most so many values of one activation tensor are kept."""


class Observation:
    """The values of one activation tensor seen so far: ends and a sample.

    Attributes:
        path: "layer/input".
        lowest: Smallest value that was seen, of all, not only the sample.
        highest: Largest value that was seen.
    """

    def __init__(self, path, seed):
        self.path = path
        self.lowest, self.highest = np.inf, -np.inf
        self._parts = []
        self._share = 1.0  # Of all values so far, those that are kept.
        self._random = np.random.default_rng(seed)

    def add(self, values):
        """Takes note of an array of values; they must be finite."""
        values = np.asarray(values, np.float32).reshape(-1)
        if not np.isfinite(values).all():
            raise ValueError(
                f"Expected finite activations. {self.path!r} has NaN or "
                "infinity on the calibration examples: look at them and "
                "at the weights of the layers before it."
            )
        self.lowest = min(self.lowest, values.min())
        self.highest = max(self.highest, values.max())
        # Every value has the same chance, whatever its batch's place and size.
        self._parts.append(self._thinned(values, self._share))
        while sum(part.size for part in self._parts) > 4 * SAMPLE:
            self._share /= 2
            self._parts = [self._thinned(part, 0.5) for part in self._parts]

    def _thinned(self, values, share):
        if share == 1.0:
            return values
        return values[self._random.random(values.size, np.float32) < share]

    def sample(self):
        """Returns at most `SAMPLE` of the values, drawn evenly from all."""
        values = np.concatenate(self._parts)
        if values.size > SAMPLE:
            values = values[self._random.permutation(values.size)[:SAMPLE]]
        return values


def observe_inputs(model, batches, progress=True):
    """Runs batches through a model and returns what its quantizers saw.

    Args:
        model: A fake-quantized model, at the operating point to be observed
            (normally float).
        batches: Calibration images: what `batches_of` takes.
        progress: Whether to show a progress bar.

    Returns:
        `({tensor path: Observation}, number of images)`.

    Raises:
        TypeError, ValueError: As `batches_of`, or if an activation is NaN.
    """
    hosts = {}
    for path, tensor in quantizers_of(model).items():
        if tensor.kind == "activation":
            hosts[id(tensor.layer), path.rpartition("/")[2]] = path
    observations = {
        path: Observation(path, seed)
        for seed, path in enumerate(hosts.values())
    }

    def observer(layer, tensor, values):
        path = hosts.get((id(layer), tensor))
        if path is not None:
            observations[path].add(values)

    images = 0
    with contextlib.ExitStack() as stack:
        for tensor in quantizers_of(model).values():
            if tensor.kind == "activation":
                stack.enter_context(tensor.layer.observed_by(observer))
        for batch in batches_of(
            batches, model, "calibration examples", progress=progress
        ):
            model(batch.inputs, training=False)
            images += batch.count
    return observations, images
