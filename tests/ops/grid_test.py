import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from kure_tf.ops import GRIDS
from kure_tf.ops import grid as grids

# By hand: {grid: {bits: (low, high, clipping range in steps)}}.
TABLE = {
    "narrow": {
        2: (-1, 1, 1),
        3: (-3, 3, 3),
        4: (-7, 7, 7),
        5: (-15, 15, 15),
        6: (-31, 31, 31),
        7: (-63, 63, 63),
        8: (-127, 127, 127),
        16: (-32767, 32767, 32767),
    },
    "full": {
        2: (-2, 1, 1),
        3: (-4, 3, 3),
        4: (-8, 7, 7),
        8: (-128, 127, 127),
        16: (-32768, 32767, 32767),
    },
    "unsigned": {
        1: (0, 1, 1),
        2: (0, 3, 3),
        3: (0, 7, 7),
        4: (0, 15, 15),
        8: (0, 255, 255),
        16: (0, 65535, 65535),
    },
    "reference": {
        1: (-1, 0, 0.5),
        2: (-2, 1, 1.5),
        3: (-4, 3, 3.5),
        4: (-8, 7, 7.5),
        8: (-128, 127, 127.5),
        16: (-32768, 32767, 32767.5),
    },
    "equation1": {
        1: (-1, 1, 1),
        2: (-2, 2, 2),
        3: (-4, 4, 4),
        4: (-8, 8, 8),
        8: (-128, 128, 128),
        16: (-32768, 32768, 32768),
    },
}
ROWS = [
    (f"{name}_{bits}_bits", name, bits, *row)
    for name, rows in TABLE.items()
    for bits, row in rows.items()
]


class GridTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.named_parameters(*ROWS)
    def test_levels_and_extent(self, name, bits, low, high, extent):
        grid = GRIDS[name]

        self.assertAllEqual(grid.levels(bits), (low, high))
        self.assertAllEqual(grid.extent(bits, 0.0), extent)

    @parameterized.named_parameters(*ROWS)
    def test_bits_may_be_a_variable(self, name, bits, low, high, extent):
        grid, bits = GRIDS[name], tf.Variable(float(bits))

        self.assertAllEqual(grid.levels(bits), (low, high))
        self.assertAllEqual(grid.extent(bits, 0.0), extent)

    @parameterized.product(
        name=("narrow", "full", "unsigned", "reference"),
        bits=tuple(range(1, 17)),
    )
    def test_there_are_at_most_two_to_the_bits_levels(self, name, bits):
        low, high = GRIDS[name].levels(bits)

        count = int(high - low + 1)

        narrow = name == "narrow"
        self.assertEqual(count, 2**bits - 1 if narrow else 2**bits)

    @parameterized.parameters(*range(1, 17))
    def test_equation_1_has_one_level_more(self, bits):
        low, high = GRIDS["equation1"].levels(bits)

        self.assertEqual(high - low + 1, 2**bits + 1)

    @parameterized.named_parameters(
        ("unsigned_4", 4, 0.0, (0, 15), 15),
        ("signed_4", 4, -0.5, (-7, 7), 7),
        ("unsigned_8", 8, 0.0, (0, 255), 255),
        ("signed_8", 8, -100.0, (-127, 127), 127),
        ("signed_2", 2, -1.0, (-1, 1), 1),
    )
    def test_signed_or_unsigned_looks_at_the_lowest_value(
        self, bits, lowest, levels, extent
    ):
        grid = GRIDS["signed_or_unsigned"]

        self.assertAllEqual(grid.levels(bits, lowest), levels)
        self.assertAllEqual(grid.extent(bits, lowest), extent)

    @parameterized.named_parameters(
        ("nothing_negative", 4, 0.0, (0, 15)),
        ("rounded_zero_point", 4, -2.6, (-3, 12)),
        ("nothing_positive", 4, -15.0, (-15, 0)),
        ("beyond_the_range", 4, -40.0, (-15, 0)),
        ("eight_bits", 8, -100.2, (-100, 155)),
    )
    def test_asymmetric_moves_zero_onto_a_level(self, bits, lowest, levels):
        grid = GRIDS["asymmetric"]

        self.assertAllEqual(grid.levels(bits, lowest), levels)
        self.assertAllEqual(grid.extent(bits, lowest), 2**bits - 1)

    def test_only_the_papers_grids_cannot_be_deployed(self):
        names = [grid.name for grid in GRIDS.values() if not grid.deployable]

        self.assertCountEqual(names, ["reference", "equation1"])

    @parameterized.named_parameters(*[(name, name) for name in GRIDS])
    def test_a_grid_is_found_by_its_name(self, name):
        grid = grids.get(name)

        self.assertEqual(grid.name, name)
        self.assertIs(grids.get(grid), grid)
        self.assertNotEmpty(grid.summary)

    def test_an_unknown_name_lists_the_choices(self):
        with self.assertRaisesRegex(ValueError, "one of .*narrow.*'nine'"):
            grids.get("nine")

    def test_one_bit_needs_a_grid_without_zero_or_with_three_levels(self):
        GRIDS["reference"].check_bits(1)
        GRIDS["equation1"].check_bits(1)  # -1, 0 and 1: Eq. 1 has one more.
        GRIDS["narrow"].check_bits(2)
        GRIDS["narrow"].check_bits(None)  # Float.

        with self.assertRaisesRegex(ValueError, "at least 2 bits.*reference"):
            GRIDS["narrow"].check_bits(1)

    def test_the_reference_grid_is_odd_multiples_of_half_a_step(self):
        grid = GRIDS["reference"]
        low, high = grid.levels(2)

        values = np.arange(low, high + 1) + grid.offset

        self.assertAllEqual(values, [-1.5, -0.5, 0.5, 1.5])


if __name__ == "__main__":
    tf.test.main()
