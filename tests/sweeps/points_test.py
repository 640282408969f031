import tensorflow as tf

from kure_tf.sweeps import bit_width_points, step_size_points


class PointsTest(tf.test.TestCase):
    def test_bit_widths_are_those_of_the_paper(self):
        self.assertEqual(
            " ".join(str(point) for point in bit_width_points()),
            "FP/FP 8/FP 7/FP 6/FP 5/FP 4/FP 3/FP 2/FP 8/8 7/7 6/6 5/5 4/4 3/3",
        )

    def test_bit_widths_can_be_chosen(self):
        points = bit_width_points((4,), (), fp=False)
        self.assertEqual([str(point) for point in points], ["4/FP"])

    def test_step_ratios_go_from_below_to_above_in_thirteen(self):
        points = step_size_points(4, 8)
        self.assertLen(points, 13)
        self.assertEqual(str(points[0]), "4/8 x0.7")
        self.assertEqual(str(points[6]), "4/8")
        self.assertEqual(str(points[-1]), "4/8 x1.3")


if __name__ == "__main__":
    tf.test.main()
