"""Who feeds whom, in a model and the models nested in it."""

import collections

from kure_tf import compat


class LayerGraph:
    """The layers of a model and of those nested in it, and what they feed.

    All graphs together: a layer may be used in more than one of them.
    """

    def __init__(self, model):
        graphs = _graphs_of(model)
        self._consumers = collections.defaultdict(list)
        self._producers = collections.defaultdict(list)
        for graph in graphs:
            for producer, consumer in compat.graph_edges(graph):
                self._consumers[id(producer)].append(consumer)
                self._producers[id(consumer)].append(producer)
        self._ends = {
            id(layer)
            for graph in graphs
            for layer in compat.output_layers(graph)
        }
        self._training = {
            id(layer)
            for graph in graphs
            for layer in _called_in_training(graph)
        }

    def only_consumer(self, layer):
        """Returns the layer that alone takes the output, or why there is none.

        One whose only input that is.
        """
        following = self._consumers[id(layer)]
        if id(layer) in self._ends or not following:
            return "its output is an output of the model"
        if len(following) > 1 or len(self._producers[id(layer)]) > 1:
            return "its output is used more than once"
        if len(self._producers[id(following[0])]) > 1:
            return f"{following[0].name} takes other inputs, too"
        return following[0]

    def trains(self, layer):
        """Whether the graph calls the layer with `training=True`, always."""
        return id(layer) in self._training


def _called_in_training(graph):
    for call in compat.calls_of(graph):
        training = (*call.args[1:2], call.kwargs.get("training"))
        if any(value is True for value in training):
            yield call.layer
            if (inside := compat.model_in(call.layer)) is not None:
                yield from dict(compat.layers_of(inside)).values()


def _graphs_of(model):
    """Returns `model` and the models nested in it, each once."""
    found = [model]
    for graph in found:
        nested = map(compat.model_in, graph.layers)
        found.extend(
            inside
            for inside in nested
            if inside is not None and inside not in found
        )
    return found
