import csv
import functools
import io
import json
import pathlib
import re
import tempfile
from unittest import mock

import numpy as np
from absl.testing import absltest, parameterized

from kure_tf.pages.plots import svg
from kure_tf.paper import theory_page as theory
from kure_tf.paper.theory_page import files, page, tables


@functools.cache
def study(grid="equation1", bits=None, **options):
    return theory.make_study(
        grid, bits=bits, **({"values": 500, "ratios": (0.8, 1.25)} | options)
    )


@functools.cache
def drawn(*arguments, **options):
    return page.study_page(study(*arguments, **options))


class StudyTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.study = study(values=20_000)

    def test_there_is_a_row_per_distribution_and_bit_width(self):
        for name in ("uniform", "normal", "laplace"):
            rows = self.study.rows_of(name)
            self.assertEqual([r.exact.bits for r in rows], list(range(1, 9)))

    def test_the_papers_values_stand_beside_the_exact_ones(self):
        """At 4 bits: 2a/16 and 1/2; 0.31989, 11/12; none for Laplace."""
        uniform, normal, laplace = (
            self.study.rows_of(name)[3].paper
            for name in ("uniform", "normal", "laplace")
        )

        self.assertAlmostEqual(uniform.step_size, 2 * 3**0.5 / 16)
        self.assertAlmostEqual(uniform.mean_squared_error, (12 / 256) / 12)
        self.assertAlmostEqual(uniform.curvature, 0.5)
        self.assertAlmostEqual(uniform.sensitivity, 0.25)
        self.assertAlmostEqual(normal.step_size, 2.5591 / 8, places=5)
        self.assertAlmostEqual(normal.mean_squared_error, 0.010493, places=6)
        self.assertLess(normal.curvature, -11 / 6)
        self.assertAlmostEqual(normal.sensitivity, 11 / 12)
        self.assertIsNone(laplace)

    def test_simulation_paper_and_exact_error_agree(self):
        """Fig. 1: 20,000 values; Eq. 9 is 1.5 % high at most."""
        for curves in self.study.curves:
            exact = np.interp(
                curves.simulated_step_sizes,
                curves.step_sizes,
                curves.mean_squared_error,
            )
            np.testing.assert_allclose(curves.simulated, exact, rtol=0.1)
            if curves.paper is not None:
                valid = np.isfinite(curves.paper)
                self.assertGreater(np.sum(valid), 300)
                np.testing.assert_allclose(
                    curves.paper[valid],
                    curves.mean_squared_error[valid],
                    rtol=0.015,
                )

    def test_other_grids_leave_the_papers_formulas_out(self):
        narrow = study("narrow", bits=(4,))

        self.assertEqual({row.paper for row in narrow.rows}, {None})
        self.assertEqual({curves.paper for curves in narrow.curves}, {None})

    @parameterized.parameters(("narrow", 2), ("unsigned", 2), ("reference", 1))
    def test_by_default_all_bits_of_the_grid_are_taken(self, grid, first):
        self.assertEqual(study(grid).bits, tuple(range(first, 9)))

    def test_an_unsigned_grid_gets_absolute_values(self):
        unsigned = study("unsigned", bits=(4,), values=20_000)

        self.assertTrue(
            all(row.exact.distribution.absolute for row in unsigned.rows)
        )
        curves = unsigned.curves[0]
        exact = np.interp(
            curves.simulated_step_sizes,
            curves.step_sizes,
            curves.mean_squared_error,
        )
        np.testing.assert_allclose(curves.simulated, exact, rtol=0.1)

    def test_a_seed_gives_the_same_simulation(self):
        one, same, other = (
            theory.make_study(bits=[2], values=500, seed=seed)
            for seed in (0, 0, 1)
        )

        for a, b, c in zip(one.curves, same.curves, other.curves, strict=True):
            np.testing.assert_array_equal(a.simulated, b.simulated)
            self.assertFalse(np.array_equal(a.simulated, c.simulated))

    def test_no_bits_or_values_are_refused(self):
        with self.assertRaisesRegex(ValueError, "at least one bit-width"):
            study(bits=())
        with self.assertRaisesRegex(ValueError, "one value.*0"):
            study(values=0)
        with self.assertRaisesRegex(ValueError, "at least 2 bits.*'narrow'"):
            study("narrow", bits=(1, 2))


class FilesTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.study = study(values=20_000)
        self.page = drawn(values=20_000).to_html()

    def test_csv_has_a_line_per_row(self):
        lines = list(csv.DictReader(io.StringIO(files.to_csv(self.study))))

        self.assertLen(lines, 24)
        line = lines[11]
        self.assertEqual((line["distribution"], line["bits"]), ("normal", "4"))
        self.assertAlmostEqual(float(line["clipping_range"]), 2.5512, places=4)
        self.assertAlmostEqual(float(line["paper_sensitivity"]), 11 / 12)
        self.assertEqual(lines[-1]["paper_sensitivity"], "")

    def test_json_has_rows_theorem_and_curves(self):
        document = json.loads(files.to_json(self.study))

        self.assertEqual(document["format"], "kure_tf theory")
        self.assertLen(document["rows"], 24)
        (four,) = (
            one
            for one in document["theorem_4"]
            if one["bits"] == 4 and one["rival"] == "normal"
        )
        self.assertAlmostEqual(four["mse_ratio"], 3.007, places=3)
        self.assertEqual(four["ratios"], [0.8, 1.25])
        curves = document["curves"]["uniform"]
        self.assertLen(curves["paper"], len(curves["step_sizes"]))
        self.assertIsNone(curves["paper"][-1])  # Beyond the range of Eq. 5.
        self.assertIsNone(document["curves"]["laplace"]["paper"])

    def test_the_page_stands_alone(self):
        self.assertNotIn("<script src", self.page)
        self.assertNotRegex(self.page, r"(src|href)=[\"'](?!#)")
        self.assertNotIn("@import", self.page)
        self.assertNotIn("nan", re.sub(r"[a-z]*nan[a-z]+", "", self.page))
        self.assertIn("prefers-color-scheme: dark", self.page)

    def test_the_page_has_both_figures_and_the_theorem(self):
        for heading in (
            "Theorem 4, as it holds",
            "Figure 1: error against the step size, 4 bits",
            "Figure 2: the smallest error against bits",
            "What the paper prints and what holds",
        ):
            self.assertIn(f"<h2>{heading}</h2>", self.page)
        self.assertEqual(self.page.count("<figure>"), 2 + 6 + 2)
        # Every colour is one of the page's, for light and dark.
        self.assertNotRegex(self.page, "#0[12]fe")

    def test_the_page_is_the_same_for_the_same_study(self):
        again = page.study_page(self.study).to_html()
        self.assertEqual(again, self.page)

    def test_a_grid_without_formulas_in_the_paper_has_a_page(self):
        text = drawn("unsigned", bits=(2, 3), figure_bits=2).to_html()

        self.assertIn("grid &#39;unsigned&#39;", text)
        self.assertNotIn("Eq. 5 or 9", text)
        self.assertIn("|X|", text)
        self.assertNotIn("|X|", self.page)

    def test_the_summary_is_that_of_the_numbers(self):
        text = page.summarize(study(bits=(2, 4)))
        self.assertIn("2.1 to 3.0 times below", text)
        self.assertIn("2.2 to 5.3 times that of the normal", text)
        self.assertIn("clearly too large, from 2 bits on", text)

        text = page.summarize(study(bits=(1,)))
        self.assertIn("1.7 times below", text)
        self.assertNotIn("clearly too large", text)

    def test_markdown_has_the_tables(self):
        text = drawn(values=20_000).to_markdown()

        self.assertRegex(text, r"\| normal +\| 1 +\| +1\.224 \| +1\.240 \|")
        self.assertIn("≥ 0.9167", text)
        self.assertIn("* Eq. 12: curvature of the uniform zero", text)
        self.assertIn("## Theorem 4, as it holds", text)
        self.assertNotIn("Figure 1", text)  # There are only plots.
        self.assertNotIn("<", text)

    @parameterized.parameters(
        (0.5, "0.5000"), (128.0, "128.0"), (9.1827e-4, "9.183e-04")
    )
    def test_numbers_have_four_digits(self, value, text):
        self.assertEqual(tables.number(value), text)

    def test_all_files_are_written(self):
        with (
            tempfile.TemporaryDirectory() as folder,
            mock.patch.object(
                files, "study_page", return_value=drawn(values=20_000)
            ),
        ):
            path = theory.save(self.study, pathlib.Path(folder) / "new")

            self.assertEqual(path.read_text("utf-8"), self.page)
            self.assertEqual(
                {file.name for file in path.parent.iterdir()},
                {f"theory.{kind}" for kind in ("csv", "html", "json", "md")},
            )

    def test_nothing_is_written_where_a_file_cannot_be_made(self):
        with (
            tempfile.TemporaryDirectory() as folder,
            mock.patch.object(svg, "to_svg", side_effect=ImportError("no")),
        ):
            with self.assertRaises(ImportError):
                theory.save(self.study, folder)

            self.assertEqual(list(pathlib.Path(folder).iterdir()), [])


if __name__ == "__main__":
    absltest.main()
