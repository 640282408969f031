"""Searches by the calibration loss: what both must keep to, and each alone."""

import functools
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized
from counted_layer import BACKWARD, FORWARD, Counted

from kure_tf import (
    OperatingPoint,
    fake_quantize_model,
    ptq,
    set_operating_point,
    set_step_sizes,
)
from kure_tf.compat import keras
from kure_tf.fake_quantized import Placement, quantizers_of
from kure_tf.quantizers import UniformQuantizer

pytestmark = pytest.mark.one_keras

POINT = OperatingPoint(2, 3)
SEARCHES = {
    "lapq": functools.partial(ptq.lapq, maxiter=1, progress=False),
    "lapq_gradient": functools.partial(ptq.lapq_gradient, progress=False),
}


def _images(count=200, seed=0):
    """Returns points `[count, 4]` and which of 3 regions each lies in."""
    x = np.random.default_rng(seed).normal(size=(count, 4)).astype(np.float32)
    radius = np.square(x).sum(1)
    return x, np.digitize(radius, [2.5, 4.5])


@functools.cache
def _weights():
    """Trained to tell three regions of the space apart."""
    x, labels = _images(600, 1)
    model = _model()
    rng = np.random.default_rng(2)
    model.set_weights(
        [rng.normal(0, 0.4, w.shape) for w in model.get_weights()]
    )
    model.compile(
        keras.optimizers.Adam(0.02),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    model.fit(x, labels, batch_size=60, epochs=12, shuffle=False, verbose=0)
    return model.get_weights()


def _model():
    dense = keras.layers.Dense
    return keras.Sequential(
        [
            keras.Input((4,)),
            dense(24, activation="relu", name="a"),
            Counted(),
            dense(3, name="b"),
        ]
    )


@functools.cache  # Searches leave the model as it was; compiling takes time.
def _quantized(granularity="per_tensor"):
    """Returns the fake-quantized model and its calibration."""
    model = _model()
    model.set_weights(_weights())
    placement = Placement(
        weights=UniformQuantizer("narrow", granularity),
        activations=UniformQuantizer("asymmetric"),
    )
    copy = fake_quantize_model(model, placement)
    x, labels = _images()
    batches = [(x[:150], labels[:150]), (x[150:], labels[150:])]
    return copy, ptq.calibrate(copy, batches, progress=False)


@functools.cache
def _found(name, granularity="per_tensor"):
    """Returns the step sizes that a search finds at the point."""
    return SEARCHES[name](_quantized(granularity)[1], POINT)


def _loss(model, step_sizes, point=POINT):
    """The mean cross-entropy, measured on the model without its help."""
    set_step_sizes(model, step_sizes)
    set_operating_point(model, point)
    x, labels = _images()
    logits = np.asarray(model(x, training=False), np.float64)
    logits -= logits.max(1, keepdims=True)
    logs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    return -logs[np.arange(len(labels)), labels].mean()


def _variables(model):
    return [
        np.array(variable)
        for tensor in quantizers_of(model).values()
        for variable in vars(tensor.state).values()
    ]


class _GivenLosses:
    """Stands for a `CalibrationLoss`; returns the losses it is given."""

    def __init__(self, model, losses):
        self.model, self.images, self.forward_passes = model, 8, 0.0
        self.name = "given"
        self.batch_statistics = False
        self._losses, self._last = list(losses), losses[-1]
        self.tried = []

    def __call__(self, point, step_sizes):
        self.tried.append(step_sizes)
        self.forward_passes += 1.0
        return self._losses.pop(0) if self._losses else self._last

    def in_float(self):
        return 0.5

    def gradients_of_values(self, point, step_sizes, groups):
        random = np.random.default_rng(0)
        shapes = {"a/kernel": (4, 24), "b/kernel": (24, 3)}
        for index in groups:
            self.forward_passes += 3 * len(index) / self.images
            yield {
                path: [random.normal(size=(2, *shapes.get(path, (5, 4))))]
                for path in step_sizes.tensors
            }


class _EnoughError(Exception):
    """Interrupts a search."""


class _Limited:
    """Passes on to a `CalibrationLoss` at most so many times."""

    def __init__(self, loss, limit):
        self.model, self.images, self.in_float = (
            loss.model,
            loss.images,
            loss.in_float,
        )
        self._loss, self._limit, self.seen = loss, limit, []
        self.name = loss.name

    def __call__(self, point, step_sizes):
        if len(self.seen) == self._limit:
            raise _EnoughError
        self.seen.append(self._loss(point, step_sizes))
        return self.seen[-1]


class SearchTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.product(
        name=tuple(SEARCHES), granularity=("per_tensor", "per_channel")
    )
    def test_the_loss_falls_and_is_what_the_provenance_says(
        self, name, granularity
    ):
        model, calibration = _quantized(granularity)
        steps = _found(name, granularity)
        said = steps.provenance
        start = ptq.lp_norm(calibration, POINT, p=said["p"])
        self.assertAllClose(_loss(model, start), said["first_loss"], rtol=1e-4)
        self.assertAllClose(_loss(model, steps), said["loss"], rtol=1e-4)
        self.assertLess(said["loss"], 0.97 * said["first_loss"])
        self.assertEqual(said["method"], name)
        self.assertEqual(said["labelled_images"], 200)
        self.assertEqual(min(said["loss_of_p"].values()), said["first_loss"])
        for path, step in steps.tensors.items():
            self.assertEqual(
                step.step_size.shape, start.tensors[path].step_size.shape
            )

    @parameterized.parameters(*SEARCHES)
    def test_the_model_is_left_as_it_was(self, name):
        model, calibration = _quantized()
        set_step_sizes(model, ptq.minmax(calibration, OperatingPoint(5, 6)))
        set_operating_point(model, "4/6 x1.3")
        before = _variables(model)
        SEARCHES[name](calibration, POINT)
        self.assertAllEqual(
            np.concatenate([np.ravel(v) for v in _variables(model)]),
            np.concatenate([np.ravel(v) for v in before]),
        )
        with self.assertRaisesRegex(ValueError, "positive norm"):
            SEARCHES[name](calibration, POINT, norms=(2.0, -1.0))
        self.assertAllEqual(_variables(model)[0], before[0])

    @parameterized.parameters(*SEARCHES)
    def test_the_same_images_give_the_same_steps(self, name):
        first = _found(name)
        again = SEARCHES[name](_quantized()[1], POINT)
        for path, step in first.tensors.items():
            self.assertAllEqual(step.step_size, again.tensors[path].step_size)
        self.assertEqual(first.provenance, again.provenance)

    @parameterized.product(
        name=tuple(SEARCHES), later=(0.71, float("nan"), float("inf"))
    )
    def test_the_start_is_kept_where_nothing_is_better(self, name, later):
        model, calibration = _quantized()
        loss = _GivenLosses(model, [0.9, 0.7, 0.8, 0.75, later])
        steps = SEARCHES[name](calibration, POINT, loss=loss)
        start = ptq.lp_norm(calibration, POINT, p=2.5)
        self.assertGreater(len(loss.tried), 10)
        self.assertEqual(steps.provenance["p"], 2.5)
        self.assertEqual(steps.provenance["loss"], 0.7)
        for path, step in steps.tensors.items():
            self.assertAllClose(step.step_size, start.tensors[path].step_size)

    @parameterized.parameters(*SEARCHES)
    def test_images_without_labels_are_refused(self, name):
        model, _ = _quantized()
        x, labels = _images()
        for batches, message in (
            ([x], "labelled calibration images.*without labels"),
            (None, "labelled calibration images.*none"),
            (iter([(x, labels)]), "gone through again.*the loss.*used up"),
            ([(x, labels + 1)], "labels in 0..2"),
        ):
            calibration = ptq.calibrate(model, batches, progress=False)
            with self.assertRaisesRegex(ValueError, message):
                SEARCHES[name](calibration, OperatingPoint(2, None))
        calibration = ptq.Calibration({}, {})
        with self.assertRaisesRegex(ValueError, "knows its model"):
            SEARCHES[name](calibration, POINT)


class LapqTest(tf.test.TestCase):
    def test_passes_are_counted(self):
        _, calibration = _quantized()
        FORWARD.assign(0)
        BACKWARD.assign(0)
        said = SEARCHES["lapq"](calibration, POINT).provenance
        self.assertAllClose(FORWARD / 200, said["forward_passes"])
        self.assertAllEqual(BACKWARD, 0)

    def test_channels_of_a_tensor_move_together(self):
        _, calibration = _quantized("per_channel")
        steps = _found("lapq", "per_channel")
        start = ptq.lp_norm(calibration, POINT, p=steps.provenance["p"])
        moved = []
        for path, step in steps.tensors.items():
            ratios = step.step_size / start.tensors[path].step_size
            self.assertAllClose(np.ptp(ratios), 0.0, atol=1e-5)
            moved.append(ratios.flat[0])
        self.assertGreater(np.ptp(moved), 0.01)
        self.assertAllInRange(moved, 0.5, 2.0)

    def test_an_interrupted_search_goes_on_where_it_was(self):
        journal = pathlib.Path(self.get_temp_dir()) / "runs" / "journal.json"
        whole = _found("lapq")

        _, calibration = _quantized()
        broken = _Limited(calibration.loss, 30)
        with self.assertRaises(_EnoughError):
            SEARCHES["lapq"](calibration, POINT, journal=journal, loss=broken)
        again = _Limited(calibration.loss, 1000)
        steps = SEARCHES["lapq"](
            calibration, POINT, journal=journal, loss=again
        )

        passes = whole.provenance["forward_passes"]
        # All but the float model's and the first 30.
        self.assertLen(again.seen, passes - 1 - 30)
        self.assertEqual(steps.provenance, whole.provenance)
        for path, step in steps.tensors.items():
            self.assertAllEqual(step.step_size, whole.tensors[path].step_size)

        # More rounds go on from there.
        more = _Limited(calibration.loss, 1000)
        said = ptq.lapq(
            calibration,
            POINT,
            maxiter=2,
            journal=journal,
            loss=more,
            progress=False,
        ).provenance
        self.assertLen(more.seen, said["forward_passes"] - passes)
        self.assertLessEqual(said["loss"], whole.provenance["loss"])

    def test_a_journal_of_another_search_is_refused(self):
        journal = pathlib.Path(self.get_temp_dir()) / "journal.json"
        _, calibration = _quantized()
        search = functools.partial(
            ptq.lapq, maxiter=0, journal=journal, progress=False
        )
        search(calibration, POINT)
        with self.assertRaisesRegex(ValueError, "'3/FP'.*is that of.*'2/3'"):
            search(calibration, OperatingPoint(3, None))
        for text in ("", "{}", "[1]", '{"key": 1}'):
            journal.write_text(text)
            with self.assertRaisesRegex(ValueError, "journal of a search"):
                search(calibration, POINT)


class LapqGradientTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(0, 8, 9, 13, 32)
    def test_passes_are_counted_and_kept_to(self, passes):
        _, calibration = _quantized()
        FORWARD.assign(0)
        BACKWARD.assign(0)
        said = ptq.lapq_gradient(
            calibration, POINT, passes=passes, progress=False
        ).provenance
        spent = float(FORWARD + 2 * BACKWARD) / 200
        self.assertAllClose(said["forward_passes"], spent)
        start = 1 + len(said["loss_of_p"])  # The float model, and the norms.
        # Sums of parts of passes are not exact.
        self.assertLessEqual(spent, max(start, passes) + 1e-6)
        # A gradient, 3 passes, and a measurement.
        self.assertGreater(spent + 4, passes)
        if passes < start + 4:
            self.assertEqual(said["loss"], said["first_loss"])

    @parameterized.parameters("8", None, -1, float("nan"))
    def test_bad_passes_are_refused(self, passes):
        errors = TypeError, ValueError
        with self.assertRaisesRegex(errors, "forward passes.*at least 0"):
            ptq.lapq_gradient(None, POINT, passes=passes)

    def test_the_text_of_a_point_will_do(self):
        _, calibration = _quantized()
        found = [
            ptq.lapq_gradient(calibration, point, passes=9, progress=False)
            for point in (POINT, str(POINT))
        ]
        self.assertEqual(found[0].provenance, found[1].provenance)

    def test_batch_statistics_are_refused(self):
        loss = _GivenLosses(None, [1.0])
        loss.batch_statistics = True
        with self.assertRaisesRegex(ValueError, "learned_steps"):
            ptq.lapq_gradient(None, POINT, loss=loss)

    def test_after_a_failure_steps_move_less_and_in_the_end_further(self):
        model, calibration = _quantized()
        losses = [0.9, 0.7, 0.8, 0.75, 0.9]  # 4 starts; then nothing is better.
        given = _GivenLosses(model, losses)
        ptq.lapq_gradient(calibration, POINT, loss=given, progress=False)
        start = ptq.lp_norm(calibration, POINT, p=2.5).tensors
        moves = np.array(
            [
                [
                    np.log(step.step_size / start[path].step_size)
                    for path, step in steps.tensors.items()
                ]
                for steps in given.tried[4:]
            ]
        )
        distances = np.sqrt(np.square(moves).mean(1))
        self.assertAllGreater(-np.diff(distances[:3]), 0.01)
        largest = np.abs(moves).max(1)
        self.assertGreater(largest[3:].max(), 1.2 * largest[:3].max())

    def test_each_channel_moves_on_its_own(self):
        _, calibration = _quantized("per_channel")
        steps = _found("lapq_gradient", "per_channel")
        start = ptq.lp_norm(calibration, POINT, p=steps.provenance["p"])
        found = steps.tensors["b/kernel"].step_size
        ratios = found / start.tensors["b/kernel"].step_size
        self.assertGreater(np.ptp(ratios), 0.05)

    def test_channels_get_further_than_powell_moves_tensors(self):
        _, calibration = _quantized("per_channel")
        point = OperatingPoint(2, None)
        losses = {
            name: search(calibration, point).provenance["loss"]
            for name, search in SEARCHES.items()
        }
        self.assertLess(losses["lapq_gradient"], losses["lapq"])


if __name__ == "__main__":
    tf.test.main()
