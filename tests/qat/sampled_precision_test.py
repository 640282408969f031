import collections

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

import kure_tf
from kure_tf import data, training
from kure_tf.compat import keras
from kure_tf.fake_quantized import operating_point_of
from kure_tf.qat import SampledPrecision


def _quantized():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(4, 3, name="first"),
            keras.layers.ReLU(),
            keras.layers.Conv2D(4, 3, name="middle"),
            keras.layers.BatchNormalization(),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(10, name="last"),
        ]
    )
    return kure_tf.quantize_aware(
        model, "lsq", 4, None, engine="native", verbose=False
    )


class DrawTest(tf.test.TestCase):
    def test_each_entry_is_as_likely_as_the_others(self):
        sampled = SampledPrecision((3, 3, 4, None), (8, None), seed=1)
        points = [
            sampled.point(epoch, b) for epoch in (0, 1) for b in range(900)
        ]
        weights = collections.Counter(p.weight_bits for p in points)
        activations = collections.Counter(p.activation_bits for p in points)
        # Five standard deviations of a binomial count.
        self.assertNear(weights[3], 900, 5 * np.sqrt(1800 * 0.25))
        self.assertNear(weights[4], 450, 5 * np.sqrt(1800 * 0.1875))
        self.assertNear(activations[8], 900, 5 * np.sqrt(1800 * 0.25))
        self.assertEqual({p.step_scale for p in points}, {1.0})
        self.assertEqual({p.step_rounding for p in points}, {None})

    def test_ratios_are_log_uniform_and_rounding_has_its_probability(self):
        sampled = SampledPrecision(
            (4,), step_scale=(0.5, 2.0), power_of_two=0.25, seed=2
        )
        points = [sampled.point(0, batch) for batch in range(1000)]
        logs = np.log2([p.step_scale for p in points])
        self.assertBetween(logs.min(), -1.0, -0.98)
        self.assertBetween(logs.max(), 0.98, 1.0)
        self.assertNear(logs.mean(), 0.0, 5 * np.sqrt(1 / 3 / 1000))
        rounded = sum(p.step_rounding == "nearest" for p in points)
        self.assertNear(rounded, 250, 5 * np.sqrt(1000 * 0.1875))

    def test_the_draw_depends_on_seed_epoch_and_batch_alone(self):
        def draws(seed):
            sampled = SampledPrecision(step_scale=(0.8, 1.3), seed=seed)
            return [sampled.point(e, b) for e in range(2) for b in range(5)]

        self.assertEqual(draws(0), draws(0))
        self.assertNotEqual(draws(0), draws(1))
        self.assertLen(set(draws(0)), 10)


class TrainingTest(tf.test.TestCase):
    def test_bits_change_without_a_new_trace_and_end_at_the_final_point(self):
        seen, model = [], _quantized()

        class Watch(keras.callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None):
                seen.append(operating_point_of(self.model)[0])

        traces = []

        def loss(y_true, y_pred):
            traces.append(1)
            return keras.losses.sparse_categorical_crossentropy(
                y_true, y_pred, from_logits=True
            )

        model.compile(keras.optimizers.SGD(0.01), loss)
        digits = data.digits()
        batches = digits.train.training_batches(128, seed=0, epoch=0)
        sampled = SampledPrecision((3, 4, 8, None), final="4/FP")
        model.fit(batches, epochs=2, callbacks=[sampled, Watch()], verbose=0)
        steps = len(seen) // 2
        expected = [
            sampled.point(epoch, batch).weight_bits
            for epoch in range(2)
            for batch in range(steps)
        ]
        self.assertEqual(seen, expected)
        self.assertGreater(len(set(seen)), 2)
        self.assertEqual(operating_point_of(model), (4, None))
        # Keras may trace a loss more than once for one compiled step.
        self.assertLessEqual(len(traces), 2)

    @pytest.mark.one_keras
    def test_a_killed_run_ends_with_the_same_weights(self):
        digits = data.digits()
        recipe = training.Recipe(2, learning_rate=0.01, train_images=256)

        class Kill(keras.callbacks.Callback):
            def on_epoch_begin(self, epoch, logs=None):
                if epoch == 1:
                    raise KeyboardInterrupt

        def fit(model, *callbacks, **options):
            return training.fit(
                model,
                digits,
                recipe,
                callbacks=[SampledPrecision((2, 4, 8)), *callbacks],
                verbose=0,
                **options,
            )

        whole, resumed = _quantized(), _quantized()
        fit(whole)
        folder = self.get_temp_dir()
        with self.assertRaises(KeyboardInterrupt):
            fit(_quantized(), Kill(), workdir=folder)
        fit(resumed, workdir=folder)
        for one, other in zip(
            whole.get_weights(), resumed.get_weights(), strict=True
        ):
            self.assertAllEqual(one, other)


class BadInputTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.named_parameters(
        ("no_bits", {"weight_bits": ()}, "at least one.*weight_bits"),
        ("bad_bits", {"weight_bits": (4, 99)}, "2..16.*99"),
        ("range", {"step_scale": (1.2, 0.8)}, "low <= high.*1.2"),
        ("probability", {"power_of_two": 2.0}, "probability.*2.0"),
        ("final", {"final": "4"}, "operating point.*'4'"),
    )
    def test_is_refused(self, options, words):
        with self.assertRaisesRegex(ValueError, words):
            SampledPrecision(**options)


if __name__ == "__main__":
    tf.test.main()
