"""Which steps an experiment needs, and in which order."""

import pathlib
from unittest import mock

from absl.testing import absltest, parameterized

from kure_tf.paper import experiments
from kure_tf.paper.reproduce import Reproduction
from kure_tf.paper.steps import ToolStep, WeightsStep

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def reproduction(scale, **options):
    return Reproduction(ROOT, pathlib.Path("/out"), scale, **options)


def steps(name, scale, **options):
    experiment = experiments.get(name, scale)
    return reproduction(scale, **options).steps(experiment)


class StepsTest(parameterized.TestCase):
    @parameterized.product(name=experiments.NAMES, scale=experiments.SCALES)
    def test_flagfiles_exist_and_models_come_before_what_needs_them(
        self, name, scale
    ):
        trained = set()
        for step in steps(name, scale):
            for path in getattr(step, "flagfiles", ()):
                self.assertTrue((ROOT / path).is_file(), path)
            if isinstance(step, WeightsStep):
                self.assertIn(step.folder, trained)
            elif step.tool == "train":
                trained.add(step.folder)
            for flag in getattr(step, "flags", ()):
                if flag.startswith("--model="):
                    saved = pathlib.Path(flag.removeprefix("--model="))
                    self.assertIn(saved.parent, trained)

    def test_steps_are_named_once(self):
        """Three seeds of one model, swept in one way."""
        names = [step.name for step in steps("tableA6", "digits")]

        self.assertEqual(
            names,
            [
                "plain",
                "dorefa_kure",
                "dorefa_kure/trained_steps",
                "dorefa_kure_seed1",
                "dorefa_kure_seed1/trained_steps",
                "dorefa_kure_seed2",
                "dorefa_kure_seed2/trained_steps",
            ],
        )

    def test_a_command_is_what_one_would_type(self):
        train, sweep = steps("table2", "cifar10_jpeg")[:2]

        folder = "/out/cifar10_jpeg/gradient_l1"
        configs = "--flagfile=configs/reproduce"
        self.assertEqual(
            train.text(),
            "python tools/train.py "
            f"{configs}/cifar10_jpeg/gradient_l1.cfg --seed=0 "
            f"--workdir={folder}",
        )
        self.assertEqual(
            sweep.text(),
            f"python tools/sweep.py {configs}/cifar10_jpeg/data.cfg "
            f"{configs}/sweeps/equal_bits.cfg --model={folder}/model.keras "
            f"--name=gradient_l1 --workdir={folder}/equal_bits",
        )

    def test_a_scale_may_change_a_sweep(self):
        sweep = steps("table1", "cifar10_jpeg")[1]

        self.assertEqual(
            sweep.flagfiles[-1], "configs/reproduce/cifar10_jpeg/sweep_lapq.cfg"
        )

    def test_a_seed_is_a_flag(self):
        flags = [
            step.flags
            for step in steps("tableA6", "imagenet")
            if getattr(step, "tool", "") == "train"
        ]

        self.assertEqual(
            [f[0] for f in flags], [f"--seed={i}" for i in range(3)]
        )

    def test_theory_reads_no_data(self):
        options = {"data_flags": ("--data_dir=/d",), "flags": ("--keras=k",)}
        (theory,) = steps("fig1", "digits", **options)
        train = steps("table1", "digits", **options)[0]

        self.assertEqual(theory.flags, ("--keras=k",))
        self.assertEqual(train.flags[-2:], ("--data_dir=/d", "--keras=k"))

    def test_an_unknown_experiment_is_refused_before_anything_runs(self):
        with (
            mock.patch.object(ToolStep, "run") as run,
            self.assertRaisesRegex(ValueError, "fig3b.*'fig9'"),
        ):
            reproduction("digits").run(["fig2", "fig9"])

        run.assert_not_called()


if __name__ == "__main__":
    absltest.main()
