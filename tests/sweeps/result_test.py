"""What evaluations return, read by hand-written cases."""

import types

from absl.testing import absltest, parameterized

from kure_tf.sweeps.result import result_fields


def _measured(value, higher_is_better=False):
    return types.SimpleNamespace(
        value=value,
        standard_error=0.25,
        examples=40,
        higher_is_better=higher_is_better,
    )


class ResultTest(parameterized.TestCase):
    @parameterized.named_parameters(
        ("accuracy", {"loss": 1.5, "accuracy": 0.5}, {}, ("accuracy", 0.5)),
        ("other", {"loss": 1.5, "mae": 2.0}, {"higher_is_better": False},
         ("mae", 2.0)),
        ("loss", {"loss": 1.5}, {}, ("loss", 1.5)),
        ("named", {"accuracy": 0.5, "loss": 1.5}, {"metric": "loss"},
         ("loss", 1.5)),
    )  # fmt: skip
    def test_the_row_is_about(self, measured, options, expected):
        fields = result_fields(measured, examples=7, **options)

        self.assertEqual((fields["metric"], fields["value"]), expected)
        self.assertEqual(
            fields["details"],
            {k: v for k, v in measured.items() if k != fields["metric"]},
        )
        self.assertIsNone(fields["standard_error"])
        self.assertEqual(fields["examples"], 7)
        self.assertEqual(
            fields["higher_is_better"], fields["metric"] == "accuracy"
        )

    def test_a_measured_metric_says_everything_itself(self):
        fields = result_fields(
            {"mae": _measured(3.0), "iou": _measured(0.5, True)}, examples=7
        )

        self.assertEqual(
            fields,
            {
                "metric": "mae",
                "value": 3.0,
                "higher_is_better": False,
                "standard_error": 0.25,
                "examples": 40,
                "details": {"iou": 0.5},
            },
        )

    def test_the_result_may_count_the_examples(self):
        for name in ("examples", "images"):
            fields = result_fields({"accuracy": 0.5, name: 9}, examples=7)
            self.assertEqual(fields["examples"], 9)
            self.assertEqual(fields["details"], {})

    @parameterized.parameters(
        ("mae", False), ("mean_squared_error", False), ("auc", True)
    )
    def test_the_direction_of_usual_metrics_is_known(self, metric, higher):
        found = result_fields({"loss": 0.2, metric: 0.1}, examples=7)
        self.assertEqual(found["metric"], metric)
        self.assertEqual(found["higher_is_better"], higher)

    @parameterized.named_parameters(
        ("nothing", {}, {}, r"dictionary of metrics, such as.*Received: \[\]"),
        ("metric", {"loss": 0.1}, {"metric": "mae"}, "with 'mae'.*'loss'"),
        ("direction", {"gap": 0.1}, {}, "higher 'gap' is better.*Pass"),
        ("count", {"accuracy": 0.1}, {"examples": None},
         "how many examples the accuracy.*examples="),
    )  # fmt: skip
    def test_what_is_missing_is_said(self, measured, options, message):
        with self.assertRaisesRegex(ValueError, message):
            result_fields(measured, **{"examples": 7, **options})


if __name__ == "__main__":
    absltest.main()
