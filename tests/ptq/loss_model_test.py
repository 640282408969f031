"""The modelled loss and its minimum, against trying all choices."""

import itertools

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from kure_tf.ptq.loss_model import LossModel


def _changes(seed, steps=4, groups=6, k=5):
    changes = np.random.default_rng(seed).normal(size=(steps, groups, k))
    changes[:, :, 0] = 0.0
    return changes.astype(np.float32)


def _modelled(changes, choice, damping, images_per_group):
    """Returns the change of the loss, written out."""
    total = sum(
        one[:, number].astype(np.float64)
        for one, number in zip(changes, choice, strict=True)
    )
    square = total.mean() ** 2 + images_per_group * total.var()
    return total.mean() + damping / 2 * square


class LossModelTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.product(seed=(0, 1, 2), damping=(0.3, 1.0, 5.0), size=(1, 8))
    def test_no_single_step_size_has_a_better_ratio(self, seed, damping, size):
        changes = _changes(seed)
        random = np.random.default_rng(0)
        choice = LossModel(changes, size).best_choice(damping, random)
        self.assertAllClose(
            LossModel(changes, size).change(choice),
            _modelled(changes, choice, 1.0, size),
            atol=1e-5,
        )
        found = _modelled(changes, choice, damping, size)
        for one, number in itertools.product(range(4), range(5)):
            other = choice.copy()
            other[one] = number
            self.assertLessEqual(
                found, _modelled(changes, other, damping, size) + 1e-5
            )
        self.assertLessEqual(found, 1e-6)  # All ratios 1 are a choice, too.

    def test_the_smallest_of_all_choices_is_found_where_layers_do_not_meet(
        self,
    ):
        # Each step size moves the loss of other images: the best choice of
        # one does not depend on the others', but for the mean.
        changes = np.zeros((3, 60, 4), np.float32)
        random = np.random.default_rng(1)
        for one in range(3):
            part = slice(20 * one, 20 * one + 20)
            changes[one, part, 1:] = random.normal(size=(20, 3))
        choice = LossModel(changes, 1).best_choice(1.0, random)
        best = min(
            itertools.product(range(4), repeat=3),
            key=lambda c: _modelled(changes, c, 1.0, 1),
        )
        self.assertAllEqual(choice, best)

    def test_errors_that_cancel_are_seen(self):
        # Both alone make the loss of each image change; together nothing but
        # a small gain is left.
        ups = np.random.default_rng(2).normal(0.0, 3.0, 50)
        changes = np.zeros((2, 50, 2), np.float32)
        changes[0, :, 1] = ups
        changes[1, :, 1] = -0.1 - ups
        model = LossModel(changes, 1)
        single = [_modelled(changes, c, 1.0, 1) for c in ((1, 0), (0, 1))]
        self.assertAllGreater(single, 1.0)
        together = _modelled(changes, (1, 1), 1.0, 1)
        self.assertAllClose(together, -0.095, atol=1e-5)
        # Moving one step size at a time, the search does not get there.
        choice = model.best_choice(1.0, np.random.default_rng(0))
        self.assertAllEqual(choice, [0, 0])

    def test_more_damping_moves_less(self):
        changes = _changes(3, steps=6, groups=40)
        sizes = []
        for damping in (0.1, 1.0, 10.0, 1000.0):
            choice = LossModel(changes, 4).best_choice(
                damping, np.random.default_rng(0)
            )
            total = sum(c[:, k] for c, k in zip(changes, choice, strict=True))
            sizes.append(np.square(total).mean())
        self.assertAllEqual(sizes, sorted(sizes, reverse=True))
        self.assertLess(sizes[-1], sizes[0])


if __name__ == "__main__":
    tf.test.main()
