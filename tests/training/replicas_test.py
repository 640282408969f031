"""Training on two devices of one process."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
import training_worker
from absl.testing import parameterized
from fit_case import RECIPE, FitTestCase, Killer, make_dataset, make_model

from kure_tf import quantize_aware, runs
from kure_tf.compat import IS_KERAS_3
from kure_tf.training import fit, is_chief
from kure_tf.training.replicas import check_workers, distributed

DATASET = make_dataset(training_worker.COUNT)


def _two():
    # `tests/conftest.py` has made them.
    return runs.strategy_named("mirrored")


def _trained(strategy, recipe=None, **options):
    """Returns weights and history of an LSQ net after two epochs."""
    net = quantize_aware(
        training_worker.make_net(),
        calibration=DATASET.calibration.batches(16),
        engine="native",
        verbose=False,
    )
    result = fit(
        net,
        DATASET,
        recipe or training_worker.recipe(),
        strategy=strategy,
        verbose=0,
        **options,
    )
    return net.get_weights(), result


class ReplicasTest(FitTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.one = _trained(None)
        cls.two = _trained(_two())

    def assertClose(self, weights, others):
        for ours, expected in zip(weights, others, strict=True):
            self.assertAllClose(ours, expected, rtol=1e-4, atol=1e-5)

    def test_two_train_as_one(self):
        """With a last batch of eleven, of which one gets six."""
        (weights, result), (expected, alone) = self.two, self.one

        self.assertClose(weights, expected)
        for name in ("accuracy", "val_accuracy", "val_loss"):
            ours, theirs = (
                [epoch[name] for epoch in one.history]
                for one in (result, alone)
            )
            self.assertAllClose(ours, theirs, rtol=1e-5)

    @pytest.mark.one_keras
    def test_two_learn_from_a_teacher_as_one(self):
        options = {
            "recipe": dataclasses.replace(
                training_worker.recipe(), distillation=2.0
            ),
            "teacher": training_worker.make_net(),
        }
        expected, alone = _trained(None, **options)
        weights, result = _trained(_two(), **options)

        self.assertClose(weights, expected)
        self.assertGreater(
            alone.history[0]["loss"], self.one[1].history[0]["loss"] + 0.1
        )

    @pytest.mark.one_keras
    def test_killed_in_a_scope_they_go_on_to_the_same_weights(self):
        options = {"workdir": self.workdir(), "callbacks": [Killer(1)]}
        with self.assertRaises(KeyboardInterrupt):
            _trained(_two(), **options)
        options.pop("callbacks")
        with _two().scope():
            weights, result = _trained(None, **options)

        self.assertEqual(result.resumed_from, 1)
        self.assertClose(weights, self.two[0])

    def test_parts_are_the_batch_and_weigh_as_much_as_one_mean(self):
        images = np.arange(22, dtype=np.float32).reshape(11, 2)
        batches = tf.data.Dataset.from_tensors((images, np.arange(11)))
        strategy = _two()

        (element,) = distributed(batches, strategy, weighted=True)
        parts, labels, weights = map(
            strategy.experimental_local_results, element
        )

        self.assertEqual([len(part) for part in parts], [5, 6])
        self.assertAllEqual(np.concatenate(parts), images)
        self.assertAllEqual(np.concatenate(labels), np.arange(11))
        # The mean of the parts' means of w x is the mean of x.
        means = [
            np.mean(np.multiply(w, y))
            for w, y in zip(weights, labels, strict=True)
        ]
        self.assertAllClose(np.mean(means), 5.0)

    @parameterized.named_parameters(
        ("batch_size", 31, 80, "multiple of their number, 2.*one is 32"),
        ("last_batch", 16, 81, "an image for each of 2 replicas"),
        ("first_batch", 128, 80, "a full first batch"),
    )
    def test_refuses_batches_that_replicas_cannot_share(
        self, size, count, message
    ):
        recipe = dataclasses.replace(RECIPE, batch_size=size)
        with self.assertRaisesRegex(ValueError, message):
            fit(make_model(), make_dataset(count), recipe, strategy=_two())


@pytest.mark.one_keras
class AccumulationTest(tf.test.TestCase):
    def test_gradients_are_accumulated_on_one_device_alone(self):
        if not IS_KERAS_3:
            self.skipTest("tf_keras accumulates nowhere.")
        recipe = dataclasses.replace(RECIPE, gradient_accumulation_steps=2)
        with self.assertRaisesRegex(ValueError, "on several replicas"):
            fit(make_model(), DATASET, recipe, strategy=_two())


@pytest.mark.one_keras
class StrategyTest(tf.test.TestCase):
    def test_keras_3_refuses_several_workers(self):
        workers = tf.distribute.MultiWorkerMirroredStrategy.__new__(
            tf.distribute.MultiWorkerMirroredStrategy
        )
        if not IS_KERAS_3:
            check_workers(workers)
            return
        with self.assertRaisesRegex(ValueError, "needs tf_keras"):
            check_workers(workers)

    def test_the_first_worker_is_chief_unless_another_is_called_so(self):
        def chief(task, index, **more):
            spec = tf.train.ClusterSpec({"worker": ["a:1", "b:1"], **more})
            resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
                spec, task_type=task, task_id=index
            )
            return is_chief(_Resolved(resolver))

        self.assertTrue(chief("worker", 0))
        self.assertFalse(chief("worker", 1))
        self.assertFalse(chief("worker", 0, chief=["c:1"]))
        self.assertTrue(chief("chief", 0, chief=["c:1"]))
        self.assertTrue(is_chief(tf.distribute.get_strategy()))


@dataclasses.dataclass
class _Resolved:
    cluster_resolver: object


if __name__ == "__main__":
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()] * 2,
    )
    tf.test.main()
