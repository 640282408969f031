"""Fields of a dataclass as flags."""

import dataclasses
import typing

import fields
from absl import flags
from absl.testing import absltest, parameterized

from kure_tf.runs import Kure
from kure_tf.runs.qat import Qat
from kure_tf.sweeps import SweepPlan
from kure_tf.training import Recipe

RECIPE = fields.Fields(
    "kure_tf.training.recipe.Recipe", prefix="test_", epochs=3, learning_rate=1
)
KURE = fields.Fields("kure_tf.runs.kure.Kure", prefix="test_kurtosis_")
QAT = fields.Fields(
    "kure_tf.runs.qat.Qat", prefix="test_qat_", renamed={"method": "test_qat"}
)

PLAN = fields.Fields(
    "kure_tf.sweeps.plan.SweepPlan",
    ("points", "calibration_seeds", "batch_norm_augment"),
    prefix="test_plan_",
    repeated=("points",),
    batch_norm_augment=None,
)


class FieldsTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        flags.FLAGS.unparse_flags()
        self.addCleanup(flags.FLAGS.mark_as_parsed)

    def _parse(self, *arguments):
        flags.FLAGS.unparse_flags()
        for name in list(flags.FLAGS):
            if name.startswith("test_"):
                flags.FLAGS[name].unparse()
        flags.FLAGS(["tool", *arguments])

    def test_without_flags_the_defaults_are_those_of_the_class(self):
        self._parse()

        self.assertEqual(RECIPE.made(), Recipe(3, learning_rate=1))
        self.assertEqual(KURE.made(), Kure())

    def test_there_is_a_flag_for_each_field_with_its_help(self):
        for cls, prefix in ((Recipe, "test_"), (Kure, "test_kurtosis_")):
            documented = " ".join(cls.__doc__.split()).replace("`", "")
            for field in dataclasses.fields(cls):
                found = flags.FLAGS[prefix + field.name]
                text = found.help.rpartition(">: ")[2].replace("--test_", "")
                self.assertIn(" ".join(text.split()[:3]), documented)

    def test_flags_become_fields_of_their_types(self):
        self._parse(
            "--test_momentum=0.5",
            "--test_augment=flip,shift=2",
            "--test_schedule=step",
            "--test_decay_every=7",
            "--test_kurtosis_layers=a,b",
            "--test_qat=lsq",
        )

        self.assertEqual(
            RECIPE.made(),
            Recipe(
                3,
                learning_rate=1,
                momentum=0.5,
                augment=("flip", "shift=2"),
                schedule="step",
                decay_every=7,
            ),
        )
        self.assertEqual(KURE.made().layers, ("a", "b"))
        self.assertEqual(QAT.made(), Qat("lsq"))

    def test_some_fields_of_a_class(self):
        self._parse()
        self.assertEqual(
            PLAN.values(),
            {
                "points": SweepPlan().points,
                "calibration_seeds": (),
                "batch_norm_augment": None,
            },
        )
        self._parse(
            *("--test_plan_points={4,3}/FP", "--test_plan_points=steps"),
            "--test_plan_calibration_seeds=1,2",
        )
        self.assertEqual(
            (PLAN.values()["points"], PLAN.values()["calibration_seeds"]),
            (("{4,3}/FP", "steps"), (1, 2)),
        )

    def test_choices_are_those_of_the_class(self):
        kinds = typing.get_type_hints(Recipe)
        for name in ("optimizer", "schedule", "mixed_precision", "select"):
            choices = [c for c in typing.get_args(kinds[name]) if c]
            parser = flags.FLAGS[f"test_{name}"].parser
            self.assertEqual(parser.enum_values, choices)

    @parameterized.parameters(
        ("test_optimizer", "lion"), ("test_epochs", "x"), ("test_qat", "pact")
    )
    def test_what_is_no_value_is_refused(self, name, value):
        with self.assertRaisesRegex(flags.Error, name):
            self._parse(f"--{name}={value}")

    def test_a_list_of_what_is_no_number_is_refused(self):
        flag = flags.DEFINE_list("test_numbers", ["4", "half"], "Numbers.")
        self._parse()
        with self.assertRaisesRegex(
            ValueError, "--test_numbers to be numbers, such as 4,3,2.*'half'"
        ):
            fields.numbers(flag, int)

    def test_help_names_the_flags_of_other_fields(self):
        self.assertIn(
            "times --test_decay_factor every --test_decay_every epochs",
            flags.FLAGS["test_schedule"].help,
        )


if __name__ == "__main__":
    absltest.main()
