"""How many bits a file gives each code of a kernel."""

import dataclasses

import numpy as np

from kure_tf.integer_graph.graph import IntegerGraph, check_graph

_LARGEST = {8: 127, 4: 7, 2: 1}


def with_container(graph, bits, *, depthwise=True) -> IntegerGraph:
    """Returns a graph whose kernels are stored in `bits` bits where they fit.

    Kernels that were quantized to more bits stay in 8. So do tables and those
    of transposed convolutions, which LiteRT does not run in 4, and of grouped
    ones, which no kernel set is known to run so. The answers stay
    those of the built-in and reference kernels; the default kernels, XNNPACK,
    have none for convolutions of 4 bits, which then run on the built-in ones:
    a file of half the size, slower on a CPU.

    Args:
        graph: An `IntegerGraph`.
        bits: 8, 4 or 2.
        depthwise: Whether depthwise kernels get 4 bits too, which some
            devices do not run.

    Raises:
        TypeError: If `graph` is something else.
        ValueError: If there is no such container; if `bits` is 2 and the
            kernel of a convolution was quantized to 2 bits and holds no code
            but -1, 0 and 1: it would fit, but no kernel of LiteRT runs it.
            Convolutions whose codes do not fit stay in 8 bits.
    """
    check_graph(graph)
    if bits not in _LARGEST:
        raise ValueError(
            "Expected a container of 8, 4 or 2 bits, what LiteRT's files "
            f"have. Received: {bits!r}."
        )
    operators = []
    for operator in graph.operators:
        weights = operator.weights
        if weights is not None:
            kept = 8 if _stays(operator, bits, depthwise) else bits
            weights = dataclasses.replace(weights, container=kept)
            operator = dataclasses.replace(operator, weights=weights)
        operators.append(operator)
    return dataclasses.replace(graph, operators=tuple(operators))


def _stays(operator, bits, depthwise):
    weights = operator.weights
    largest = int(np.abs(weights.codes.astype(int)).max())
    if weights.bits > bits or largest > _LARGEST[bits]:
        return True
    if operator.kind == "GATHER":  # It would put out 4 bits, too.
        return True
    if bits == 2 and operator.kind != "FULLY_CONNECTED":
        raise ValueError(
            "Expected 2-bit containers for dense layers only: LiteRT has no "
            f"kernel that runs a {operator.kind} of 2 bits. Received: "
            f"{weights.path!r}. Use a container of 4 bits, which holds the "
            "same codes."
        )
    if operator.kind == "TRANSPOSE_CONV" or "groups" in operator.options:
        return True
    return operator.kind == "DEPTHWISE_CONV_2D" and not depthwise
