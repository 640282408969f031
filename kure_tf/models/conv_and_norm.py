"""A convolution and its batch normalization, as published weights expect."""

from kure_tf.compat import keras


def conv_and_norm(x, filters, kernel_size, strides, *, regularizer, name, norm):
    """Returns `x` after a convolution without bias and its normalization.

    Args:
        x: Keras tensor `[batch, height, width, channels]`.
        filters: Channels to return; None for a depthwise convolution.
        kernel_size: Odd side of the kernel, in pixels.
        strides: 1 or 2, for both axes.
        regularizer: Of the kernel, or None.
        name: Name of the convolution; the layer that pads, where there is
            one, is called `<name>_pad`.
        norm: Name of the batch normalization.
    """
    x, padding = pad_as_torch(x, kernel_size, strides, f"{name}_pad")
    # Keras counts one channel out for a depthwise kernel: the fan out is
    # then the number of inputs that one output sees.
    initializer = keras.initializers.VarianceScaling(
        2.0, "fan_out", "untruncated_normal"
    )
    options = {
        "strides": strides,
        "padding": padding,
        "use_bias": False,
        "name": name,
    }
    if filters is None:
        convolution = keras.layers.DepthwiseConv2D(
            kernel_size,
            depthwise_initializer=initializer,
            depthwise_regularizer=regularizer,
            **options,
        )
    else:
        convolution = keras.layers.Conv2D(
            filters,
            kernel_size,
            kernel_initializer=initializer,
            kernel_regularizer=regularizer,
            **options,
        )
    normalization = keras.layers.BatchNormalization(
        epsilon=1e-5, momentum=0.9, name=norm
    )
    return normalization(convolution(x))


def pad_as_torch(x, kernel_size, strides, name):
    """Pads `x` by (kernel_size - 1) / 2 pixels on every side, if need be.

    Torch pads like this at any stride. At stride 2 the "same" padding of Keras
    puts one pixel less above and to the left: the whole output would be
    shifted by a pixel against what published weights expect.

    Args:
        x: Keras tensor `[batch, height, width, channels]`.
        kernel_size, strides: Of the layer that comes next.
        name: Name of the layer that pads, if there is one.

    Returns:
        The tensor, and the `padding` that the next layer has to use.
    """
    if strides == 1:
        return x, "same"
    if kernel_size > 1:
        x = keras.layers.ZeroPadding2D(kernel_size // 2, name=name)(x)
    return x, "valid"
