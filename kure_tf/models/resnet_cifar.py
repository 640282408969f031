"""Residual networks for CIFAR (He et al. 2016)."""

from kure_tf.compat import keras
from kure_tf.models.conv_and_norm import pad_as_torch


def resnet20(num_classes=10, input_shape=(32, 32, 3), kernel_regularizer=None):
    """Returns the CIFAR ResNet-20 of He et al. 2016, section 4.2, option A.

    Three stages of three blocks with 16, 32 and 64 channels. Shortcuts hold no
    weights: where the shape changes they take every second pixel and pad the
    channels with zeros on both sides (option A). 3x3 convolutions pad one
    pixel on every side, also at stride 2, where "same" padding would shift by
    a pixel; published weights expect that. About 270,000 weights.

    Layers are named `conv1`, `bn1`, `layer{1,2,3}_{0,1,2}_conv{1,2}`, ...,
    `linear`, as in the arrays that `import_npz` reads.

    Args:
        num_classes: Number of logits.
        input_shape: `(height, width, channels)`; both sizes multiples of 4.
        kernel_regularizer: Regularizer of each kernel, such as
            `KurtosisRegularizer(1.8)`.
    """

    def conv_and_norm(x, filters, strides, prefix, index):
        x, padding = pad_as_torch(x, 3, strides, f"{prefix}pad{index}")
        x = keras.layers.Conv2D(
            filters,
            3,
            strides=strides,
            padding=padding,
            use_bias=False,
            kernel_initializer="he_normal",
            kernel_regularizer=kernel_regularizer,
            name=f"{prefix}conv{index}",
        )(x)
        return keras.layers.BatchNormalization(
            epsilon=1e-5, momentum=0.9, name=f"{prefix}bn{index}"
        )(x)

    def block(x, filters, strides, prefix):
        shortcut = x
        if strides > 1:
            shortcut = _subsample_and_pad(x, filters, prefix)
        x = conv_and_norm(x, filters, strides, prefix, 1)
        x = keras.layers.ReLU(name=f"{prefix}relu1")(x)
        x = conv_and_norm(x, filters, 1, prefix, 2)
        x = keras.layers.Add(name=f"{prefix}add")([x, shortcut])
        return keras.layers.ReLU(name=f"{prefix}relu2")(x)

    inputs = keras.Input(input_shape, name="image")
    x = conv_and_norm(inputs, 16, 1, "", 1)
    x = keras.layers.ReLU(name="relu1")(x)
    for stage, filters in enumerate((16, 32, 64), start=1):
        for index in range(3):
            strides = 2 if stage > 1 and index == 0 else 1
            x = block(x, filters, strides, f"layer{stage}_{index}_")
    x = keras.layers.GlobalAveragePooling2D(name="mean")(x)
    outputs = keras.layers.Dense(
        num_classes, kernel_regularizer=kernel_regularizer, name="linear"
    )(x)
    return keras.Model(inputs, outputs, name="resnet20")


def _subsample_and_pad(x, filters, prefix):
    missing = filters - x.shape[-1]
    x = keras.layers.AveragePooling2D(1, strides=2, name=f"{prefix}subsample")(
        x
    )
    # "channels_first" makes the layer pad the last two axes: none in width,
    # and zeros around the channels.
    return keras.layers.ZeroPadding2D(
        ((0, 0), (missing // 2, missing - missing // 2)),
        data_format="channels_first",
        name=f"{prefix}pad_channels",
    )(x)
