"""Plans: what their texts stand for, and what does not go together."""

import dataclasses

from absl.testing import absltest, parameterized

from kure_tf import OperatingPoint, ptq
from kure_tf.fake_quantized import Placement
from kure_tf.sweeps import SweepPlan
from kure_tf.sweeps.planned import PRESETS, Planned, planned

RATIOS = tuple(round(0.7 + 0.05 * i, 2) for i in range(13))
P2 = "lp_norm p=2"


def _planned(text):
    return [
        (one.placement, one.method, one.kind, " ".join(map(str, one.points)))
        for one in planned(text)
    ]


class PlannedTest(parameterized.TestCase):
    @parameterized.parameters(
        ("{4,3}/FP", None, None, "bit_width", "4/FP 3/FP"),
        ("minmax: 4/FP", None, "minmax", "bit_width", "4/FP"),
        ("minmax:4/FP", None, "minmax", "bit_width", "4/FP"),
        ("lp_norm p=3: 4/FP", None, "lp_norm p=3", "bit_width", "4/FP"),
        ("predefined 0.1,0.2: 4/FP", None, "predefined 0.1,0.2", "bit_width",
         "4/FP"),
        ("lapq + adaround: 4/FP", None, "lapq + adaround", "bit_width", "4/FP"),
        ("paper: 4/FP x0.9", "paper", None, "step_size", "4/FP x0.9"),
        ("tflite aciq: 4/FP", "tflite", "aciq", "bit_width", "4/FP"),
        ("clipping: 4/FP x{0.5,1}", None, "minmax", "clipping",
         "4/FP x0.5 4/FP"),
        ("aciq clipping: 4/FP", None, "aciq", "clipping", "4/FP"),
        ("paper lapq sensitivity: 3", "paper", "lapq", "sensitivity", "3/3"),
        ("calibration_seed: 4/4", None, None, "calibration_seed", "4/4"),
        ("4/FP stochastic:3", None, None, "rounding_mode", "4/FP stochastic:3"),
        ("FP/4 stochastic:3", None, None, "rounding_mode", "FP/4 stochastic:3"),
        ("fp stochastic:3", None, None, "rounding_mode", "FP/FP stochastic:3"),
        ("minmax: 4/FP stochastic:{0:1}", None, "minmax", "rounding_mode",
         "4/FP stochastic:0 4/FP stochastic:1"),
    )  # fmt: skip
    def test_a_text_is_placement_method_kind_and_pattern(self, text, *expected):
        self.assertEqual(_planned(text), [tuple(expected)])

    def test_a_preset_takes_what_stands_before_it(self):
        bits = [*(f"{b}/FP" for b in range(8, 1, -1))]
        both = [f"{b}/{b}" for b in range(8, 2, -1)]
        self.assertEqual(
            _planned("tflite minmax: bits"),
            [
                ("tflite", "minmax", "bit_width", " ".join(bits)),
                ("tflite", "minmax", "bit_width", " ".join(both)),
            ],
        )
        self.assertEqual(
            _planned("lapq: sensitivity"),
            [(None, "lapq", "sensitivity", "4/FP 3/FP")],
        )

    def test_presets_are_of_the_kind_that_they_are_called(self):
        kinds = {name: {one.kind for one in planned(name)} for name in PRESETS}
        self.assertEqual(
            kinds,
            {
                "bits": {"bit_width"},
                "steps": {"step_size"},
                "pow2": {"power_of_two"},
                "rounding": {"rounding_mode"},
                "sensitivity": {"sensitivity"},
            },
        )
        (steps,) = planned("steps")
        self.assertEqual(
            steps.points,
            tuple(
                OperatingPoint(bits, step_scale=ratio)
                for bits in (4, 3)
                for ratio in RATIOS
            ),
        )

    def test_a_point_stands_for_itself(self):
        point = OperatingPoint(4, 8)
        self.assertEqual(planned(point), [Planned((point,), "bit_width")])


