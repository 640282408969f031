import dataclasses

import tensorflow as tf
from absl.testing import parameterized
from measured import row

from kure_tf.measurements import Run
from kure_tf.pages.headline import Headline
from kure_tf.pages.series import series_of


def run(name, accuracies, *, regularized=False, seed=0, examples=10_000):
    rows = [
        row(f"{bits or 'FP'}/FP", accuracy, run=name, examples=examples)
        for bits, accuracy in accuracies.items()
    ]
    kurtosis = {"before": 5.0, "after": 1.9 if regularized else 5.1}
    kurtosis = {"conv": kurtosis | {"regularized": regularized}}
    return Run(name, rows, provenance={"seed": seed}, kurtosis=kurtosis)


class HeadlineTest(parameterized.TestCase, tf.test.TestCase):
    def verdict(self, *runs):
        return Headline.of(series_of(runs)).verdict

    def test_a_clear_lead_is_called_clear(self):
        text = self.verdict(
            run("plain", {None: 0.88, 4: 0.74, 3: 0.435, 2: 0.1}),
            run(
                "with",
                {None: 0.88, 4: 0.86, 3: 0.813, 2: 0.1},
                regularized=True,
            ),
        )

        # sqrt(.813 * .187 + .435 * .565) / 100 = 0.63 points
        self.assertEqual(
            text,
            "At W3 (minmax) with is clearly ahead of plain by 37.8 points: "
            "81.3 % against 43.5 % (± 0.6 points from the examples, one "
            "training run each). Of the 3 quantized points of the bit-width "
            "sweep it is clearly ahead at 2, clearly behind at 0 and too "
            "close to call at 1; clearly means by more than two standard "
            "errors.",
        )

    def test_batch_norm_as_trained_goes_first(self):
        kept = run("KURE", {4: 0.86, 3: 0.8}, regularized=True)
        again = tuple(
            dataclasses.replace(
                row, value=row.value + 0.05, reestimated_batch_norm=True
            )
            for row in kept.rows
        )
        both = dataclasses.replace(kept, rows=(*again, *kept.rows))
        self.assertIn("At W3 (minmax) KURE reaches 80.0 %", self.verdict(both))
        alone = dataclasses.replace(kept, rows=again)
        self.assertIn("(minmax, batch norm re-estimated)", self.verdict(alone))

    def test_a_run_that_is_behind_is_said_to_be_behind(self):
        text = self.verdict(
            run("plain", {3: 0.60}), run("KURE", {3: 0.50}, regularized=True)
        )

        self.assertIn("KURE is clearly behind plain by 10.0 points", text)

    @parameterized.parameters(
        (0.60, 0.61, "too close to plain to call"),
        (0.61, 0.60, "too close to plain to call"),
        (0.60, 0.60, "level with plain"),
    )
    def test_a_difference_within_the_error_is_said_to_be(
        self, plain, kure, words
    ):
        text = self.verdict(
            run("plain", {3: plain}, examples=400),
            run("KURE", {3: kure}, examples=400, regularized=True),
        )

        # sqrt(.61 * .39 + .6 * .4) / 20 = 3.46 points
        self.assertIn(f"KURE is {words}: ", text)
        self.assertIn("(± 3.5 points from the examples, ", text)

    def test_the_comparison_is_with_the_best_other_run(self):
        text = self.verdict(
            run("KURE", {3: 0.7}, regularized=True),
            run("weak", {3: 0.2}),
            run("strong", {3: 0.8}),
        )

        self.assertIn("strong by 10.0 points: 70.0 % against 80.0 %", text)

    def test_the_name_decides_where_nothing_was_regularized(self):
        text = self.verdict(run("KURE", {3: 0.7}), run("plain", {3: 0.5}))

        self.assertIn("KURE is clearly ahead of plain by 20.0 points", text)

    def test_examples_and_seeds_are_told_apart(self):
        runs = [run("plain", {3: a}, seed=s) for s, a in enumerate([0.4, 0.6])]
        runs += [
            run("KURE", {3: a}, seed=s, regularized=True)
            for s, a in enumerate([0.5, 0.8])
        ]

        # Standard deviations 14.1 and 21.2 over two seeds each: the error of
        # the difference is sqrt(10^2 + 15^2) = 18 points. That of 10,000
        # examples: sqrt((.24 + .24) / 2 + (.25 + .16) / 2) / 100 = 0.67.
        self.assertIn(
            "too close to plain to call: 65.0 % against 50.0 % (± 0.7 points "
            "from the examples, ± 18.0 points from 2 training seeds)",
            self.verdict(*runs),
        )

    def test_one_run_alone_is_compared_with_nothing(self):
        self.assertEqual(
            self.verdict(run("a", {None: 0.9, 3: 0.5})),
            "At W3 (minmax) a reaches 50.0 % (± 0.5 points from the examples, "
            "one training run).",
        )

    def test_without_measured_values_there_is_none(self):
        self.assertIsNone(Headline.of(series_of([Run("net", [])])))


if __name__ == "__main__":
    tf.test.main()
