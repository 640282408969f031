"""MobileNet-V2 (Sandler et al. 2018)."""

import functools

from kure_tf.compat import keras
from kure_tf.models.conv_and_norm import conv_and_norm
from kure_tf.ops.checks import check_real

# Table 2 of the paper: expansion, channels, blocks, stride of the first one.
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def mobilenet_v2(
    num_classes=1000,
    input_shape=(224, 224, 3),
    kernel_regularizer=None,
    *,
    width=1.0,
    dropout=0.2,
):
    """Returns the MobileNet-V2 of Sandler et al. 2018, table 2.

    17 inverted residuals: a 1x1 convolution that widens, a 3x3 depthwise one,
    and a 1x1 one that narrows, without an activation of its own. Activations
    are ReLU6. 3,504,872 parameters for 1,000 classes at width 1, not counting
    the statistics of batch normalization.

    Published weights of torchvision fit: convolutions pad as torch does, and
    layers are named as there, with `_` for `.`: `features_0_0` (first
    convolution), `features_0_1` (its normalization), then
    `features_{1..17}_conv_0_0` and so on, `features_18_0`, `features_18_1` and
    `classifier_1`. See `torch_arrays`.

    Args:
        num_classes: Number of logits.
        input_shape: `(height, width, channels)`; pixels as the weights expect
            them, for torchvision's `(x / 255 - mean) / std` of ImageNet.
        kernel_regularizer: Regularizer of each kernel, such as
            `KurtosisRegularizer(1.8)`; depthwise kernels have it as their
            `depthwise_regularizer`. (One kurtosis per channel needs other
            `channel_axes` there: `regularize_kurtosis` sees to it.)
        width: Factor of the number of channels, above 0. Channels are rounded
            to a multiple of 8, and those of the last convolution never shrink
            below 1,280.
        dropout: Part of the features that is dropped while training, in
            [0, 1); 0.2 as in torchvision. 0 leaves the layer out.

    Raises:
        TypeError, ValueError: If `width` or `dropout` is no number, or outside
            of what is allowed.
    """
    check_real("a width", width, "above 0", lambda x: x > 0)
    check_real("a dropout rate", dropout, "in [0, 1)", lambda x: 0 <= x < 1)
    conv = functools.partial(conv_and_norm, regularizer=kernel_regularizer)
    inputs = keras.Input(input_shape, name="image")
    first = _rounded(32 * width)
    x = conv(inputs, first, 3, 2, name="features_0_0", norm="features_0_1")
    x = _relu6(x, "features_0_2")
    index = 0
    for expansion, channels, blocks, first_strides in _STAGES:
        for block in range(blocks):
            index += 1
            x = _inverted_residual(
                x,
                conv,
                expansion,
                _rounded(channels * width),
                first_strides if block == 0 else 1,
                f"features_{index}_",
            )
    last = _rounded(1280 * max(1.0, width))
    x = conv(x, last, 1, 1, name="features_18_0", norm="features_18_1")
    x = _relu6(x, "features_18_2")
    x = keras.layers.GlobalAveragePooling2D(name="mean")(x)
    if dropout:
        x = keras.layers.Dropout(dropout, name="classifier_0")(x)
    outputs = keras.layers.Dense(
        num_classes, kernel_regularizer=kernel_regularizer, name="classifier_1"
    )(x)
    return keras.Model(inputs, outputs, name="mobilenet_v2")


def _rounded(channels):
    """Returns the multiple of 8 nearest to it, at least 8 and 90 % of it."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def _inverted_residual(x, conv, expansion, channels, strides, prefix):
    def names(*numbers):
        name, norm = (f"{prefix}conv_{number}" for number in numbers)
        return {"name": name, "norm": norm}

    y, position = x, 0
    if expansion > 1:
        wide = expansion * x.shape[-1]
        y = conv(y, wide, 1, 1, **names("0_0", "0_1"))
        y = _relu6(y, f"{prefix}conv_0_2")
        position = 1
    y = conv(y, None, 3, strides, **names(f"{position}_0", f"{position}_1"))
    y = _relu6(y, f"{prefix}conv_{position}_2")
    y = conv(y, channels, 1, 1, **names(position + 1, position + 2))
    if strides == 1 and x.shape[-1] == channels:
        y = keras.layers.Add(name=f"{prefix}add")([x, y])
    return y


def _relu6(x, name):
    return keras.layers.ReLU(max_value=6.0, name=name)(x)
