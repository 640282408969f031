"""Dealing points to shards, and putting their rows together."""

import itertools

from absl.testing import absltest, parameterized

from kure_tf import OperatingPoint
from kure_tf.measurements import Report, Row, Run, Shard
from kure_tf.measurements.shard import gathered
from kure_tf.pages import to_markdown


def _report(shard, points, **provenance):
    row = {"run": "a", "value": 0.5, "examples": 4, "placement": "paper"}
    rows = [Row(point=OperatingPoint.parse(text), **row) for text in points]
    facts = {"shard": shard, "planned_rows": 2, "checkpoint_hash": "1"}
    run = Run("a", tuple(rows), provenance={**facts, **provenance})
    return Report((run,), "A")


def _halves(*points, **provenance):
    """Returns two shards of one point each."""
    return [
        _report(f"{index}/2", [point], **provenance)
        for index, point in enumerate(points)
    ]


def _machine(processor, threads=2):
    return {"processor": processor, "threads": threads}


class ShardTest(parameterized.TestCase):
    def test_every_item_is_dealt_once(self):
        for items, count in itertools.product(
            (range(11), range(4), ()), range(1, 5)
        ):
            hands = [Shard(index, count).own(items) for index in range(count)]
            self.assertEqual(gathered(hands), list(items))

    @parameterized.parameters("2/2", "1", "-1/2", "a/b", "0/0", None)
    def test_refuses_what_is_no_part(self, text):
        with self.assertRaisesRegex(ValueError, "'index/count', counted from"):
            Shard.parse(text)

    def test_merge_names_the_shard_that_is_missing(self):
        with self.assertRaisesRegex(ValueError, "Missing: 0/3, 2/3"):
            Report.merge([_report("1/3", ["4/FP"])])

    def test_merge_refuses_a_shard_that_is_behind(self):
        halves = [_report("0/2", ["4/FP"]), _report("1/2", ["3/FP", "2/FP"])]
        with self.assertRaisesRegex(ValueError, r"have finished.*\[1, 2\]"):
            Report.merge(halves)

    def test_merge_says_how_many_rows_equal_hands_lack(self):
        halves = _halves("4/FP", "3/FP", planned_rows=5)
        with self.assertRaisesRegex(
            ValueError, "all 5 rows .*'a'.* 2 from its shards; 3 are missing"
        ):
            Report.merge(halves)

    @parameterized.parameters(
        ({"checkpoint_hash": "2"}, "checkpoint_hash: '1' and '2'"),
        ({"versions": {"numpy": "2", "c": "0"}}, "versions numpy: '1' and '2'"),
        ({"planned_rows": 3}, "planned_rows: 2 and 3"),
        ({"shard": "1/3"}, "number of shards: 2 and 3"),
    )
    def test_merge_says_what_tells_shards_of_two_sweeps_apart(
        self, other, difference
    ):
        facts = {"versions": {"numpy": "1", "c": "0"}}
        halves = [
            _report("0/2", ["4/FP"], **facts),
            _report(**{"shard": "1/2", "points": ["3/FP"], **facts, **other}),
        ]
        with self.assertRaisesRegex(
            ValueError, f"Missing: 1/2.* another sweep, by {difference}. For"
        ):
            Report.merge(halves)

    def test_two_sweeps_of_one_name_stay_two_runs(self):
        one = _halves("4/FP", "3/FP")
        two = _halves("8/FP", "7/FP", checkpoint_hash="2")

        runs = Report.merge([one[0], two[1], two[0], one[1]]).runs

        found = {
            run.name: (
                run.provenance["checkpoint_hash"],
                [str(row.point) for row in run.rows],
            )
            for run in runs
        }
        self.assertEqual(
            found,
            {
                "a (1)": ("1", ["4/FP", "3/FP"]),
                "a (2)": ("2", ["8/FP", "7/FP"]),
            },
        )

    def test_merge_refuses_a_shard_twice_with_other_rows(self):
        halves = _halves("4/FP", "3/FP")
        again = _report("1/2", ["2/FP"], **_machine("B"))
        with self.assertRaisesRegex(ValueError, "two reports of shard 1/2"):
            Report.merge([*halves, again])

    def test_a_sweep_and_its_shards_are_one_run(self):
        halves = _halves("4/FP", "3/FP")
        whole = Report.merge(halves)

        self.assertEqual(
            Report.merge([whole, *halves, halves[0]]).runs, whole.runs
        )

    @parameterized.parameters(
        ("AA", _machine("A")),
        ("BA", {"machines": [_machine("B"), _machine("A")]}),
    )
    def test_a_merged_sweep_says_which_machines_it_had(self, names, machines):
        halves = [
            _report(f"{index}/2", [point], **_machine(names[index]))
            for index, point in enumerate(["4/FP", "3/FP"])
        ]

        (run,) = Report.merge(halves).runs

        self.assertEqual(run.provenance, {"checkpoint_hash": "1", **machines})

    def test_the_page_lists_all_machines(self):
        halves = [
            _report(f"{index}/2", [point], **_machine(f"CPU {index}"))
            for index, point in enumerate(["4/FP", "3/FP"])
        ]
        self.assertIn(
            "processor CPU 0, threads 2, processor CPU 1, threads 2",
            to_markdown(Report.merge(halves)),
        )


if __name__ == "__main__":
    absltest.main()
