import dataclasses
import math

import tensorflow as tf
from absl.testing import parameterized

from kure_tf.compat import keras
from kure_tf.training import Recipe


def _rate(recipe, steps_per_epoch, step):
    rate = recipe.learning_rate_schedule(steps_per_epoch)
    return float(rate(step) if callable(rate) else rate)


class RecipeTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.named_parameters(
        ("epochs", {"epochs": 0}, "epochs of 1 or more.*0"),
        ("rate", {"learning_rate": -1.0}, "learning_rate above 0.*-1"),
        ("nan", {"learning_rate": math.nan}, "learning_rate above 0.*nan"),
        ("optimizer", {"optimizer": "lion"}, "'sgd', 'adam'.*'lion'"),
        ("schedule", {"schedule": "linear"}, "'cosine', 'step', 'constant'"),
        ("policy", {"mixed_precision": "float16"}, "'mixed_bfloat16'"),
        ("select", {"select": "first"}, "'last', 'best'.*'first'"),
        ("augment", {"augment": ("turn",)}, "'flip', 'shift'.*'turn'"),
        ("momentum", {"momentum": 1.0}, r"momentum in \[0, 1\)"),
        ("gradient_l1", {"gradient_l1": -0.1}, "gradient_l1 of 0 or more"),
        ("train_images", {"train_images": 0}, "train_images of 1 or more"),
        ("seed", {"seed": -1}, "seed of 0 or more"),
        ("huge_seed", {"seed": 2**32}, "seed up to 4294967295"),
        ("frozen", {"frozen_batch_norm_epochs": 2}, "among the epochs.*to 1"),
    )
    def test_bad_value_is_named_with_what_is_allowed(self, options, words):
        with self.assertRaisesRegex(ValueError, words):
            Recipe(**{"epochs": 1, "learning_rate": 0.1, **options})

    @parameterized.named_parameters(
        ("epochs", {"epochs": 1.5}),
        ("decay_every", {"schedule": "step"}),
        ("learning_rate", {"learning_rate": "0.1"}),
    )
    def test_value_of_wrong_type_is_refused(self, options):
        with self.assertRaisesRegex(TypeError, "Received"):
            Recipe(**{"epochs": 1, "learning_rate": 0.1, **options})

    def test_recipe_is_a_frozen_value(self):
        recipe = Recipe(2, learning_rate=0.1, augment=["flip"])

        self.assertEqual(recipe, Recipe(2, learning_rate=0.1, augment="flip"))
        with self.assertRaises(dataclasses.FrozenInstanceError):
            recipe.epochs = 3

    @parameterized.parameters(0, 1, 7, 19, 20)
    def test_cosine_falls_to_zero_step_by_step(self, step):
        recipe = Recipe(5, learning_rate=0.4)

        self.assertAllClose(
            _rate(recipe, 4, step),
            0.4 * (1 + math.cos(math.pi * step / 20)) / 2,
            atol=1e-7,
        )

    @parameterized.parameters(
        (0, 1.0), (7, 1.0), (8, 0.5), (15, 0.5), (16, 0.25), (19, 0.25)
    )
    def test_step_schedule_changes_with_the_first_step_of_an_epoch(
        self, step, expected
    ):
        recipe = Recipe(
            5,
            learning_rate=1.0,
            schedule="step",
            decay_every=2,
            decay_factor=0.5,
        )

        self.assertAllClose(_rate(recipe, 4, step), expected)

    def test_step_schedule_may_outlast_the_training(self):
        recipe = Recipe(2, learning_rate=1.0, schedule="step", decay_every=30)

        self.assertAllClose(_rate(recipe, 4, 7), 1.0)

    def test_float16_gets_a_loss_scale_and_bfloat16_none(self):
        scaled = Recipe(1, learning_rate=1.0, mixed_precision="mixed_float16")
        plain = Recipe(1, learning_rate=1.0, mixed_precision="mixed_bfloat16")

        self.assertTrue(hasattr(scaled.make_optimizer(1), "inner_optimizer"))
        self.assertFalse(hasattr(plain.make_optimizer(1), "inner_optimizer"))

    def test_adam_is_made_by_name(self):
        recipe = Recipe(
            1, learning_rate=1.0, optimizer="adam", schedule="constant"
        )

        self.assertIsInstance(recipe.make_optimizer(1), keras.optimizers.Adam)


if __name__ == "__main__":
    tf.test.main()
