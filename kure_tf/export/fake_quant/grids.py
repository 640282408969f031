"""Which grid each value of a flat model gets."""

import collections

import tensorflow as tf

from kure_tf import compat
from kure_tf.export.fake_quant.copies import port_name
from kure_tf.export.fake_quant.fake_quant import FakeQuant
from kure_tf.export.fake_quant.operators import (
    FUSES,
    fixed_grid_of,
    kind_of,
    name_of,
)
from kure_tf.integer_graph.graph import Quantization
from kure_tf.integer_graph.grids import quantization_of_range


class Grids:
    """Chooses one grid for each value of a flat model.

    It is that of the one quantizer that reads the value, if that has 8 bits or
    if nothing else reads the value; else 8 bits over the range that was seen
    in calibration. What layers such as padding pass on has the same grid
    before and after, and so has what a concatenation joins. No grid has what
    goes into a ReLU that its operator takes along.

    Args:
        model: What `flat_model` returned.
    """

    def __init__(self, model):
        self.calls = list(compat.calls_of(model))
        self._outputs = {id(tensor) for tensor in model.outputs}
        self._makers, self._readers = {}, collections.defaultdict(list)
        for call in self.calls:
            self._makers[id(output_of(call))] = call
            for tensor in inputs_of(call):
                self._readers[id(tensor)].append(call)
        inputs = tf.nest.flatten(compat.functional_inputs(model))
        made = [output_of(call) for call in self.calls]
        self.rounded = [t for t in inputs + made if self._is_rounded(t)]
        self._ranges, self._found = {}, {}

    def set_ranges(self, ranges):
        """Takes `[(lowest, highest), ...]` of `rounded`, as calibration saw."""
        keys = map(id, self.rounded)
        self._ranges = dict(zip(keys, ranges, strict=True))

    def of(self, tensor) -> Quantization:
        """Returns the grid of a value, given as its symbolic tensor."""
        if id(tensor) not in self._found:
            self._found[id(tensor)] = self._choose(tensor)
        return self._found[id(tensor)]

    def name_of(self, tensor) -> str:
        """Returns the name of the layer that makes a value, or of the input."""
        maker = self._makers.get(id(tensor))
        if maker is None:
            return port_name(tensor)
        return maker.layer.name

    def _is_rounded(self, tensor):
        """Whether a FakeQuant operator follows that decides the grid."""
        maker = self._makers.get(id(tensor))
        if maker is None:
            return True
        keeps = kind_of(maker.layer) == "keeps"
        if keeps or isinstance(maker.layer, FakeQuant):
            return False
        readers = self._readers[id(tensor)]
        if len(readers) != 1 or id(tensor) in self._outputs:
            return True
        return not _is_one_operator(maker.layer, readers[0].layer)

    def _choose(self, tensor):
        maker = self._makers.get(id(tensor))
        if maker is not None and kind_of(maker.layer) in ("keeps", "averages"):
            return self.of(inputs_of(maker)[0])
        wanted, others = self._wanted(tensor)
        if len(wanted) == 1 and not others:
            return wanted[0]
        eight_bits = [grid for grid in wanted if grid.lowest == -128]
        if len(eight_bits) == 1:
            return eight_bits[0]
        fixed = None if maker is None else fixed_grid_of(maker.layer)
        return fixed or quantization_of_range(*self._ranges[id(tensor)])

    def _wanted(self, tensor):
        """Returns the different grids of readers; whether some have none.

        Those of what reads it through a layer that keeps the codes count.
        """
        wanted, others = {}, id(tensor) in self._outputs
        for reader in self._readers[id(tensor)]:
            kind = kind_of(reader.layer)
            if isinstance(reader.layer, FakeQuant):
                wanted[reader.layer.quantization] = None
            elif kind == "joins":
                wanted[self.of(output_of(reader))] = None
            elif kind == "keeps":
                more, some = self._wanted(output_of(reader))
                wanted.update(dict.fromkeys(more))
                others = others or some
            else:
                others = True
        return list(wanted), others


def _is_one_operator(maker, reader):
    """Whether nothing is rounded between two layers."""
    if kind_of(maker) is None:  # In float, as is what follows if it can be.
        return kind_of(reader) in (None, "relu") and not isinstance(
            reader, FakeQuant
        )
    return name_of(maker) in FUSES and kind_of(reader) == "relu"


def inputs_of(call):
    """Returns the symbolic tensors that a call reads."""
    leaves = tf.nest.flatten((call.args, call.kwargs))
    return [leaf for leaf in leaves if compat.is_symbolic(leaf)]


def output_of(call):
    """Returns the symbolic tensor that a call makes."""
    (output,) = tf.nest.flatten(call.outputs)
    return output