class SweepPlanTest(parameterized.TestCase):
    def _rows(self, *texts, **options):
        plan = SweepPlan(texts, **options)
        return [
            (sweep.method, sweep.kind, str(point))
            for sweep in plan.sweeps
            for point in sweep.points
        ]

    def test_the_default_is_what_the_paper_measures(self):
        def rows(method, kind, *texts):
            return [(method, kind, text) for text in texts]

        weights = [f"{bits}/FP" for bits in range(8, 1, -1)]
        self.assertEqual(
            self._rows(*SweepPlan().points),
            [
                (None, "bit_width", "FP/FP"),
                *rows("minmax", "bit_width", *weights),
                *rows(P2, "bit_width", *weights),
                *rows(P2, "bit_width", *(f"{b}/{b}" for b in range(8, 2, -1))),
                *rows(
                    P2,
                    "step_size",
                    *(
                        str(OperatingPoint(bits, step_scale=ratio))
                        for bits in (4, 3)
                        for ratio in RATIOS
                    ),
                ),
                *rows(P2, "power_of_two", "4/FP pow2", "4/FP pow2-up"),
                *rows(P2, "power_of_two", "3/FP pow2", "3/FP pow2-up"),
            ],
        )

    def test_nothing_is_measured_twice(self):
        self.assertEqual(
            self._rows("{4,FP}/FP", "minmax: {FP,4}/FP", "{4,3}/FP", "4/FP x1"),
            [
                (None, "bit_width", "FP/FP"),
                (P2, "bit_width", "4/FP"),
                ("minmax", "bit_width", "4/FP"),
                (P2, "bit_width", "3/FP"),
            ],
        )

    def test_the_order_of_texts_says_nothing_but_the_order_of_rows(self):
        texts = ("minmax: 4/FP", "steps", "lapq: {4,3}", "bits")
        self.assertCountEqual(self._rows(*texts), self._rows(*texts[::-1]))

    def test_points_of_another_placement_are_left_out(self):
        for placement, points in (("paper", ["3/FP"]), ("tflite", ["2/FP"])):
            rows = self._rows(
                "paper: 3/FP", "tflite: 2/FP", placement=placement
            )
            self.assertEqual([point for *_, point in rows[1:]], points)

    def test_own_methods_are_found_by_name(self):
        def own(calibration, point):
            return ptq.minmax(calibration, point)

        plan = SweepPlan(
            ("own: 4/FP", "minmax: 4/FP", "4/FP"), methods={"own": own}
        )
        self.assertEqual(list(plan.ptq_methods), ["own", "minmax", P2])
        self.assertIs(plan.ptq_methods["own"], own)
        other = dataclasses.replace(plan, methods={"own": own, P2: own})
        self.assertIs(other.ptq_methods[P2], own)

    def test_the_own_method_of_a_plan_comes_last(self):
        plan = SweepPlan(("4/FP", "aciq + adaround: 4/FP"), ptq="lapq")
        self.assertEqual(list(plan.ptq_methods), ["aciq", "lapq"])
        self.assertTrue(plan.learns_rounding)
        self.assertFalse(SweepPlan(("4/FP",)).learns_rounding)
        named = SweepPlan(("aciq: 4/FP",), ptq="lapq")
        self.assertEqual(list(named.ptq_methods), ["aciq"])

    def test_methods_are_called_by_what_they_do(self):
        plan = SweepPlan(
            ("lp_norm: 4/FP", "lp_norm p=3: 4/FP", "predefined 0.2,0.1: 4/FP"),
        )
        self.assertEqual(
            list(plan.ptq_methods), ["lp_norm p=3", "predefined 0.1,0.2", P2]
        )

    @parameterized.named_parameters(
        ("placement", {"placement": "onnx"}, "paper.*tflite.*'onnx'"),
        ("bits", {"points": ("17/FP",)}, "Received: 17"),
        ("one_bit", {"points": ("1/FP",)}, "at least 2 bits on the grid"),
        ("one_bit_both", {"points": ("1",)}, "at least 2 bits on the grid"),
        ("ratio", {"points": ("4/FP x0",)}, "positive, finite step scale"),
        ("mode", {"points": ("4/FP {up}",)}, "operating point.*4/FP up"),
        ("batch_norm", {"reestimate_batch_norm": True}, "off.*both"),
        ("no_batch", {"batch_size": 0}, "batch_size of 1 or more.*0"),
        ("images", {"batch_norm_images": 1}, "batch_norm_images of 2 or more"),
        ("no_method", {"ptq": ""}, "name of a PTQ method.*''"),
        ("method", {"points": ("magic: 4/FP",)}, "PTQ method.*'magic'"),
        ("methods", {"ptq": "minmax,trained"}, "one PTQ method.*'minmax: "),
        ("norm", {"ptq": "lp_norm p=x"}, "'lp_norm p=2'.*'lp_norm p=x'"),
        ("steps", {"ptq": "predefined"}, "0.01,0.02,0.05'.*'predefined'"),
        ("trained_adaround", {"ptq": "trained + adaround"}, "finds step sizes"),
        ("trained_seeds", {"points": ("trained calibration_seed: 4/4",),
          "calibration_seeds": (1,)}, "looks at calibration images.*trained"),
        ("seeds", {"calibration_seeds": (1,)}, "'calibration_seed: 4/4'.*no "),
        ("no_seeds", {"points": ("calibration_seed: 4/4",)},
         r"\(\) and such points"),
        ("seed", {"calibration_seeds": (-1,)}, "0 or more.*-1"),
        ("folded", {"ptq": "learned_steps", "placement": "tflite"},
         "'tflite' folds it.*'lapq_gradient'"),
    )  # fmt: skip
    def test_a_plan_that_cannot_be_measured_is_refused(self, options, message):
        with self.assertRaisesRegex(ValueError, message):
            SweepPlan(**options)

    def test_a_text_alone_is_no_list_of_texts(self):
        with self.assertRaisesRegex(TypeError, "tuple of texts.*'steps'"):
            SweepPlan("steps")

    def test_a_placement_of_ones_own_has_a_plan(self):
        plan = SweepPlan(("4/FP", "paper: 3/FP"), placement=Placement())
        self.assertLen(plan.sweeps, 2)


if __name__ == "__main__":
    absltest.main()
