"""What an integer graph leaves in float, as a small .tflite file."""

import weakref

import tensorflow as tf

from kure_tf.evaluation.captured_output import captured_output


def float_file(operator, graph, batch_size=None) -> bytes:
    """Returns a float operator as a file of float32 inputs and output.

    Indices are int32. TFLite's converter makes it; it sees this operator only.

    Args:
        operator: An `Operator` of the kind "FLOAT".
        graph: The `IntegerGraph` that it belongs to.
        batch_size: Of the file; None for any.

    Raises:
        ValueError: If LiteRT has no builtin operators for it; its layers are
            named.
    """
    files = _FILES.setdefault(operator, {})
    if batch_size not in files:
        tensors = [graph.tensors[name] for name in operator.inputs]
        files[batch_size] = _converted(operator, tensors, batch_size)
    return files[batch_size]


# {operator: {batch size: file}}; it keeps no model alive, as the operator does.
_FILES = weakref.WeakKeyDictionary()


def _converted(operator, tensors, batch_size):
    def compute(*inputs):
        # "_own", the name of a layer, is none for an outermost scope.
        with tf.name_scope("layers"):
            return operator.options["compute"](*inputs)

    signature = [
        tf.TensorSpec(
            (batch_size, *tensor.shape),
            tf.int32 if tensor.quantization is None else tf.float32,
            name=f"x{number:04}",  # Sorted by name, as by number.
        )
        for number, tensor in enumerate(tensors)
    ]
    module = tf.Module()
    module.function = tf.function(compute, input_signature=signature)
    function = module.function.get_concrete_function()
    module.captured = list(function.variables)
    with captured_output():
        try:
            return tf.lite.TFLiteConverter.from_concrete_functions(
                [function], module
            ).convert()
        except Exception as error:
            layers = ", ".join(map(repr, operator.options["layers"]))
            raise ValueError(
                "Expected layers in float that LiteRT's builtin operators "
                f"compute. The converter has none for {layers}: "
                f"{str(error).splitlines()[0]}"
            ) from error
