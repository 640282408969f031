"""A killed training run goes on to the same weights."""

import dataclasses
import os
import shutil
import tempfile
from unittest import mock

import pytest
import tensorflow as tf
from absl.testing import parameterized
from fit_case import RECIPE, Events, FitTestCase, make_dataset, make_model

from kure_tf import training
from kure_tf.training import fit

pytestmark = pytest.mark.one_keras


class ResumeTest(FitTestCase):
    @parameterized.named_parameters(
        ("float32_best", {"select": "best"}),
        (
            "bfloat16_adam_step",
            {
                "mixed_precision": "mixed_bfloat16",
                "optimizer": "adam",
                "learning_rate": 0.01,
                "schedule": "step",
                "decay_every": 1,
            },
        ),
        ("float16", {"mixed_precision": "mixed_float16"}),
        (
            "gradient_l1",
            {"gradient_l1": 0.05, "mixed_precision": "mixed_bfloat16"},
        ),
    )
    def test_killed_and_resumed_run_ends_with_the_same_weights(self, options):
        recipe = dataclasses.replace(RECIPE, **options)
        dataset, straight, resumed = (
            make_dataset(),
            make_model(),
            make_model(seed=7),
        )
        expected = fit(straight, dataset, recipe, verbose=0)

        self.interrupt(1, recipe, dataset)
        tf.random.set_seed(5)
        # Its own initial weights do not matter: the checkpoint has them.
        result = fit(
            resumed, dataset, recipe, workdir=self.workdir(), verbose=0
        )

        self.assertEqual(result.resumed_from, 1)
        self.assertSameWeights(straight, resumed)
        self.assertEqual(result.history, expected.history)

    def test_kill_while_a_checkpoint_is_written_leaves_the_last_one(self):
        dataset, straight, resumed = make_dataset(), make_model(), make_model()
        fit(straight, dataset, RECIPE, verbose=0)
        replace, calls = os.replace, []

        def killed_the_second_time(*arguments):
            calls.append(1)
            if len(calls) == 2:
                raise KeyboardInterrupt
            replace(*arguments)

        with mock.patch("os.replace", killed_the_second_time):
            with self.assertRaises(KeyboardInterrupt):
                fit(
                    make_model(),
                    dataset,
                    RECIPE,
                    workdir=self.workdir(),
                    verbose=0,
                )
        self.assertLen(os.listdir(self.workdir()), 1)
        result = fit(
            resumed, dataset, RECIPE, workdir=self.workdir(), verbose=0
        )

        self.assertEqual(result.resumed_from, 1)
        self.assertSameWeights(straight, resumed)


class FinishedTest(FitTestCase):
    """The folder of a run that has ended, each test on a copy of its own."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.model, cls.dataset = make_model(), make_dataset()
        cls.finished = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.finished.cleanup)
        cls.result = fit(
            cls.model,
            cls.dataset,
            RECIPE,
            workdir=cls.finished.name,
            verbose=0,
        )

    def setUp(self):
        super().setUp()
        shutil.copytree(self.finished.name, self.workdir())
        self.options = {"workdir": self.workdir(), "verbose": 0}

    def test_it_hands_over_its_weights_without_training(self):
        second, events = make_model(seed=3), Events()

        result = fit(
            second, self.dataset, RECIPE, callbacks=[events], **self.options
        )

        self.assertSameWeights(self.model, second)
        self.assertEqual(result.history, self.result.history)
        self.assertEmpty(events.events)

    @parameterized.named_parameters(
        ("recipe", make_model, {"learning_rate": 0.5}, "learning_rate is 0.05"),
        (
            "regularizer",
            lambda: make_model(kernel_regularizer="l2"),
            {},
            r"layers\[0\].kernel_regularizer",
        ),
        ("model", lambda: make_model(activation="relu"), {}, "activation is"),
    )
    def test_workdir_of_another_run_is_refused(self, make, changes, words):
        with self.assertRaisesRegex(
            ValueError, f"workdir of another run.*{words}"
        ):
            recipe = dataclasses.replace(RECIPE, **changes)
            fit(make(), self.dataset, recipe, **self.options)

    def test_truncated_checkpoint_is_refused_and_the_model_untouched(self):
        path = self.workdir() / training.CHECKPOINT_NAME
        path.write_bytes(path.read_bytes()[:-200])
        model = make_model()
        before = model.get_weights()

        with self.assertRaisesRegex(ValueError, "truncated or foreign"):
            fit(model, self.dataset, RECIPE, **self.options)

        for weight, expected in zip(model.get_weights(), before, strict=True):
            self.assertAllEqual(weight, expected)


if __name__ == "__main__":
    tf.test.main()
