"""Transformers as people write them: of text, and of images."""

from kure_tf import Kernel
from kure_tf.compat import keras, register_serializable

layers = keras.layers


@register_serializable("transformer_models")
class Positions(layers.Layer):
    """Adds a vector of its own to each place of a sequence."""

    def build(self, input_shape):
        self.table = self.add_weight(
            name="table",
            shape=tuple(input_shape[1:]),
            initializer=keras.initializers.RandomNormal(stddev=0.02),
        )
        super().build(input_shape)

    def call(self, inputs):
        return inputs + self.table

    def kure_tf_kernels(self):
        return (Kernel("table", None, (-2,)),)

    def kure_tf_inputs(self):
        return ()


def _block(x, heads, expansion):
    width = x.shape[-1]
    y = layers.LayerNormalization()(x)
    y = layers.MultiHeadAttention(heads, width // heads)(y, y)
    x = layers.Add()([x, y])
    y = layers.LayerNormalization()(x)
    y = layers.Dense(expansion * width, activation="gelu")(y)
    return layers.Add()([x, layers.Dense(width)(y)])


def bert_like(vocabulary, length, width, heads, blocks, expansion=4):
    """Returns a model of token ids; logits of two classes."""
    ids = keras.Input((length,), dtype="int32")
    x = layers.Embedding(vocabulary, width)(ids)
    x = layers.LayerNormalization()(Positions()(x))
    for _ in range(blocks):
        x = _block(x, heads, expansion)
    x = layers.LayerNormalization()(x)
    first = layers.GlobalAveragePooling1D()(x)
    pooled = layers.Dense(width, activation="tanh")(first)
    return keras.Model(ids, layers.Dense(2)(pooled))


def vit_like(size, patch, width, heads, blocks, classes, expansion=4):
    """Returns a model of square images; logits of `classes` classes."""
    images = keras.Input((size, size, 3))
    x = layers.Conv2D(width, patch, strides=patch)(images)
    x = Positions()(layers.Reshape(((size // patch) ** 2, width))(x))
    for _ in range(blocks):
        x = _block(x, heads, expansion)
    x = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x))
    return keras.Model(images, layers.Dense(classes)(x))
