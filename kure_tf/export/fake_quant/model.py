"""A fake-quantized model as one that TFLite's converter understands."""

import numpy as np
import tensorflow as tf

from kure_tf import compat
from kure_tf.compat import keras
from kure_tf.data.batches import batches_of
from kure_tf.data.ports import input_ports
from kure_tf.export.fake_quant.copies import (
    Copies,
    Names,
    new_input,
    port_name,
)
from kure_tf.export.fake_quant.fake_quant import FakeQuant
from kure_tf.export.fake_quant.flat import flat_model
from kure_tf.export.fake_quant.grids import Grids, inputs_of, output_of
from kure_tf.export.fake_quant.operators import kind_of


def fake_quant_model(
    model, calibration, *, container="int8", allow_others=False
):
    """Returns a Keras model that TFLite's converter turns into our codes.

    The model that comes back computes what `model` computes, with TensorFlow's
    FakeQuant operators in place of kure_tf's quantizers. From them the user's
    own converter takes every scale and zero point, without a representative
    data set:

        >>> converter = tf.lite.TFLiteConverter.from_keras_model(
        ...     fake_quant_model(model, calibration)
        ... )
        >>> converter.optimizations = [tf.lite.Optimize.DEFAULT]
        >>> content = converter.convert()
        >>> check_converted_file(content, model)

    Kernels hold the codes of `integer_weights(model)`, and with batch
    normalization folded in, those with the sign of its gain, at the scale
    step * |gain|. Activations of N bits are the highest 2^N of the 256 codes.
    Tensors that no quantizer reads (outputs, sums, what goes into a mean) get
    8 bits over the range that the calibration images show. Where a value is
    read on two grids, such as 4 bits by a convolution and 8 by the sum around
    it, it is rounded to 8 bits first and then, in front of the convolution, to
    4.

    What that changes in the outputs: each of these additional roundings moves
    its tensor by half a step of its 8 bits at most, as long as values stay in
    the range that was seen; where the outputs are the only such tensor, they
    move by half a step of their own. Biases are rounded as the file will round
    them, by half of (scale of the input * scale of the kernel) at most.

    Args:
        model: A fake-quantized model (`fake_quantize_model`, `quantize_aware`
            with either engine, tfmot's `quantize_apply` with our
            configurations) that stands at its operating point. It is not
            changed.
        calibration: A few hundred examples, normalized as the model expects:
            whatever `batches_of` takes, such as batches of images or of
            (images, labels).
        container: "int8"; or "int4", which stores kernels whose codes are
            within -7..7 in half the bytes. Most CPUs run those slower.
        allow_others: Whether layers that the converter has no integer operator
            for, and layers that are in float at the operating point, are left
            to the converter. It computes the former in float, and gives the
            kernels of the latter 8 bits and scales of its own. They are
            refused otherwise.

    Returns:
        A functional model of the same Keras, flat, with the names of inputs
        and layers. It can be saved; loading needs `kure_tf.export` imported.

    Raises:
        TypeError: If `model` is no graph model, or one of the other Keras.
        ValueError: If a layer or a grid cannot be converted: the message names
            it; if there are no calibration images.
    """
    compat.check_graph_model(model)
    _check_inputs(model)
    flat = flat_model(compat.in_float32(model), container, allow_others)
    grids = Grids(flat)
    grids.set_ranges(_ranges(flat, grids.rounded, calibration))
    return _Placing(flat, grids).model


def _check_inputs(model):
    for tensor in model.inputs:
        if not tf.as_dtype(tensor.dtype).is_floating:
            raise ValueError(
                "Expected floating-point inputs. Received: "
                f"{port_name(tensor)!r} of {model.name!r}, of dtype "
                f"{tf.as_dtype(tensor.dtype).name}."
            )


def _ranges(model, tensors, calibration):
    """Returns array `[tensors, 2]`: the ends of what is seen in tensors."""
    probe = keras.Model(compat.functional_inputs(model), tensors)

    @tf.function(autograph=False)
    def ends(inputs):
        found = tf.nest.flatten(probe(inputs, training=False))
        return tf.stack([[tf.reduce_min(x), tf.reduce_max(x)] for x in found])

    # Called itself, TensorFlow would warn of one function for each model.
    ends = ends.get_concrete_function(
        tf.nest.map_structure(lambda port: port.signature, input_ports(model))
    )
    batches = batches_of(calibration, model, "calibration images", finite=True)
    seen = np.stack([ends(batch.inputs) for batch in batches])
    lowest, highest = seen[..., 0].min(0), seen[..., 1].max(0)
    return np.stack([lowest, highest], -1)


class _Placing:
    """Puts FakeQuant operators where values are made, off where they are read.

    Two in a row would be one too many for the converter.
    """

    def __init__(self, flat, grids):
        self._grids = grids
        self._calls = iter(grids.calls)
        self._copies = Copies()
        self._names = Names(layer.name for layer in flat.layers)
        before = compat.functional_inputs(flat)
        inputs = tf.nest.map_structure(new_input, before)
        rounded = tf.nest.map_structure(self._rounded, inputs, before)
        outputs = compat.replay(flat, rounded, self._call)
        self.model = keras.Model(inputs, outputs, name=flat.name)

    def _call(self, layer, args, kwargs):
        call = next(self._calls)
        if isinstance(layer, FakeQuant):
            return self._moved(args[0], inputs_of(call)[0], layer.quantization)
        if kind_of(layer) == "joins":
            grid = self._grids.of(output_of(call))
            joined = zip(args[0], inputs_of(call), strict=True)
            args = ([self._moved(new, old, grid) for new, old in joined],)
        made = self._copies.call(layer, layer.name, args, kwargs)
        return self._rounded(made, output_of(call))

    def _rounded(self, new, old):
        """Returns the tensor `new` on the grid of `old`, where it has one."""
        if not any(old is tensor for tensor in self._grids.rounded):
            return new
        return self._fake_quant(new, self._grids.of(old), old)

    def _moved(self, new, old, grid):
        """Returns the tensor `new` on a second grid, if it is another one."""
        if self._grids.of(old) == grid:
            return new
        return self._fake_quant(new, grid, old, again=True)

    def _fake_quant(self, x, grid, old, again=False):
        name = f"{self._grids.name_of(old)}_{'again' if again else 'codes'}"
        name = self._names.free(name)
        return FakeQuant.on(grid, again=again, name=name)(x)
