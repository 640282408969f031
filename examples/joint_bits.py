"""The rival of one artifact: training all widths jointly, batch norm for each.

TF_USE_LEGACY_KERAS=1 python examples/joint_bits.py FLOAT.keras DATASET DATA_DIR

After "Any-Precision Deep Neural Networks" (Yu et al. 2021), with the codes of
"Nearly Lossless Adaptive Bit Switching" (Huang et al. 2025): every batch goes
through all widths, and the gradients of what they share are averaged; the
highest width learns from the labels, the others from its answers. Every width
has scales and shifts of batch normalization of its own ("switchable batch
norm"), and one code for each weight is read at all widths, as `nested_lsq` has
it. Prints the accuracy of each width on the test images, by the Keras
simulation, with statistics of batch norm measured again. Activations and the
first and last layer have 8 bits.
"""

import math
import sys

import numpy as np
import tensorflow as tf

from kure_tf import compat, data, ptq, qat
from kure_tf import fake_quantized as fq
from kure_tf.compat import keras
from kure_tf.settings import OperatingPoint
from kure_tf.training import Recipe
from kure_tf.training.working_copy import transfer_weights, working_copy

WIDTHS = (8, 4, 3, 2)  # The first one teaches.
RECIPE = Recipe(
    2,
    learning_rate=0.01,
    weight_decay=1e-4,
    augment=("flip", "shift"),
    mixed_precision="mixed_bfloat16",
)
IMAGES = 512  # For calibration and for statistics.


class Switchable:
    """Scales and shifts of batch normalization, a set for each width."""

    def __init__(self, model, own=None):
        layers = (layer for _, layer in compat.layers_of(model))
        self.shared = [
            variable
            for layer in layers
            if isinstance(layer, keras.layers.BatchNormalization)
            for variable in (layer.gamma, layer.beta)
        ]
        self.own = own or {
            bits: [tf.Variable(variable) for variable in self.shared]
            for bits in WIDTHS
        }

    def put(self, bits):
        for variable, own in zip(self.shared, self.own[bits], strict=True):
            variable.assign(own)


def train(model, batches, steps):
    """Trains `model`, quantization-aware; returns the `Switchable`."""
    switchable = Switchable(model)
    is_switched = {id(variable) for variable in switchable.shared}
    rest = [v for v in model.trainable_variables if id(v) not in is_switched]
    rate = keras.optimizers.schedules.CosineDecay(RECIPE.learning_rate, steps)
    velocity, classes = {}, model.output_shape[-1]

    @tf.function
    def gradients(images, targets):
        with tf.GradientTape() as tape:
            logits = tf.cast(model(images, training=True), tf.float32)
            each = tf.nn.softmax_cross_entropy_with_logits(targets, logits)
            loss = tf.reduce_mean(each) + tf.add_n(model.losses)
        variables = [_value(v) for v in (*rest, *switchable.shared)]
        return tf.nn.softmax(logits), loss, tape.gradient(loss, variables)

    def descend(variables, found, step):
        for variable, gradient in zip(variables, found, strict=True):
            key = id(variable)
            velocity[key] = RECIPE.momentum * velocity.get(key, 0.0) + gradient
            variable.assign_sub(rate(step) * velocity[key])
            if getattr(variable, "constraint", None):  # Steps stay positive.
                variable.assign(variable.constraint(variable))

    for step, (images, labels) in enumerate(batches):
        targets, all_found, losses = tf.one_hot(labels, classes), [], []
        for bits in WIDTHS:
            fq.set_operating_point(model, OperatingPoint(bits, 8))
            switchable.put(bits)
            answers, loss, found = gradients(images, targets)
            if bits == WIDTHS[0]:
                targets = answers
            descend(switchable.own[bits], found[len(rest) :], step)
            all_found.append(found[: len(rest)])
            losses.append(f"{float(loss):.3f}")
        each = zip(*all_found, strict=True)
        descend(rest, [tf.add_n(one) / len(WIDTHS) for one in each], step)
        if step % 50 == 0:
            print(f"step {step} of {steps}, losses {losses}", flush=True)
    return switchable


def measure(model, switchable, calibration, batch_norm, test):
    """Prints the accuracy of every width."""
    nested = qat.nested_weights(model, WIDTHS)
    for bits in WIDTHS:
        switchable.put(bits)
        (setting,) = ptq.nested_settings(
            calibration,
            nested,
            bits=(bits,),
            method=None,
            batch_norm=batch_norm,
        )
        with fq.keeping(model):
            fq.apply(model, setting)
            right = sum(
                np.sum(np.argmax(model(images, training=False), -1) == labels)
                for images, labels in test.batches(500)
            )
        print(f"W{bits}: {100 * right / test.count:.2f} %", flush=True)


def main(path, name, folder):
    dataset = data.get(name, data_dir=folder)
    calibration = list(dataset.calibration.batches(128))
    model = qat.quantize_aware(
        compat.load_model(path),
        "nested_lsq",
        WIDTHS[0],
        8,
        placement=fq.paper_placement(first_layer=8, last_layer=8),
        calibration=calibration,
        engine="native",
        verbose=False,
    )
    trained = working_copy(model, RECIPE)
    steps = math.ceil(dataset.train.count / RECIPE.batch_size)
    batches = (
        batch
        for epoch in range(RECIPE.epochs)
        for batch in dataset.train.training_batches(
            RECIPE.batch_size, seed=0, epoch=epoch, augment=RECIPE.augment
        )
    )
    switchable = train(trained, batches, RECIPE.epochs * steps)
    transfer_weights(trained, model)
    switchable = Switchable(model, switchable.own)
    drawn = dataset.train.take(IMAGES, 0)
    measure(
        model,
        switchable,
        ptq.calibrate(model, calibration),
        list(
            drawn.training_batches(256, seed=0, epoch=0, augment=RECIPE.augment)
        ),
        dataset.test,
    )


def _value(variable):
    """Returns the variable of TensorFlow that one of Keras 3 holds."""
    return (
        getattr(variable, "value", variable) if compat.IS_KERAS_3 else variable
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
