import dataclasses

import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from hypothesis import given
from hypothesis import strategies as st
from measured import row as row_at

from kure_tf.measurements import Report, Run
from kure_tf.pages import to_markdown
from kure_tf.pages.margins import margins
from kure_tf.pages.series import places_of, series_of

RATIOS = tuple(round(0.7 + 0.05 * i, 2) for i in range(13))


def row(bits=4, accuracy=0.8, activation_bits=None, rest="", **more):
    """Returns a row; `rest` is what its point says after the bits."""
    point = f"{bits or 'FP'}/{activation_bits or 'FP'} {rest}"
    return row_at(point, accuracy, run="net", **more)


def swept(curve, ratios=RATIOS, **more):
    """Rows of a step sweep along the function `curve`."""
    return [
        row(accuracy=curve(r), rest=f"x{r}", sweep="step_size", **more)
        for r in ratios
    ]


def triangle(left, right, top=0.8):
    """Accuracy that falls from `top` at ratio 1 by a slope on each side."""
    return lambda r: top - (left * (1 - r) if r < 1 else right * (r - 1))


def step(curve, budget=0.01, **more):
    (found,) = margins(Run("net", swept(curve, **more)), budget).steps
    return found


class StepMarginTest(tf.test.TestCase, parameterized.TestCase):
    @given(
        left=st.floats(0.1, 2.0),
        right=st.floats(0.1, 1.0),
        budget=st.floats(0.001, 0.3),
    )
    def test_margins_of_a_triangle_are_budget_over_slope(
        self, left, right, budget
    ):
        found = step(triangle(left, right), budget)
        for side, slope in ((found.smaller, left), (found.larger, right)):
            exact = budget / slope
            self.assertAlmostEqual(side.share, min(exact, 0.3), places=6)
            if abs(exact - 0.3) > 1e-6:
                self.assertEqual(side.crossed, exact < 0.3)

    def test_interval_is_the_margin_of_budgets_one_standard_error_away(self):
        found = step(triangle(0.5, 0.25), 0.01)
        error = np.sqrt(2 * 0.8 * 0.2 / 10_000)
        self.assertAllClose(
            found.smaller.interval,
            [(0.01 - error) / 0.5, (0.01 + error) / 0.5],
        )

    def test_means_of_a_triangle_are_half_way_up(self):
        found = step(triangle(1.0, 0.5))
        self.assertAlmostEqual(found.mean_below, 0.8 - 0.3 / 2)
        self.assertAlmostEqual(found.mean_above, 0.8 - 0.15 / 2)
        self.assertAlmostEqual(found.mean, 0.8 - (0.15 + 0.075) / 2)
        self.assertEqual(found.ratios, (0.7, 1.3))

    def test_mean_weighs_ratios_by_their_distance(self):
        """Trapezoids, as NumPy's: not the plain mean of the points."""
        ratios = (0.5, 0.9, 1.0, 1.02, 2.0)
        found = step(triangle(0.9, 0.3), ratios=ratios)
        heights = [triangle(0.9, 0.3)(r) for r in ratios]
        self.assertAlmostEqual(found.mean, np.trapezoid(heights, ratios) / 1.5)

    def test_only_the_first_fall_counts(self):
        heights = {0.8: 0.8, 0.9: 0.7, 1.0: 0.8, 1.1: 0.9, 1.2: 0.78, 1.3: 1.0}
        found = step(heights.get, ratios=tuple(heights), budget=0.01)
        self.assertAlmostEqual(found.smaller.share, 0.01)
        # From 0.9 down to 0.79 on the way to 0.78.
        self.assertAlmostEqual(found.larger.share, 0.1 + 0.1 * 0.11 / 0.12)

    def test_a_drop_of_just_the_budget_is_within_it(self):
        found = step(lambda r: 0.87 if r == 1 else 0.86)
        self.assertFalse(found.smaller.crossed)
        self.assertAlmostEqual(found.smaller.share, 0.3)

    def test_without_ratio_1_there_is_no_margin(self):
        found = step(triangle(1, 1), ratios=(0.9, 1.1))
        self.assertIsNone(found.smaller)
        self.assertIsNone(found.larger)
        self.assertIsNone(found.mean_below)
        self.assertAlmostEqual(found.mean, 0.7)

    def test_a_single_ratio_is_no_curve(self):
        found = margins(Run("net", swept(triangle(1, 1), ratios=(1.0,))))
        self.assertEmpty(found.steps)

    def test_ratio_1_is_taken_from_the_bit_width_sweep(self):
        rows = [row(accuracy=0.8), *swept(triangle(1, 1), ratios=(0.9, 1.1))]
        (found,) = margins(Run("net", rows)).steps
        self.assertAlmostEqual(found.smaller.share, 0.01)

    def test_a_side_that_was_not_swept_is_not_available(self):
        found = step(triangle(1, 1), ratios=(1.0, 1.1))
        self.assertIsNone(found.smaller)
        self.assertIsNone(found.mean_below)
        self.assertAlmostEqual(found.larger.share, 0.01)

    def test_of_several_seeds_the_mean_curve_counts(self):
        runs = [
            Run("net", swept(triangle(slope, 1)), provenance={"seed": seed})
            for seed, slope in enumerate((0.2, 0.6))
        ]
        (series,) = series_of(runs)
        (found,) = margins(series).steps
        self.assertAlmostEqual(found.smaller.share, 0.01 / 0.4)

    def test_each_method_and_way_with_batch_norm_has_its_own_curve(self):
        rows = [
            *swept(triangle(1, 1)),
            *swept(triangle(0.5, 1), reestimated_batch_norm=True),
            *swept(triangle(0.25, 1), placement="tflite"),
            *swept(triangle(0.2, 1), bits=3),
            row(rest="pow2", sweep="power_of_two"),
        ]
        found = margins(Run("net", rows)).steps
        self.assertAllClose(
            [one.smaller.share for one in found], [0.01, 0.02, 0.04, 0.05]
        )


