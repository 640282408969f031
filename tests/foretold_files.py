"""Checks files of models of one input against what is foretold."""

import numpy as np
from litert_files import run

from kure_tf.export import simulate, to_integer_graph, write

_SETS = ("xnnpack", "builtin")  # The reference kernels have no softmax.


def check_foretold(test, model, examples, decibels):
    """The file answers what is foretold, near what the model answers.

    Args:
        test: The TestCase.
        model: A fake-quantized model of one input and one output, at a point.
        examples: Array of inputs, or of indices.
        decibels: Power of the model's answers over that of the error, at least.

    Returns:
        The `IntegerGraph`.
    """
    graph = to_integer_graph(model, examples)
    inputs, grid = examples, graph.quantization(graph.inputs[0])
    if grid is not None:
        inputs = grid.codes_of(examples)
    for kernels in _SETS:
        answers = simulate(graph, inputs, kernels, batch_size=len(inputs))
        for batch_size in (None, len(inputs)):
            content = write(graph, batch_size=batch_size)
            test.assertAllEqual(run(content, [inputs], kernels), answers)
        found = graph.quantization(graph.outputs[0]).values_of(answers)
        expected = model(examples).numpy()
        test.assertEqual(found.shape, expected.shape)
        power = np.sum((found - expected) ** 2)
        test.assertGreater(10 * np.log10(np.sum(expected**2) / power), decibels)
    return graph
