"""TFLite's converter as users call it, and its files in the interpreter."""

import numpy as np
import tensorflow as tf

from kure_tf.evaluation.captured_output import captured_output


def convert_as_users_do(model):
    """Returns the file of a Keras model; no data set goes with it."""
    with captured_output():
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        return _converted(converter)


def convert(model, **options):
    """Returns the same but for names, in a third of the time."""
    module = tf.Module()
    shape = [None, *model.inputs[0].shape[1:]]

    @tf.function(input_signature=[tf.TensorSpec(shape)])
    def infer(x):
        return model(x, training=False)

    module.infer = infer
    function = infer.get_concrete_function()
    module.variables_of_model = list(function.variables)
    with captured_output():
        converter = tf.lite.TFLiteConverter.from_concrete_functions(
            [function], module
        )
        return _converted(converter, **options)


def _converted(converter, **options):
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    for name, value in options.items():
        setattr(converter, name, value)
    return converter.convert()


class ConvertedRun:
    """A file with float input and output, run once.

    Attributes:
        outputs: What it puts out.
        output_scale: Distance of two codes of what it puts out.
        operators: The names of its operators, in order.
        dtypes: The types that operators read and write, but for those that
            lead from and to float.
        int8: `{bytes of a tensor: its scales}` of all int8 tensors with axes,
            constants among them.
    """

    def __init__(self, content, images):
        self._interpreter = interpreter = _interpreter(content, len(images))
        source, target = (
            details[0]["index"]
            for details in (
                interpreter.get_input_details(),
                interpreter.get_output_details(),
            )
        )
        interpreter.set_tensor(source, images)
        interpreter.invoke()
        self.outputs = interpreter.get_tensor(target)
        details = interpreter.get_tensor_details()
        self._tensors = {tensor["index"]: tensor for tensor in details}
        operators = [
            operator
            for operator in interpreter._get_ops_details()
            if operator["op_name"] != "DELEGATE"
        ]
        self.operators = [operator["op_name"] for operator in operators]
        (self.output_scale,) = (
            self._tensors[operator["inputs"][0]]["quantization"][0]
            for operator in operators
            if target in operator["outputs"]
        )
        self.dtypes = {
            np.dtype(self._tensors[index]["dtype"]).name
            for operator in operators
            if operator["op_name"] not in ("QUANTIZE", "DEQUANTIZE")
            for index in (*operator["inputs"], *operator["outputs"])
            if index >= 0
        }
        self.int8 = dict(self._int8())

    def _int8(self):
        for index, tensor in self._tensors.items():
            if tensor["dtype"] == np.int8 and len(tensor["shape"]) > 1:
                values = self._interpreter.get_tensor(index)
                scales = tensor["quantization_parameters"]["scales"]
                yield values.tobytes(), scales


def _interpreter(content, batch_size):
    from ai_edge_litert.interpreter import Interpreter

    with captured_output():
        interpreter = Interpreter(
            model_content=content, experimental_preserve_all_tensors=True
        )
        details = interpreter.get_input_details()[0]
        shape = [batch_size, *details["shape"][1:]]
        interpreter.resize_tensor_input(details["index"], shape)
        interpreter.allocate_tensors()
    return interpreter


def file_layout(codes, layer):
    """Returns a kernel's codes in the order in which a file has them."""
    kind = type(layer).__name__
    if kind == "Conv2DTranspose":
        return codes.transpose(2, 0, 1, 3)
    if kind == "DepthwiseConv2D":
        return codes
    return np.moveaxis(codes, -1, 0)
