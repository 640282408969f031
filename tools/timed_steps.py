"""Training steps, evaluations and batches of data, for tools/benchmark.py."""

import itertools

from absl import flags

BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", 128, "Images per step.", lower_bound=1
)


def training_step(model, side=32, xla=False):
    """Returns a function that trains a model for one step."""
    images, labels = batch(side)
    model = compiled(model, xla)
    return lambda: model.train_on_batch(images, labels)


def evaluation(model, point=None, side=32):
    """Returns a function that evaluates a model, moved to a point first."""
    import tensorflow as tf

    from kure_tf import set_operating_point
    from kure_tf.evaluation import Evaluator

    evaluate = Evaluator([tuple(map(tf.constant, batch(side)))] * 4)

    def run():
        if point is not None:
            set_operating_point(model, point)
        evaluate(model)

    return run


def compiled(model, xla=False):
    """Compiles and returns a model."""
    from kure_tf.compat import keras

    model.compile(
        keras.optimizers.SGD(0.01, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=xla,
    )
    return model


def batch(side=32):
    """Returns random images, the same ones always, and labels."""
    import numpy as np

    random = np.random.default_rng(0)
    size = BATCH_SIZE.value
    images = random.normal(size=(size, side, side, 3)).astype(np.float32)
    return images, random.integers(10, size=size)


def reading(split):
    """Returns a function that takes the next batch of training epochs."""
    batches = itertools.chain.from_iterable(
        epoch(split, number) for number in itertools.count()
    )
    return lambda: next(batches)


def epoch(split, number):
    """Returns the batches of a training epoch, photographs augmented."""
    augment = ("flip", "crop") if hasattr(split, "ranges") else ()
    return split.training_batches(
        BATCH_SIZE.value, seed=0, epoch=number, augment=augment
    )
