"""The loss of a model on its calibration images, as a function of its steps."""

import contextlib
import copy
import functools
import math
import operator

import numpy as np
import tensorflow as tf

from kure_tf import compat
from kure_tf.data.batches import batches_of, check_weights
from kure_tf.evaluation import loss_of
from kure_tf.fake_quantized import (
    quantizers_of,
    set_operating_point,
    set_step_sizes,
    tapping,
    using_batch_statistics,
)
from kure_tf.settings import StepSizes
from kure_tf.settings.operating_point import OperatingPoint

_IMAGES_PER_STEP = 256


class CalibrationLoss:
    """Mean loss of a model on labelled calibration images.

    The loss is the model's own (`evaluation.loss_of`): the compiled one, or
    the cross-entropy of what the model ends in. Sample weights count.

    One compiled graph serves all operating points and step sizes, which are
    variables of the model, and another one their gradients. Batch
    normalization uses its moving statistics, or those of each batch
    (`with_batch_statistics`).

    Calls write the model's variables and leave them so: a search is wrapped in
    `keeping(loss.model)`.

    Args:
        model: What `fake_quantize_model` returned.
        batches: Labelled training images of one size: what `batches_of`
            takes.
        loss: A `ModelLoss` in place of the model's own.

    Attributes:
        model: The model.
        name: What the loss is, for reports: `ModelLoss.name`.
        images: How many images there are.
        batch_statistics: Whether batch normalization uses those of each batch.
        forward_passes: Computation so far, in forward passes over all images;
            a backward pass counts as two.

    Raises:
        ValueError: If there are no images or no labels with them, or images
            differ in size from batch to batch.
    """

    def __init__(self, model, batches, *, loss=None):
        self.model = model
        self._model_loss, self._examples = _examples(model, batches, loss)
        self.name = self._model_loss.name
        self.images = len(tf.nest.flatten(self._examples)[0])
        self.batch_statistics = False
        self._steps = {
            path: compat.tf_variable(tensor.state.step_size)
            for path, tensor in quantizers_of(model).items()
        }
        self._start()

    def _start(self):
        self.forward_passes = 0.0
        self._loss = self._compiled(self._summed_loss)
        self._gradient = self._compiled(self._mean_loss_and_gradient)
        self._values_graphs = {}

    @functools.cached_property
    def with_batch_statistics(self) -> "CalibrationLoss":
        """The loss of a network whose batch norm is estimated again.

        On the same images, in batches of equal size, which batch normalization
        takes its mean and variance from; gradients go through both. Its
        forward passes are counted apart. The model's moving averages are
        neither used nor changed.

        Raises:
            ValueError: If the model has no batch normalization.
        """
        with using_batch_statistics(self.model):
            pass  # Raises where there is none.
        other = copy.copy(self)
        other.batch_statistics = True
        other._start()
        return other

    def __call__(self, point, step_sizes) -> float:
        """Returns the mean loss at an operating point and step sizes."""
        set_step_sizes(self.model, step_sizes)
        set_operating_point(self.model, point)
        total = 0.0
        # Equal batches: the statistics of a small last one would be poor.
        count = math.ceil(self.images / _IMAGES_PER_STEP)
        for window in np.array_split(np.arange(self.images), count):
            window = slice(window[0], window[-1] + 1)
            total += float(self._loss(*self._some(operator.itemgetter(window))))
        self.forward_passes += 1.0
        return total / self.images

    def in_float(self) -> float:
        """Returns the mean loss of the float model."""
        return self(OperatingPoint(), StepSizes({}))

    def gradient(self, point, step_sizes, index):
        """Returns the mean loss on some images, and its gradient.

        Args:
            point, step_sizes: Where.
            index: Which images: integer array.

        Returns:
            `(loss, {tensor path: d loss / d step size})`; the gradient is the
            straight-through one of `fake_quantize`.
        """
        set_step_sizes(self.model, step_sizes)
        set_operating_point(self.model, point)
        loss, gradients = self._gradient(
            *self._some(functools.partial(tf.gather, indices=index))
        )
        self.forward_passes += 3.0 * len(index) / self.images
        return float(loss), {
            path: gradient.numpy()
            for path, gradient in zip(self._steps, gradients, strict=True)
        }

    def gradients_of_values(self, point, step_sizes, groups):
        """Yields the gradient of the mean loss by each quantized tensor.

        By the values behind the quantizer, so that the rounding of the tensor
        itself does not enter. Tensors that are quantized further behind are
        straight through, as in `fake_quantize`.

        Args:
            point: `OperatingPoint`.
            step_sizes: `StepSizes`; only its tensors are looked at.
            groups: Which images: integer arrays, a gradient for each.

        Yields:
            `{tensor path: [(values, gradient), ...]}`, float32 arrays: the
            values in front of the quantizer, None for kernels, and d loss / d
            values behind it, once for each call of the layer.

        Raises:
            ValueError: If the layer that hosts a tensor's quantizer does not
                call it through `fake_quantized.quantized`.
        """
        set_step_sizes(self.model, step_sizes)
        set_operating_point(self.model, point)
        paths = tuple(step_sizes.tensors)
        if paths not in self._values_graphs:
            self._values_graphs[paths] = self._values_graph(paths)
        compute, watched = self._values_graphs[paths]
        for index in groups:
            values, gradients = compute(
                *self._some(functools.partial(tf.gather, indices=index))
            )
            self.forward_passes += 3.0 * len(index) / self.images
            _check_watched(paths, watched)
            found = {path: [] for path in paths}
            for path, x, gradient in zip(
                watched, values, gradients, strict=True
            ):
                x = None if x is None else np.float32(x)
                found[path].append((x, np.float32(gradient)))
            yield found

    def _values_graph(self, paths):
        """Returns (graph, list of the paths that it returns, in order)."""
        watched = []
        tensors = quantizers_of(self.model)

        def compute(*examples):
            before, after = [], []
            watched.clear()
            with tf.GradientTape(watch_accessed_variables=False) as tape:

                def watch(path, x, result):
                    if path in paths:
                        tape.watch(result)
                        watched.append(path)
                        kernel = tensors[path].kind == "weight"
                        before.append(None if kernel else x)
                        after.append(result)

                with tapping(self.model, watch):
                    loss = tf.reduce_mean(self._losses(*examples))
            return before, tape.gradient(
                loss, after, unconnected_gradients="zero"
            )

        return self._compiled(compute), watched

    def _some(self, choose):
        """Returns inputs, labels and weights of the images that it chooses."""
        return tf.nest.map_structure(choose, self._examples)

    def _losses(self, inputs, labels, weights):
        with (
            using_batch_statistics(self.model)
            if self.batch_statistics
            else contextlib.nullcontext()
        ):
            outputs = self.model(inputs, training=False)
        return weights * self._model_loss.per_example(labels, outputs)

    def _summed_loss(self, *examples):
        return tf.reduce_sum(self._losses(*examples))

    def _mean_loss_and_gradient(self, *examples):
        variables = list(self._steps.values())
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            loss = tf.reduce_mean(self._losses(*examples))
        return loss, tape.gradient(
            loss, variables, unconnected_gradients="zero"
        )

    def _compiled(self, function):
        signature = tf.nest.map_structure(
            lambda x: tf.TensorSpec((None, *x.shape[1:]), x.dtype),
            self._examples,
        )
        return tf.function(function, input_signature=signature, autograph=False)


