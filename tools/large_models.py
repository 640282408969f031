"""Nets of a hundred million parameters, such as large_models.dense:784x1x1.

They show what the chain costs in seconds and in memory: see any_model.py.
"""


def dense(num_classes, input_shape):
    """Returns four dense layers, most of it one of 8192 x 8192."""
    from kure_tf.compat import keras

    inputs = keras.Input(input_shape)
    x = keras.layers.Flatten()(inputs)
    for units in (8192, 8192, 4096):
        x = keras.layers.Dense(units, activation="relu")(x)
    return keras.Model(inputs, keras.layers.Dense(num_classes)(x))


def transformer(num_classes, input_shape):
    """Returns a Transformer of token ids, as large as BERT's base model."""
    from kure_tf.compat import keras

    layers = keras.layers
    ids = keras.Input(input_shape[:1], dtype="int32")
    x = _blocks(layers.Embedding(30_522, 768)(ids))
    return keras.Model(ids, layers.Dense(num_classes)(x))


def vision_transformer(num_classes, input_shape):
    """Returns a Transformer of patches, as large as ViT's base model."""
    from kure_tf.compat import keras

    layers = keras.layers
    inputs = keras.Input(input_shape)
    x = layers.Conv2D(768, 16, 16)(inputs)
    x = _blocks(layers.Reshape((-1, 768))(x))
    return keras.Model(inputs, layers.Dense(num_classes)(x))


def _blocks(x):
    """Returns the mean over the tokens of twelve blocks' outputs."""
    from kure_tf.compat import keras

    layers = keras.layers
    for _ in range(12):
        y = layers.LayerNormalization()(x)
        x = layers.Add()([x, layers.MultiHeadAttention(12, 64)(y, y)])
        y = layers.LayerNormalization()(x)
        y = layers.Dense(3072, activation="gelu")(y)
        x = layers.Add()([x, layers.Dense(768)(y)])
    return layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x))
