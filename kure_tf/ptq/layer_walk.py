"""What the layers of a network see, one layer after the other."""

import contextlib

import tensorflow as tf

from kure_tf import compat

_MOST_BYTES = 1 << 29


class LayerWalk:
    """The inputs of a network's layers, in the order of its graph.

    A pass to each layer from the beginning would cost the square of the depth.
    So the tensors that are still needed before a layer are kept, for all
    images, and the next pass starts from them. What lies before a layer must
    not change once its inputs were asked for.

    They take 512 MiB at most: where they would take more, the next pass starts
    where this one did.

    Args:
        model: A functional or sequential model.
        batches: List of the inputs of each batch.
    """

    def __init__(self, model, batches):
        self._calls = list(compat.calls_of(model))
        self._last_use = {}
        for number, call in enumerate(self._calls):
            for tensor in _symbolic(call.args, call.kwargs):
                self._last_use[id(tensor)] = number
        self._first = [compat.input_values(model, one) for one in batches]
        self._start, self._kept = 0, self._first

    def inputs_of(self, layer):
        """Yields, batch by batch, a list of what each call of `layer` sees."""
        first, last = self._places(layer)
        if first < self._start:
            self._start, self._kept = 0, self._first
        kept, size = [], 0
        for values in self._kept:
            values = self._run(values, self._start, first)
            if size <= _MOST_BYTES:
                size += sum(_bytes_of(tensor) for tensor in values.values())
                kept.append(values)
            yield self._seen(layer, values, first, last)
        if size <= _MOST_BYTES:
            self._start, self._kept = first, kept

    def _places(self, layer):
        """Returns the first and last call that is `layer`, or holds it."""
        places = [
            number
            for number, call in enumerate(self._calls)
            if call.layer is layer or _holds(call.layer, layer)
        ]
        return places[0], places[-1]

    def _run(self, values, start, stop):
        """Returns what is needed from call `stop` on."""
        values = dict(values)
        for number in range(start, stop):
            call = self._calls[number]
            outputs = call.layer(
                *compat.with_values(call.args, values),
                **compat.with_values(call.kwargs, values),
            )
            compat.note_values(values, call.outputs, outputs)
            for tensor in _symbolic(call.args, call.kwargs, call.outputs):
                if self._last_use.get(id(tensor), -1) <= number:
                    values.pop(id(tensor), None)
        return values

    def _seen(self, layer, values, first, last):
        """Runs from the first to the last call of a layer."""
        seen, own_call = [], layer.call
        wanted = sum(call.layer is layer for call in self._calls)

        def call(x, *args, **kwargs):
            seen.append(tf.convert_to_tensor(x))
            if len(seen) == wanted:
                raise _SeenAll
            return own_call(x, *args, **kwargs)

        with compat.calling(layer, call), contextlib.suppress(_SeenAll):
            self._run(values, first, last + 1)
        return seen


class _SeenAll(BaseException):
    """Ends a forward pass once the wanted layer has its last input.

    Keras catches each `Exception` to write the layer's arguments into it.
    """


def _holds(outer, layer):
    model = compat.model_in(outer)
    return model is not None and any(
        found is layer for _, found in compat.layers_of(model)
    )


def _symbolic(*structures):
    leaves = tf.nest.flatten(structures)
    return [leaf for leaf in leaves if compat.is_symbolic(leaf)]


def _bytes_of(tensor):
    return int(tf.size(tensor)) * tensor.dtype.size
