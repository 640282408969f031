import dataclasses

import tensorflow as tf
from absl.testing import parameterized
from measured import row

from kure_tf.measurements import Run
from kure_tf.pages.series import series_of
from kure_tf.pages.summary import summarize


def run(name, accuracies, *, regularized=False, seed=0, examples=10_000):
    rows = [
        row(f"{bits or 'FP'}/FP", accuracy, run=name, examples=examples)
        for bits, accuracy in accuracies.items()
    ]
    kurtosis = {"before": 5.0, "after": 1.9 if regularized else 5.1}
    kurtosis = {"conv": kurtosis | {"regularized": regularized}}
    return Run(name, rows, provenance={"seed": seed}, kurtosis=kurtosis)


class SummaryTest(parameterized.TestCase, tf.test.TestCase):
    def summary(self, *runs):
        return summarize(series_of(runs))

    def test_a_clear_lead_is_called_clear(self):
        text = self.summary(
            run("plain", {None: 0.88, 4: 0.74, 3: 0.435, 2: 0.1}),
            run(
                "with",
                {None: 0.88, 4: 0.86, 3: 0.813, 2: 0.1},
                regularized=True,
            ),
        )

        # sqrt(.813 * .187 + .435 * .565) / 100 = 0.63 points
        self.assertIn(
            "At W3 (3/FP, minmax) with reaches 81.3 % and plain 43.5 %: with "
            "is 37.8 points ahead, more than two standard errors (1.3) "
            "(one training run each).",
            text,
        )
        self.assertIn("In float with reaches 88.0 %", text)
        self.assertIn("with is not ahead, the two are level", text)
        self.assertIn("all 3 quantized points", text)
        self.assertIn("clearly ahead at 2", text)
        self.assertIn("clearly behind at 0, and too close to call at 1", text)

    def test_batch_norm_both_ways_gets_a_sentence_of_its_own(self):
        kept = run("KURE", {4: 0.86, 3: 0.8}, regularized=True)
        again = [
            dataclasses.replace(
                row, value=row.value + 0.05, reestimated_batch_norm=True
            )
            for row in kept.rows
        ]
        with_it = "At W3 (3/FP, minmax, batch norm re-estimated) KURE reaches"
        both = self.summary(
            dataclasses.replace(kept, rows=(*kept.rows, *again))
        )
        self.assertIn("At W3 (3/FP, minmax) KURE reaches 80.0 %.", both)
        self.assertIn(f"{with_it} 85.0 %.", both)
        alone = self.summary(dataclasses.replace(kept, rows=tuple(again)))
        self.assertEqual(alone.count(with_it), 1)
        self.assertNotIn("At W3 (3/FP, minmax) KURE", alone)

    def test_a_run_that_is_behind_is_said_to_be_behind(self):
        text = self.summary(
            run("plain", {3: 0.60}), run("KURE", {3: 0.50}, regularized=True)
        )

        self.assertIn(
            "KURE is not ahead but 10.0 points behind, more than two "
            "standard errors (1.4)",
            text,
        )

    @parameterized.parameters(
        (0.60, 0.61, "1.0 points ahead"),
        (0.61, 0.60, "not ahead but 1.0 points behind"),
    )
    def test_a_difference_within_the_error_is_said_to_be(
        self, plain, kure, words
    ):
        text = self.summary(
            run("plain", {3: plain}, examples=400),
            run("KURE", {3: kure}, examples=400, regularized=True),
        )

        # sqrt(.61 * .39 + .6 * .4) / 20 = 3.46 points
        self.assertIn(f"{words}, no more than two standard errors (6.9)", text)

    def test_the_comparison_is_with_the_best_other_run(self):
        text = self.summary(
            run("KURE", {3: 0.7}, regularized=True),
            run("weak", {3: 0.2}),
            run("strong", {3: 0.8}),
        )

        self.assertIn("KURE reaches 70.0 % and strong 80.0 %", text)

    def test_the_name_decides_where_nothing_was_regularized(self):
        text = self.summary(run("KURE", {3: 0.7}), run("plain", {3: 0.5}))

        self.assertIn("KURE is 20.0 points ahead", text)

    def test_seeds_widen_the_error(self):
        runs = [run("plain", {3: a}, seed=s) for s, a in enumerate([0.4, 0.6])]
        runs += [
            run("KURE", {3: a}, seed=s, regularized=True)
            for s, a in enumerate([0.5, 0.8])
        ]

        # Standard deviations 14.1 and 21.2 over two seeds each: the error of
        # the difference is sqrt(10^2 + 15^2) = 18 points.
        self.assertIn("15.0 points ahead, no more than", self.summary(*runs))

    def test_kurtosis_is_the_mean_over_regularized_layers(self):
        text = self.summary(
            run("plain", {3: 0.5}), run("KURE", {3: 0.5}, regularized=True)
        )

        self.assertIn("1 regularized layer: 1.90 (KURE), 5.10 (plain)", text)

    def test_one_run_alone_is_compared_with_nothing(self):
        text = self.summary(run("a", {None: 0.9, 3: 0.5}))

        self.assertEqual(
            text,
            "In float a reaches 90.0 %. At W3 (3/FP, minmax) a reaches 50.0 %.",
        )


if __name__ == "__main__":
    tf.test.main()
