"""Tests for runs/nested_search.py."""

import numpy as np
import pytest
from absl.testing import absltest, parameterized
from small_run import make_dataset, make_model

from kure_tf import fake_quantize_model, ptq, runs
from kure_tf.artifact.nested_points import nested_points
from kure_tf.fake_quantized import (
    integer_weights,
    keeping,
    paper_placement,
    set_operating_point,
)
from kure_tf.qat import quantize_aware

pytestmark = pytest.mark.one_keras


class NestedSearchTest(parameterized.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        dataset = make_dataset()
        cls.model = fake_quantize_model(
            make_model(), paper_placement(first_layer=8, last_layer=8)
        )
        calibration = ptq.calibrate(
            cls.model, dataset.calibration.batches(20), progress=False
        )
        search = runs.NestedSearch((8, 3), (8, 4), images=16)
        cls.settings = search.on(dataset, progress=False)(calibration)

    def test_each_width_comes_with_each_width_of_activations(self):
        points = [str(setting.point) for setting in self.settings]
        self.assertEqual(points, ["8/8", "3/8", "8/4", "3/4"])

    def test_all_settings_read_the_same_codes(self):
        nested = nested_points(self.model, self.settings)
        self.assertEqual(nested.points, [[8, 8], [8, 4], [3, 8], [3, 4]])
        self.assertEqual(nested.kernels, {"b/kernel", "c/kernel"})

    def test_biases_belong_to_their_width(self):
        eight, three, *_ = self.settings
        shifts = [one.bias_correction.shifts["b"] for one in (eight, three)]
        self.assertGreater(np.abs(shifts[1]).max(), np.abs(shifts[0]).max())

    def test_trained_codes_and_steps_are_taken_as_they_are(self):
        dataset = make_dataset()
        model = quantize_aware(
            make_model(),
            "nested_lsq",
            3,
            8,
            placement=paper_placement(first_layer=8, last_layer=8),
            calibration=dataset.calibration.batches(20),
            engine="native",
            verbose=False,
        )
        calibration = ptq.calibrate(
            model, dataset.calibration.batches(20), progress=False
        )
        search = runs.NestedSearch((8, 3), codes="trained", images=16)
        _, three = search.on(dataset, progress=False)(calibration)
        with keeping(model):
            set_operating_point(model, "3/8")
            expected = integer_weights(model)["b/kernel"]
        codes = three.rounded_weights.codes["b/kernel"]
        np.testing.assert_array_equal(codes, expected.codes)
        self.assertIsNone(three.step_sizes)

    @parameterized.parameters(
        ({"activation_bits": ()}, "such as 8"),
        ({"bits": (4, 3)}, "with 8"),
        ({"reading": "odd"}, "truncate.*'odd'"),
        ({"seed": -1}, "seed of 0 or more"),
        ({"augment": ("spin",)}, "'spin'"),
        ({"codes": "trained", "reading": "middle"}, "'even'.*'middle'"),
    )
    def test_what_no_search_can_do_is_refused_at_once(self, fields, message):
        with self.assertRaisesRegex(ValueError, message):
            runs.NestedSearch(**fields)


if __name__ == "__main__":
    absltest.main()
