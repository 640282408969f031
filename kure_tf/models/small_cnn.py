"""A small convolutional network for small images."""

from kure_tf.compat import keras


def small_cnn(num_classes=10, input_shape=(8, 8, 1), kernel_regularizer=None):
    """Returns a network of four 3x3 convolutions and a classifier.

    Convolutions of 16, 32, 32 and 64 channels, each with batch normalization
    and ReLU, a maximum over 2x2 pixels after the second, the mean over all
    pixels, and a dense layer: about 34,000 weights.

    Args:
        num_classes: Number of logits.
        input_shape: `(height, width, channels)`, at least 2x2 pixels.
        kernel_regularizer: Regularizer of each kernel, such as
            `KurtosisRegularizer(1.8)`.
    """

    def conv(x, filters, index):
        x = keras.layers.Conv2D(
            filters,
            3,
            padding="same",
            use_bias=False,
            kernel_initializer="he_normal",
            kernel_regularizer=kernel_regularizer,
            name=f"conv{index}",
        )(x)
        x = keras.layers.BatchNormalization(name=f"bn{index}")(x)
        return keras.layers.ReLU(name=f"relu{index}")(x)

    inputs = keras.Input(input_shape, name="image")
    x = conv(conv(inputs, 16, 1), 32, 2)
    x = keras.layers.MaxPooling2D(name="pool")(x)
    x = conv(conv(x, 32, 3), 64, 4)
    x = keras.layers.GlobalAveragePooling2D(name="mean")(x)
    outputs = keras.layers.Dense(
        num_classes, kernel_regularizer=kernel_regularizer, name="logits"
    )(x)
    return keras.Model(inputs, outputs, name="small_cnn")
