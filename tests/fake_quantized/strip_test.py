import numpy as np
import tensorflow as tf

from kure_tf import fake_quantize_model, set_operating_point
from kure_tf.compat import keras
from kure_tf.fake_quantized import quantizers_of, strip_quantizers


def _model():
    inner = keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            keras.layers.Conv2D(4, 3, name="conv"),
            keras.layers.BatchNormalization(),
        ],
        name="inner",
    )
    inputs = keras.Input((8, 8, 1))
    x = inner(keras.layers.Conv2D(3, 3, name="first")(inputs))
    x = keras.layers.Flatten()(x)
    return keras.Model(inputs, keras.layers.Dense(2, name="last")(x))


class StripQuantizersTest(tf.test.TestCase):
    def test_the_float_model_comes_back(self):
        model = _model()
        model.compile("sgd", "mse")
        quantized = fake_quantize_model(model)
        kernel = quantizers_of(quantized)["inner/conv/kernel"].variable
        kernel.assign(np.array(kernel) * 2.0)  # As training would.
        set_operating_point(quantized, "2/FP")
        x = np.random.default_rng(0).normal(size=(2, 8, 8, 1))

        stripped = strip_quantizers(quantized)

        self.assertEmpty(quantizers_of(stripped))
        self.assertEqual(
            [tuple(w.shape) for w in stripped.weights],
            [tuple(w.shape) for w in model.weights],
        )
        set_operating_point(quantized, "FP/FP")
        self.assertAllEqual(
            stripped(x.astype(np.float32)), quantized(x.astype(np.float32))
        )
        before = np.array(kernel)
        stripped.train_on_batch(x, np.zeros((2, 2)))
        self.assertAllEqual(kernel, before)

    def test_a_plain_model_gives_a_copy(self):
        model = _model()
        stripped = strip_quantizers(model)
        self.assertIsNot(stripped, model)
        for one, other in zip(
            stripped.get_weights(), model.get_weights(), strict=True
        ):
            self.assertAllEqual(one, other)


if __name__ == "__main__":
    tf.test.main()