def _check_watched(paths, watched):
    missing = sorted(set(paths) - set(watched))
    if missing:
        raise ValueError(
            "Expected hosts that call their quantizers through "
            "kure_tf.fake_quantized.quantized, so that gradients by what they "
            f"return can be taken. Received others, of {missing}. Change their "
            "`call`, or take a method that needs no such gradients: ptq.lapq."
        )


def _examples(model, batches, loss):
    """Returns the loss, and (inputs, labels, weights) of all images, joined.

    Inputs are in the model's structure; weights have the mean 1.
    """
    read = []
    batches = [] if batches is None else batches
    for batch in batches_of(batches, model, "labelled calibration images"):
        if batch.labels is None:
            raise ValueError(
                "Expected labelled calibration images: batches of (images, "
                "labels), since the loss is measured on them. Received images "
                "without labels. Calibrate with labels, or pass "
                "loss=CalibrationLoss(model, batches)."
            )
        loss = loss or loss_of(model, batch.labels)
        labels = tf.nest.map_structure(
            tf.convert_to_tensor, loss.checked(batch.labels)
        )
        read.append((batch.inputs, labels, batch.weights()))
    inputs, labels, weights = tf.nest.map_structure(
        lambda *parts: _joined(parts), *read
    )
    check_weights(weights)
    return loss, (inputs, labels, weights / tf.reduce_mean(weights))


def _joined(parts):
    sizes = sorted({tuple(part.shape[1:]) for part in parts})
    if len(sizes) > 1:
        raise ValueError(
            "Expected labelled calibration images of one size, since the loss "
            f"is measured on draws from all of them. Received {sizes}. Resize "
            "them, or take a method that looks at no loss: ptq.lp_norm."
        )
    return tf.concat(parts, 0)
