"""Training runs: what is noted, what is not repeated, what is refused."""

import dataclasses
import importlib
import pathlib
import shutil
import statistics
import tempfile
import warnings
from unittest import mock

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from absl.testing import parameterized
from small_run import RECIPE, make_dataset, make_model

from kure_tf import data, runs
from kure_tf.compat import array_hash, to_numpy
from kure_tf.files import read_json
from kure_tf.runs import Kure, Qat
from kure_tf.training import Recipe

pytestmark = pytest.mark.one_keras

# `runs.train` is the function.
train_module = importlib.import_module("kure_tf.runs.train")


class TrainTest(parameterized.TestCase, tf.test.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.dataset = make_dataset()
        temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        cls.finished = pathlib.Path(temporary.name) / "run"
        cls.model, cls.record = runs.train(
            make_model, cls.dataset, RECIPE, cls.finished, kure=Kure(1.0)
        )

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.get_temp_dir()) / "run"

    def _finished(self):
        """Puts what `setUpClass` has trained into the folder."""
        shutil.copytree(self.finished, self.folder)

    def _train(self, make=make_model, recipe=RECIPE, **options):
        options.setdefault("kure", Kure(1.0))
        return runs.train(make, self.dataset, recipe, self.folder, **options)

    def test_the_record_is_of_the_model_that_is_saved(self):
        record = self.record

        saved = runs.load_saved_model(self.finished / "model.keras")
        self.assertEqual(record["checkpoint_hash"], array_hash(saved))
        self.assertEqual(record, read_json(self.finished / "training.json"))
        self.assertEqual(record["chosen_layers"], ["b", "c", "d"])
        self.assertLen(record["history"], 2)
        self.assertEqual(record["test"]["images"], 20)
        for path, kurtosis in record["kurtosis"].items():
            kernel = to_numpy(saved.get_layer(path[0]).kernel).ravel()
            expected = scipy.stats.kurtosis(kernel, fisher=False)
            self.assertAllClose(kurtosis["after"], expected, rtol=1e-4)
            self.assertEqual(kurtosis["regularized"], path[0] != "a")

    def test_ramp_ends_with_the_training(self):
        with self.assertRaisesRegex(ValueError, "among the epochs"):
            self._train(kure=Kure(1.0, ramp_epochs=3))

    def test_start_is_the_teacher_where_none_is_named(self):
        recipe = dataclasses.replace(RECIPE, distillation=1.0)
        start = make_model()
        start.get_layer("d").bias.assign_add(start.get_layer("d").bias + 0.1)

        _, record = self._train(lambda: start, recipe)

        self.assertEqual(record["run"]["teacher_hash"], array_hash(start))
        self.assertEqual(
            record["run"]["start_hash"], record["run"]["teacher_hash"]
        )

    def test_teacher_that_was_never_trained_is_refused(self):
        recipe = dataclasses.replace(RECIPE, distillation=1.0)
        with self.assertRaisesRegex(ValueError, "look untrained"):
            self._train(recipe=recipe)
        self.assertFalse(self.folder.exists())

    def test_a_model_that_has_learnt_nothing_is_warned_of(self):
        random = np.random.default_rng(0)
        x = random.normal(size=(60, 4, 4, 1)).astype(np.float32)
        labels = np.repeat([0, 1], 30)
        shifted = x + labels.reshape(-1, 1, 1, 1) * 4
        told, untold = (
            data.from_arrays((one, labels), (one, labels), validation=valid)
            for one, valid in ((shifted, None), (shifted, (x, labels)))
        )
        recipe = Recipe(8, learning_rate=0.05, batch_size=16)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            runs.train(
                lambda: make_model(2), told, recipe, self.folder / "told"
            )
        self.assertNotIn("learnt", str([str(one.message) for one in caught]))

        with self.assertWarnsRegex(UserWarning, "'tiny' .* 50.0 %.*learnt"):
            runs.train(
                lambda: make_model(2), untold, recipe, self.folder / "untold"
            )

    def test_what_is_finished_is_not_repeated(self):
        self._finished()

        with mock.patch.object(
            train_module, "fit", side_effect=AssertionError("again")
        ):
            again, same = self._train()

        self.assertEqual(same, self.record)
        self.assertEqual(array_hash(again), array_hash(self.model))

    def test_the_seed_decides_on_the_weights(self):
        second, _ = self._train()
        self.folder = self.folder.with_name("other")
        other, _ = self._train(recipe=dataclasses.replace(RECIPE, seed=1))

        self.assertEqual(array_hash(self.model), array_hash(second))
        self.assertNotEqual(array_hash(self.model), array_hash(other))

    @parameterized.named_parameters(
        ("recipe", {"recipe": dataclasses.replace(RECIPE, momentum=0.5)}),
        ("kure", {"kure": Kure(0.5)}),
        ("qat", {"qat": Qat("dorefa", "4/FP", engine="native")}),
        ("start_hash", {"make": lambda: _moved(make_model())}),
    )
    def test_another_run_in_the_folder_is_refused(self, options):
        self._finished()

        what = self.id().rpartition("refused_")[2]
        with self.assertRaisesRegex(ValueError, f"another one: {what} there"):
            self._train(**options)

    def test_a_checkpoint_of_other_weights_is_not_gone_on_from(self):
        with mock.patch.object(
            train_module, "save_model", side_effect=KeyboardInterrupt
        ):
            with self.assertRaises(KeyboardInterrupt):
                self._train()

        with self.assertRaisesRegex(ValueError, "start_hash there"):
            self._train(make=lambda: _moved(make_model()))

    def test_quantization_in_the_loop_is_noted(self):
        _, record = self._train(
            qat=Qat(
                *("lsq", "3/FP"),
                engine="native",
                sampled_weight_bits=("3", "8"),
                sampled_step_scale=(0.9, 1.1),
            )
        )

        self.assertEqual(record["run"]["qat"]["point"], "3/FP")
        drawn_from = record["run"]["qat"]["sampled_weight_bits"]
        self.assertEqual(drawn_from, ["3", "8"])

    def test_seeds_are_summed_up(self):
        records, summary = runs.train_seeds(
            make_model, self.dataset, RECIPE, self.folder, seeds=(0, 1)
        )

        found = [record["test"]["accuracy"] for record in records]
        self.assertEqual(summary["accuracies"], found)
        self.assertAlmostEqual(summary["mean"], sum(found) / 2)
        self.assertAlmostEqual(
            summary["standard_deviation"], statistics.stdev(found)
        )
        self.assertTrue((self.folder / "seed1" / "model.keras").is_file())

    def test_seeds_are_checked_before_anything_is_trained(self):
        for seeds, message in (((0, 0), "differ"), ((0, -1), "0 or more")):
            with self.assertRaisesRegex(ValueError, message):
                runs.train_seeds(
                    make_model, self.dataset, RECIPE, self.folder, seeds=seeds
                )
        self.assertFalse((self.folder / "seed0").exists())


class ValuesTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.named_parameters(
        ("target", lambda: Kure(1.0, target=0.5), "target of at least 1"),
        ("coefficient", lambda: Kure(-1.0), "not negative"),
        ("granularity", lambda: Kure(granularity="none"), "per_channel"),
        ("method", lambda: Qat("pact"), "dorefa.*'pact'"),
        ("point", lambda: Qat("lsq", "4-4"), "'4-4'"),
        ("scale", lambda: Qat("lsq", "4/4 x1.1"), "such as '4/4'"),
        ("grid", lambda: Qat("lsq", "1/4"), "at least 2 bits"),
        ("bits", lambda: _sampled(weight_bits=("three",)), "'three'"),
        ("no_bits", lambda: _sampled(activation_bits=()), "one bit-width"),
        ("one_end", lambda: _sampled(step_scale=(0.9,)), "two ratios"),
        ("range", lambda: _sampled(step_scale=(1.1, 0.9)), "low <= high"),
    )
    def test_a_bad_value_is_refused_at_once(self, make, message):
        with self.assertRaisesRegex(ValueError, message):
            make()

    def test_layers_are_chosen_by_rule_or_by_name(self):
        model = make_model()

        self.assertEqual(Kure().chosen_layers(model), ["b", "c", "d"])
        self.assertEqual(
            Kure(layers="convs_but_first").chosen_layers(model), ["b"]
        )
        self.assertEqual(
            Kure(layers=("a", "d")).chosen_layers(model), ["a", "d"]
        )


def _sampled(**options):
    given = {f"sampled_{name}": value for name, value in options.items()}
    return Qat("lsq", **{"sampled_weight_bits": ("3",), **given})


def _moved(model):
    model.set_weights([w + 0.125 for w in model.get_weights()])
    return model


if __name__ == "__main__":
    tf.test.main()
