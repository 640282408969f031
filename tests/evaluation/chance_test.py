import warnings

import numpy as np
from absl.testing import absltest, parameterized

from kure_tf.evaluation.chance import ChanceCheck


def _check(right, counts):
    """Checks a model right on so many of examples, `counts` of each class."""
    check = ChanceCheck()
    labels = np.repeat(np.arange(len(counts)), counts)
    for part in np.array_split(labels, 3):
        check.add(part, 0)
    check.add(labels[:0], right)
    check.warn("net")


class ChanceCheckTest(parameterized.TestCase):
    # One of ten classes: 10 % + 2 sqrt(.1 * .9 / 500) = 12.7 %.
    @parameterized.parameters(0, 50, 63)
    def test_no_better_than_the_commonest_class_is_warned_of(self, right):
        with self.assertWarnsRegex(UserWarning, "'net' is right on .* 10.0 %"):
            _check(right, [50] * 10)

    @parameterized.named_parameters(
        ("better", 64, [50] * 10),
        ("few_examples", 0, [5] * 5),
        ("one_class", 100, [100]),
    )
    def test_nothing_is_said_of(self, right, counts):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            _check(right, counts)

    def test_unequal_classes_raise_the_bar(self):
        # 90 % + 2 sqrt(.9 * .1 / 500) = 92.7 %.
        with self.assertWarnsRegex(UserWarning, "commonest class alone .* 90"):
            _check(460, [450, 50])


if __name__ == "__main__":
    absltest.main()