class BitMarginTest(tf.test.TestCase, parameterized.TestCase):
    def bits(self, accuracies, in_float=0.9, **more):
        rows = [row(None, in_float)] if in_float else []
        rows += [row(b, a, **more) for b, a in accuracies.items()]
        found = margins(Run("net", rows)).bits
        return found[0] if found else None

    @given(st.dictionaries(st.integers(2, 8), st.integers(0, 10_000)))
    def test_all_larger_bits_are_within_and_the_next_is_not(self, correct):
        found = self.bits({b: n / 10_000 for b, n in correct.items()})
        if not correct:
            self.assertIsNone(found)
            return
        good = [b for b, n in correct.items() if 9_000 - n <= 100]
        lowest = found.lowest
        for b in correct:
            if lowest is not None and b >= lowest:
                self.assertIn(b, good)
        fewer = [b for b in correct if lowest is None or b < lowest]
        if fewer:
            self.assertNotIn(max(fewer), good)
        self.assertCountEqual(found.passing, set(good) & set(fewer))

    def test_fewer_bits_that_pass_where_more_fail_are_told(self):
        found = self.bits({8: 0.9, 6: 0.88, 5: 0.895, 4: 0.7})
        self.assertEqual((found.lowest, found.passing), (8, (5,)))

    def test_mean_is_over_2_to_8_bits(self):
        found = self.bits({16: 0.9, 8: 0.8, 4: 0.5, 2: 0.2, 1: 0.0})
        self.assertEqual(found.mean_bits, (8, 4, 2))
        self.assertAlmostEqual(found.mean, 0.5)

    def test_weights_only_and_equal_bits_are_told_apart(self):
        rows = [
            row(None, 0.9),
            *(row(b, a) for b, a in {8: 0.9, 4: 0.895, 3: 0.6}.items()),
            *(row(b, a, b) for b, a in {8: 0.9, 4: 0.6}.items()),
            row(4, 0.1, 8),  # Neither.
        ]
        weights, both = margins(Run("net", rows)).bits
        self.assertEqual((weights.activations, weights.lowest), (False, 4))
        self.assertEqual((both.activations, both.lowest), (True, 8))

    def test_nothing_is_said_without_float_on_the_same_split(self):
        self.assertIsNone(self.bits({8: 0.9}, in_float=None))
        self.assertIsNone(self.bits({8: 0.9}, split="train"))

    def test_no_bits_may_be_within(self):
        found = self.bits({8: 0.5, 4: 0.4})
        self.assertEqual((found.lowest, found.passing), (None, ()))


