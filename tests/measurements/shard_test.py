"""Dealing points to shards, and putting their rows together."""

from absl.testing import absltest, parameterized

from kure_tf import OperatingPoint
from kure_tf.measurements import Report, Row, Run, Shard
from kure_tf.measurements.shard import gathered


def _report(shard, points, **provenance):
    row = {"run": "a", "value": 0.5, "examples": 4, "placement": "paper"}
    rows = [Row(point=OperatingPoint.parse(text), **row) for text in points]
    facts = {"shard": shard, "checkpoint_hash": "1", **provenance}
    return Report((Run("a", tuple(rows), provenance=facts),), "A")


class ShardTest(parameterized.TestCase):
    def test_every_item_is_dealt_once_whatever_the_calls(self):
        for count in range(1, 5):
            hands = [[] for _ in range(count)]
            for start, stop in ((0, 3), (3, 4), (4, 4), (4, 11)):
                for index, hand in enumerate(hands):
                    items = range(start, stop)
                    hand += Shard(index, count).own(items, start)
            self.assertEqual(gathered(hands), list(range(11)))

    @parameterized.parameters("2/2", "1", "-1/2", "a/b", "0/0", None)
    def test_refuses_what_is_no_part(self, text):
        with self.assertRaisesRegex(ValueError, "'index/count', counted from"):
            Shard.parse(text)

    def test_merge_names_the_shard_that_is_missing(self):
        with self.assertRaisesRegex(ValueError, "Missing: 0/3, 2/3"):
            Report.merge([_report("1/3", ["4/FP"])])

    def test_merge_refuses_a_shard_that_has_not_finished(self):
        halves = [_report("0/2", ["4/FP"]), _report("1/2", ["3/FP", "2/FP"])]
        with self.assertRaisesRegex(ValueError, "have finished.*[1, 2]"):
            Report.merge(halves)

    def test_merge_refuses_shards_of_other_weights(self):
        halves = [
            _report("0/2", ["4/FP"]),
            _report("1/2", ["3/FP"], checkpoint_hash="2"),
        ]
        with self.assertRaisesRegex(ValueError, "checkpoint_hash: '1' and '2'"):
            Report.merge(halves)

    def test_shards_may_be_of_several_machines(self):
        halves = [
            _report(f"{index}/2", [point], machine=index)
            for index, point in enumerate(["4/FP", "3/FP"])
        ]
        (run,) = Report.merge(halves).runs
        self.assertEqual([str(row.point) for row in run.rows], ["4/FP", "3/FP"])
        self.assertEqual(run.provenance, {"checkpoint_hash": "1", "machine": 0})


if __name__ == "__main__":
    absltest.main()
