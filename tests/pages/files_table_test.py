"""A report of LiteRT files: its table."""

import tensorflow as tf
from measured import row

from kure_tf.measurements import Run
from kure_tf.pages.metric import Metric
from kure_tf.pages.series import series_of
from kure_tf.pages.tables.models import tflite_table


def _series():
    rows = [
        row(
            "2/8",
            0.8,
            run="net",
            sweep="tflite",
            ptq=method,
            details={
                "mode": "2/8 exact",
                "codes": 1000,
                "differing_codes": differing,
                "accuracy_drop": -0.0001,
            },
        )
        for method, differing in (("minmax", 0), ("adaround", 3))
    ]
    return series_of([Run("net", rows)])


class FilesTableTest(tf.test.TestCase):
    def test_files_of_one_point_are_told_by_their_method(self):
        rows = tflite_table(_series()).rows
        self.assertEqual(
            [cells[1].text for cells in rows],
            ["2/8 exact, minmax", "2/8 exact, adaround"],
        )

    def test_a_small_difference_is_no_minus_zero(self):
        self.assertEqual(Metric().difference(-0.0001), "0.0")
        self.assertEqual(Metric().difference(-0.0006), "-0.1")


if __name__ == "__main__":
    tf.test.main()
