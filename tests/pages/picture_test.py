import functools
import xml.etree.ElementTree as ElementTree

from absl.testing import absltest
from measured import run_of

from kure_tf.measurements import Report
from kure_tf.pages import pictures

POINTS = {"FP/FP": 0.9, "4/FP": 0.8, "3/FP": 0.5}


@functools.cache
def drawn():
    return pictures(Report([run_of("<plain>", POINTS), run_of("KURE", POINTS)]))


class PicturesTest(absltest.TestCase):
    def test_both_are_files_that_stand_alone(self):
        self.assertCountEqual(drawn(), ["light", "dark"])
        for svg in drawn().values():
            root = ElementTree.fromstring(svg)
            self.assertEqual(root.tag, "{http://www.w3.org/2000/svg}svg")
            self.assertNotIn("var(", svg)
            self.assertNotIn("http", svg.replace(root.tag[1:27], ""))
            self.assertLess(len(svg), 20_000)

    def test_names_of_runs_stand_in_their_colours(self):
        for theme, colour in (("light", "#0f62c4"), ("dark", "#6cb0ff")):
            names = {
                element.text: element.get("style")
                for element in ElementTree.fromstring(drawn()[theme]).iter()
                if element.text in ("<plain>", "KURE")
            }
            self.assertLen(names, 2)
            self.assertEndsWith(names["KURE"], f"fill: {colour}")

    def test_a_single_bit_width_is_no_curve(self):
        with self.assertRaisesRegex(ValueError, "two bit-widths or more"):
            pictures(Report([run_of("a", {"FP/FP": 0.9, "4/FP": 0.8})]))


if __name__ == "__main__":
    absltest.main()
