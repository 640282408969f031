"""Residual networks for ImageNet (He et al. 2016)."""

import functools

from kure_tf.compat import keras
from kure_tf.models.conv_and_norm import conv_and_norm, pad_as_torch


def resnet18(
    num_classes=1000, input_shape=(224, 224, 3), kernel_regularizer=None
):
    """Returns the ResNet-18 of He et al. 2016, table 1.

    Four stages of two blocks of two 3x3 convolutions, with 64, 128, 256 and
    512 channels. Where the shape changes, the shortcut is a 1x1 convolution
    with batch normalization (option B). 11,689,512 parameters for 1,000
    classes, not counting the statistics of batch normalization.

    Published weights of torchvision fit: convolutions pad as torch does, and
    layers are named as there, with `_` for `.`: `conv1`, `bn1`,
    `layer{1..4}_{0,1}_conv{1,2}`, `..._bn{1,2}`, `..._downsample_0` (the
    shortcut's convolution), `..._downsample_1` (its normalization), `fc`. See
    `torch_arrays`.

    Args:
        num_classes: Number of logits.
        input_shape: `(height, width, channels)`; pixels as the weights expect
            them, for torchvision's `(x / 255 - mean) / std` of ImageNet.
        kernel_regularizer: Regularizer of each kernel, such as
            `KurtosisRegularizer(1.8)`.
    """
    return _resnet(
        "resnet18",
        _basic_block,
        (2, 2, 2, 2),
        num_classes,
        input_shape,
        kernel_regularizer,
    )


def resnet50(
    num_classes=1000, input_shape=(224, 224, 3), kernel_regularizer=None
):
    """Returns the ResNet-50 of He et al. 2016, table 1, version 1.5.

    Four stages of 3, 4, 6 and 3 bottlenecks: 1x1, 3x3 and 1x1 convolutions, of
    which the last one has four times the channels. 25,557,032 parameters for
    1,000 classes, not counting the statistics of batch normalization.

    Version 1.5, as in torchvision: where a bottleneck halves the resolution,
    its 3x3 convolution has the stride of 2. In the paper the first 1x1
    convolution has it, and three of four pixels are never looked at.

    Published weights of torchvision fit, as for `resnet18`; the layers of a
    block are `..._conv{1,2,3}` and `..._bn{1,2,3}`.

    Args:
        num_classes, input_shape, kernel_regularizer: As for `resnet18`.
    """
    return _resnet(
        "resnet50",
        _bottleneck,
        (3, 4, 6, 3),
        num_classes,
        input_shape,
        kernel_regularizer,
    )


def _resnet(name, block, depths, num_classes, input_shape, regularizer):
    conv = functools.partial(conv_and_norm, regularizer=regularizer)
    inputs = keras.Input(input_shape, name="image")
    x = conv(inputs, 64, 7, 2, name="conv1", norm="bn1")
    x = keras.layers.ReLU(name="relu")(x)
    # Zeros pad as well as torch's minus infinity: nothing is below them here.
    x, padding = pad_as_torch(x, 3, 2, "maxpool_pad")
    x = keras.layers.MaxPooling2D(3, 2, padding=padding, name="maxpool")(x)
    for stage, depth in enumerate(depths):
        for index in range(depth):
            strides = 2 if stage > 0 and index == 0 else 1
            prefix = f"layer{stage + 1}_{index}_"
            x = block(x, conv, 64 * 2**stage, strides, prefix)
    x = keras.layers.GlobalAveragePooling2D(name="avgpool")(x)
    outputs = keras.layers.Dense(
        num_classes, kernel_regularizer=regularizer, name="fc"
    )(x)
    return keras.Model(inputs, outputs, name=name)


def _basic_block(x, conv, filters, strides, prefix):
    y = conv(x, filters, 3, strides, **_names(prefix, 1))
    y = keras.layers.ReLU(name=f"{prefix}relu1")(y)
    y = conv(y, filters, 3, 1, **_names(prefix, 2))
    return _add_shortcut(x, y, conv, strides, prefix)


def _bottleneck(x, conv, filters, strides, prefix):
    y = conv(x, filters, 1, 1, **_names(prefix, 1))
    y = keras.layers.ReLU(name=f"{prefix}relu1")(y)
    y = conv(y, filters, 3, strides, **_names(prefix, 2))
    y = keras.layers.ReLU(name=f"{prefix}relu2")(y)
    y = conv(y, 4 * filters, 1, 1, **_names(prefix, 3))
    return _add_shortcut(x, y, conv, strides, prefix)


def _names(prefix, index):
    return {"name": f"{prefix}conv{index}", "norm": f"{prefix}bn{index}"}


def _add_shortcut(x, y, conv, strides, prefix):
    if strides > 1 or x.shape[-1] != y.shape[-1]:
        x = conv(
            x,
            y.shape[-1],
            1,
            strides,
            name=f"{prefix}downsample_0",
            norm=f"{prefix}downsample_1",
        )
    y = keras.layers.Add(name=f"{prefix}add")([y, x])
    return keras.layers.ReLU(name=f"{prefix}relu")(y)
