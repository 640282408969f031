"""Running .tflite files and models at a point, for the tests of exports."""

import numpy as np

from kure_tf import fake_quantize_model, set_operating_point, set_step_sizes
from kure_tf.compat import keras
from kure_tf.fake_quantized import paper_placement
from kure_tf.ptq import calibrate, minmax
from kure_tf.settings import OperatingPoint

KERNELS = ("xnnpack", "builtin", "reference")
EIGHT_BIT_ENDS = paper_placement(first_layer=8, last_layer=8)


def interpreter_of(content, kernels="xnnpack"):
    """Returns the LiteRT interpreter of a file, with one set of kernels."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    resolvers = {
        "xnnpack": OpResolverType.AUTO,
        "builtin": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        "reference": OpResolverType.BUILTIN_REF,
    }
    return Interpreter(
        model_content=content,
        num_threads=1,
        experimental_op_resolver_type=resolvers[kernels],
    )


def run(content, inputs, kernels="xnnpack"):
    """Returns what a file of one output answers to arrays of one batch."""
    interpreter = interpreter_of(content, kernels)
    details = interpreter.get_input_details()
    for detail, array in zip(details, inputs, strict=True):
        if -1 in detail["shape_signature"]:
            interpreter.resize_tensor_input(detail["index"], array.shape)
    interpreter.allocate_tensors()
    for detail, array in zip(details, inputs, strict=True):
        interpreter.set_tensor(detail["index"], array)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def randomized(model, seed=0):
    """Gives batch norms and biases of a model what training gives them."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            count = layer.gamma.shape[0]
            layer.set_weights(
                [
                    rng.normal(1.0, 0.6, count),  # A few are negative.
                    rng.normal(0.0, 0.3, count),
                    rng.normal(0.0, 0.3, count),
                    rng.uniform(0.3, 2.0, count),
                ]
            )
        elif getattr(layer, "use_bias", False):
            layer.bias.assign(rng.normal(0.0, 0.1, layer.bias.shape))
    return model


def calibrated(model, images, placement=EIGHT_BIT_ENDS):
    """Returns `(model, calibration)`: fake-quantized, what it saw."""
    model = fake_quantize_model(model, placement)
    return model, calibrate(model, [images], progress=False)


def set_point(model, calibration, point):
    """Moves a model to a point, with the step sizes of minmax."""
    point = OperatingPoint.parse(point)
    set_step_sizes(model, minmax(calibration, point))
    set_operating_point(model, point)


def at_point(model, images, point, placement=EIGHT_BIT_ENDS):
    """Returns `model` fake-quantized, calibrated and at an operating point."""
    model, calibration = calibrated(model, images, placement)
    set_point(model, calibration, point)
    return model
