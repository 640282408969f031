import tensorflow as tf
from measured import row

from kure_tf.measurements import Report, Run
from kure_tf.pages import to_html, to_markdown


def device(name, drop, passed, **more):
    details = {
        "device": name,
        "budget": 0.01,
        "drop": drop,
        "drop_standard_error": 0.0012,
        "passed": passed,
        "too_close": False,
        **more,
    }
    return row(
        "4/4", 0.9 - drop, placement=name, sweep="device", details=details
    )


def report():
    rows = [
        row("FP/FP", 0.9),
        device("small", 0.004, True),
        device("close", 0.011, False, too_close=True),
        device("large", 0.25, False),
    ]
    return Report((Run("KURE", rows),))


class DeviceTableTest(tf.test.TestCase):
    def test_drop_error_and_verdict_are_in_the_table(self):
        text = " ".join(to_markdown(report()).split())
        self.assertIn("| 4/4 | KURE | 89.6 | 0.40 ± 0.12 | pass |", text)
        self.assertIn("| 1.10 ± 0.12 | fail, too close to call |", text)
        self.assertIn("| 65.0 | 25.00 ± 0.12 | fail |", text)
        self.assertIn("of at most the budget, 1 point of accuracy;", text)

    def test_a_figure_counts_what_passes_and_what_is_too_close(self):
        text = " ".join(to_markdown(report()).split())
        self.assertIn(
            "* **Devices within 1 point of accuracy of float**: 1 of 3 (1 too "
            "close to call); one training run",
            text,
        )

    def test_devices_are_no_points_of_the_sweeps(self):
        page = to_html(report())
        self.assertIn(">Devices</h2>", page)
        self.assertNotIn("Weights and activations", page)


if __name__ == "__main__":
    tf.test.main()
