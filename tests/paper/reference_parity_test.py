import numpy as np
import tensorflow as tf

from kure_tf import quantize_aware
from kure_tf.compat import keras
from kure_tf.paper import reference_parity


def _model():
    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            keras.layers.Conv2D(4, 3, activation="relu", name="first"),
            keras.layers.Conv2D(4, 3, use_bias=False, name="middle"),
            keras.layers.Flatten(),
            keras.layers.Dense(3, name="last"),
        ]
    )


class ReferenceParityTest(tf.test.TestCase):
    def test_weights_are_those_of_the_reference_code(self):
        model = _model()
        quantized = quantize_aware(
            model, "dorefa", 4, None, engine="native", verbose=False
        )
        kernel = np.array(model.get_layer("middle").kernel, np.float64)
        bent = np.tanh(kernel)
        largest = np.abs(bent).max()
        x = np.random.default_rng(0).normal(size=(2, 6, 6, 1))
        middle = keras.Model(model.inputs, model.layers[0].output)(x)
        seen = []

        def evaluate(copy):
            layer = [v for v in copy.layers if v.name == "middle"][0]
            seen.append(np.array(layer(middle)))
            return {"accuracy": 0.5, "images": 2}

        report = reference_parity(
            quantized, evaluate, "4/FP x{1,1.02}", progress=False
        )

        for ratio, outputs in zip((1.0, 1.02), seen, strict=True):
            step = 2 / 15 * ratio
            moved = -1 + step * np.round((bent / largest + 1) / step)
            expected = tf.nn.conv2d(
                middle, np.float32(moved * largest), 1, "VALID"
            )
            self.assertAllClose(outputs, expected, atol=1e-5)
        (run,) = report.runs
        self.assertEqual({row.sweep for row in run.rows}, {"reference_parity"})
        ratios = [row.point.step_scale for row in run.rows]
        self.assertEqual(ratios, [1.0, 1.02])


if __name__ == "__main__":
    tf.test.main()
