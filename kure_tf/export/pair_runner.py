"""A file beside what it should answer."""

import dataclasses

import numpy as np

from kure_tf.evaluation import Runner, litert_runner
from kure_tf.export.kernel_sets import RESOLVERS
from kure_tf.export.simulate import Simulation, ports_of
from kure_tf.export.write import write


def pair_runner(
    content, graph, kernels, *, file_batch_size, num_threads, batch_size
) -> Runner:
    """Returns the answers of a file and how many codes were not foretold.

    Where layers are left in float, the last bit of a sum may depend on where
    in memory it is made, so that no two files need agree. A second file, that
    puts out what goes into these layers and what comes out, is asked then: all
    integers are foretold from the one to the other. The answers are those of
    the file itself.

    Args:
        content: The bytes of the file.
        graph: The `IntegerGraph` that it was written from.
        kernels: Whose kernels run, and are foretold.
        file_batch_size: The batch size of the file; None for any.
        num_threads: How many batches may run side by side.
        batch_size: Examples in each.

    Returns:
        A `Runner` of two outputs: the values of the first output of the file,
        and the number of differing codes of each example.
    """

    def runner(content):
        return litert_runner(
            content,
            resolver=RESOLVERS[kernels],
            num_threads=num_threads,
            batch_size=batch_size,
        )

    shown = _with_float_ends(graph)
    file = asked = runner(content)
    if shown is not graph:
        asked = runner(write(shown, batch_size=file_batch_size))
    simulation = Simulation(_without_floats(shown), kernels)
    order = np.argsort(graph.inputs)  # As files of several inputs take them.
    names = [name for name in shown.outputs if name not in _made(shown)]

    def answer(inputs):
        given = [inputs[number] for number in order]
        received = asked.answer(given)
        codes = {
            name: shown.quantization(name).codes_of(values)
            for name, values in zip(shown.outputs, received, strict=True)
        }
        made = [codes[name] for name in _made(shown)]
        foretold = simulation([*inputs, *made], names)
        differing = np.zeros(len(received[0]), int)
        for name, found in zip(names, foretold, strict=True):
            others = codes[name] != found
            differing += others.sum(tuple(range(1, found.ndim)))
        if asked is not file:
            received = file.answer(given)
        return [received[0], differing]

    return Runner(
        graph.name,
        ports_of(graph, graph.inputs),
        ports_of(graph, graph.outputs[:1]),
        answer,
        file.batch_size,
        num_threads,
    )


def compared_codes(graph) -> int:
    """Returns how many codes of one example `pair_runner` compares."""
    shown = _with_float_ends(graph)
    names = set(shown.outputs) - set(_made(shown))
    return sum(int(np.prod(shown.tensors[name].shape)) for name in names)


def _floats(graph):
    return [one for one in graph.operators if one.kind == "FLOAT"]


def _made(graph):
    """Returns the names of the tensors that layers in float make."""
    return [operator.output for operator in _floats(graph)]


def _with_float_ends(graph):
    """Returns a graph that puts out what goes into float layers, and out."""
    if not _floats(graph):
        return graph
    read = [name for one in _floats(graph) for name in one.inputs]
    read = [
        name
        for name in read
        if name not in graph.inputs and graph.quantization(name) is not None
    ]
    outputs = dict.fromkeys((*graph.outputs, *read, *_made(graph)))
    return dataclasses.replace(graph, outputs=tuple(outputs))


def _without_floats(graph):
    """Returns a graph that is given what layers in float make."""
    operators = [one for one in graph.operators if one.kind != "FLOAT"]
    return dataclasses.replace(
        graph,
        operators=tuple(operators),
        inputs=(*graph.inputs, *_made(graph)),
    )
