from absl.testing import absltest
from measured import run_of

from kure_tf.measurements import Report

POINTS = {"FP/FP": 0.9, "4/FP": 0.8}


class MergeTest(absltest.TestCase):
    def merged(self, *runs):
        merged = Report.merge([Report([run]) for run in runs])
        for run in merged.runs:
            self.assertEqual({row.run for row in run.rows}, {run.name})
        return [run.name for run in merged.runs]

    def test_runs_of_different_names_stand_side_by_side(self):
        self.assertEqual(
            self.merged(run_of("a", POINTS), run_of("b", POINTS)), ["a", "b"]
        )

    def test_seeds_of_one_run_keep_their_name(self):
        flags = ["--seed={}", "--epochs=3", "--workdir=runs/{}"]
        runs = [
            run_of(
                "KURE",
                POINTS,
                seed=seed,
                provenance={
                    "checkpoint_hash": f"{seed}",
                    "flags": [flag.format(seed) for flag in flags],
                },
            )
            for seed in range(2)
        ]

        self.assertEqual(self.merged(*runs), ["KURE", "KURE"])

    def test_other_runs_of_equal_name_get_their_seed(self):
        one = run_of("KURE", POINTS, seed=0, provenance={"epochs": 1})
        two = run_of("KURE", POINTS, seed=1, provenance={"epochs": 2})

        self.assertEqual(
            self.merged(one, two), ["KURE (seed 0)", "KURE (seed 1)"]
        )

    def test_runs_that_seeds_do_not_tell_apart_get_a_number(self):
        one = run_of("KURE", POINTS, provenance={"epochs": 1})
        two = run_of("KURE", POINTS, provenance={"epochs": 2})

        self.assertEqual(
            self.merged(one, run_of("KURE (1)", POINTS), two),
            ["KURE (2)", "KURE (1)", "KURE (3)"],
        )

    def test_equal_runs_and_notes_are_taken_once(self):
        report = Report([run_of("KURE", POINTS)], "t", ["note"])

        self.assertEqual(Report.merge([report, report]), report)

    def test_nothing_to_merge_is_an_error(self):
        with self.assertRaisesRegex(ValueError, "at least one report"):
            Report.merge([])

    def test_runs_that_cannot_be_told_apart_are_refused(self):
        with self.assertRaisesRegex(ValueError, "Report.merge"):
            Report([run_of("KURE", POINTS), run_of("KURE", POINTS)])


if __name__ == "__main__":
    absltest.main()
