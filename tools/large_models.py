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
    x = layers.Embedding(30_522, 768)(ids)
    for _ in range(12):
        y = layers.LayerNormalization()(x)
        x = layers.Add()([x, layers.MultiHeadAttention(12, 64)(y, y)])
        y = layers.LayerNormalization()(x)
        y = layers.Dense(3072, activation="gelu")(y)
        x = layers.Add()([x, layers.Dense(768)(y)])
    x = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x))
    return keras.Model(ids, layers.Dense(num_classes)(x))
