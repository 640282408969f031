"""Training steps and evaluations on random images, for tools/benchmark.py."""

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
