"""Patterns against itertools, and against points written by hand."""

import itertools

from absl.testing import absltest, parameterized
from hypothesis import given
from hypothesis import strategies as st

from kure_tf import OperatingPoint
from kure_tf.settings.pattern import MOST_POINTS, all_points, points

WRITTEN = (
    ("3/8 x1.02", ["3/8 x1.02"]),
    (" {4, 3} / FP ", ["4/FP", "3/FP"]),
    ("{8,6,5,4,3,2}/FP", ["8/FP", "6/FP", "5/FP", "4/FP", "3/FP", "2/FP"]),
    ("{8..6}", ["8/8", "7/7", "6/6"]),
    ("{2..4}/FP", ["2/FP", "3/FP", "4/FP"]),
    ("4", ["4/4"]),
    ("fp", ["FP/FP"]),
    ("{4,FP}/4", ["4/4", "FP/4"]),
    ("4 x{0.9,1.1}", ["4/4 x0.9", "4/4 x1.1"]),
    ("4/4 x1/{0.9,1.1}", ["4/4 x1/0.9", "4/4 x1/1.1"]),
    ("4/4 x{0.9,1.1}/=", ["4/4 x0.9/0.9", "4/4 x1.1/1.1"]),
    ("{4,3}/= X{2}/ =", ["4/4 x2/2", "3/3 x2/2"]),
    ("4/FP {floor,half-up,stochastic:{0:2}}", [
        "4/FP floor", "4/FP half-up", "4/FP stochastic:0",
        "4/FP stochastic:1", "4/FP stochastic:2"]),
    ("{4,3}/FP {pow2,pow2-up}", [
        "4/FP pow2", "4/FP pow2-up", "3/FP pow2", "3/FP pow2-up"]),
    ("{4,3}/FP {narrow,full}", ["4/FP", "4/FP full", "3/FP", "3/FP full"]),
    ("4/FP x{1.1:0.9:-0.1}", ["4/FP x1.1", "4/FP", "4/FP x0.9"]),
    ("4/FP x{0.7:1:0.2}", ["4/FP x0.7", "4/FP x0.9"]),
    ("{{8,6},{4..3}}/FP", ["8/FP", "6/FP", "4/FP", "3/FP"]),
    ("{4,4,4}/FP x{1,1.0}", ["4/FP"]),
)  # fmt: skip

MALFORMED = (
    ("{4,3/FP", "brace is not closed"),
    ("4,3}/FP", "closes a brace"),
    ("4/FP}", "closes a brace"),
    ("{4,}/FP", "alternative is empty"),
    ("{}/FP", "alternative is empty"),
    ("4/FP x{0.7:1.3:0}", "'0.7:1.3:0' never reaches its end"),
    ("4/FP x{1.3:0.7:0.1}", "never reaches its end"),
    ("4/FP x{0:1e9}", "step scale|operating point"),
    ("4/FP x{1:1000000000}", f"more than {MOST_POINTS:,}"),
    ("{1..16}/{1..16} x{1:100}", f"more than {MOST_POINTS:,}"),
    ("{4,banana}/FP", "'4/8'.*'banana/FP'.*part of .{4,banana./FP"),
    ("{17,4}/FP", "2..16.*part of .{17,4./FP"),
    ("4/FP x{1,1e30}", "from 1e-06 to 1e.06. Received: 1e.30"),
    ("4/FP x{0,1}", "positive, finite step scale.*part of"),
    ("4-8", "'4/8'.*Received: '4-8'"),
    ("4/x8", "'4/8'.*Received: '4/x8'"),
    ("", "'4/8'.*Received: ''"),
)


class PatternTest(parameterized.TestCase):
    @parameterized.parameters(*WRITTEN)
    def test_writes_points(self, pattern, expected):
        self.assertEqual(
            points(pattern), [OperatingPoint.parse(text) for text in expected]
        )

    @parameterized.parameters(*MALFORMED)
    def test_what_is_wrong_is_said(self, pattern, message):
        with self.assertRaisesRegex(ValueError, message):
            points(pattern)

    def test_a_range_of_ratios_holds_the_numbers_that_one_reads(self):
        ratios = [p.step_scale for p in points("4/FP x{0.7:1.3:0.05}")]

        self.assertEqual(
            ratios,
            [0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0, 1.05, 1.1, 1.15, 1.2, 1.25,
             1.3],
        )  # fmt: skip

    @given(
        st.lists(st.integers(1, 16), min_size=1, max_size=4),
        st.lists(st.none() | st.integers(1, 16), min_size=1, max_size=4),
        st.lists(st.floats(0.01, 100), min_size=1, max_size=4),
        st.lists(
            st.sampled_from(["floor", "half-up", "stochastic:7"]),
            min_size=1,
            max_size=3,
        ),
    )
    def test_is_the_product_of_its_braces(self, weights, others, ratios, modes):
        pattern = " ".join(
            [
                f"{_braces(weights)}/{_braces(b or 'FP' for b in others)}",
                f"x{_braces(map(repr, ratios))}",
                _braces(modes),
            ]
        )

        product = [
            OperatingPoint(w, a, step_scale=ratio, rounding_mode=mode)
            for w, a, ratio, mode in itertools.product(
                weights, others, ratios, modes
            )
        ]

        self.assertEqual(points(pattern), list(dict.fromkeys(product)))

    @given(st.integers(1, 16), st.integers(1, 16))
    def test_two_dots_count_up_or_down(self, first, last):
        step = 1 if last >= first else -1
        expected = [
            OperatingPoint(bits) for bits in range(first, last + step, step)
        ]

        self.assertEqual(points(f"{{{first}..{last}}}/FP"), expected)

    def test_several_patterns_give_each_point_once(self):
        found = all_points(["{4,3}/FP", OperatingPoint(3), "2/FP"])

        self.assertEqual(found, [OperatingPoint(bits) for bits in (4, 3, 2)])
        self.assertEqual(all_points("{4,3}/FP"), points("{4,3}/FP"))

    def test_what_is_no_text_is_refused(self):
        self.assertEqual(points(OperatingPoint(4)), [OperatingPoint(4)])
        with self.assertRaisesRegex(TypeError, "as text.*Received: int"):
            points(4)


def _braces(values):
    return "{" + ",".join(str(value) for value in values) + "}"


if __name__ == "__main__":
    absltest.main()