def sensitive(drops, **more):
    return [
        row(accuracy=0.9 - drop, sweep="sensitivity", layer=layer, **more)
        for layer, drop in drops.items()
    ]


class LayerMarginTest(tf.test.TestCase):
    def test_the_three_layers_of_largest_drop_come_first(self):
        drops = {"a": 0.01, "b": 0.3, "c": -0.02, "d": 0.2, "e": 0.1}
        rows = [row(None, 0.9), *sensitive(drops)]
        (found,) = margins(Run("net", rows)).layers
        self.assertEqual([layer for layer, *_ in found.worst], ["b", "d", "e"])
        self.assertAllClose(
            [drop for _, drop, _ in found.worst], [0.3, 0.2, 0.1]
        )
        self.assertEqual((found.count, str(found.point)), (5, "4/FP"))

    def test_a_layer_among_quantized_ones_is_not_held_against_float(self):
        alone = sensitive({"a": 0.1})
        among = sensitive({"a": 0.4, "b": 0.5}, others="8/FP")
        (found,) = margins(Run("net", [row(None, 0.9), *alone, *among])).layers
        self.assertEqual([layer for layer, *_ in found.worst], ["a"])
        self.assertAllClose(found.worst[0][1], 0.1)

    def test_single_layers_are_no_accuracies_of_the_model(self):
        rows = [row(None, 0.9), row(4, 0.8), *sensitive({"a": 0.5})]
        (series,) = series_of([Run("net", rows)])
        points = {str(place.point) for place in places_of([series])}
        self.assertEqual(points, {"4/FP", "FP/FP"})


class MarginsTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(0, -0.01, 1.5, "one", float("nan"), True)
    def test_a_budget_is_a_fraction_above_0(self, budget):
        errors = TypeError, ValueError
        with self.assertRaisesRegex(errors, "fraction above 0.*Received"):
            margins(Run("net", [row()]), budget)

    def test_other_things_are_refused(self):
        with self.assertRaisesRegex(TypeError, "Expected a Run.*list"):
            margins([row()])


class ShownMarginsTest(tf.test.TestCase):
    """What readers of a report see."""

    def runs(self):
        for name, slope in (("plain", 0.5), ("KURE", 0.1)):
            rows = [row(None, 0.9), row(8, 0.9), row(4, 0.895), row(3, 0.6)]
            rows += [row(2, 0.895), *swept(triangle(slope, 0.02, 0.895))]
            rows += sensitive({"conv/kernel": 0.123, "logits": 0.01})
            rows = [dataclasses.replace(one, run=name) for one in rows]
            yield Run(name, rows)

    def test_tables_say_margins_bits_and_layers(self):
        text = " ".join(to_markdown(Report(self.runs())).split())
        # (0.01 -+ 0.00434) / 0.5
        self.assertIn(
            "| 2.0 % (1.1 to 2.9) | at least 30 % (28 and up) |", text
        )
        self.assertIn("4; 2 is within, more bits are not", text)
        self.assertIn("| KURE | conv (12.3) | logits (1.0) | - | 2 |", text)


if __name__ == "__main__":
    tf.test.main()
