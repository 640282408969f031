"""Measures what KURE and fake quantization cost, as ratios in one run.

python tools/benchmark.py --workdir=runs/benchmark

Both sides of a ratio are measured in turn, A B A B ..., and the median of the
rounds' ratios is given: absolute times differ from machine to machine, and on
a shared one from minute to minute.
"""

import statistics
import time

import common_flags
from absl import flags

_ROUNDS = flags.DEFINE_integer(
    "rounds", 15, "How often everything is measured.", lower_bound=3
)
_BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", 128, "Images per step.", lower_bound=1
)
flags.adopt_module_key_flags(common_flags)

# The kernels of ResNet-18 (He et al. 2016) for ImageNet: 11.7 million weights.
_RESNET18 = [
    (7, 7, 3, 64),
    *[(3, 3, 64, 64)] * 4,
    (3, 3, 64, 128),
    *[(3, 3, 128, 128)] * 3,
    (1, 1, 64, 128),
    (3, 3, 128, 256),
    *[(3, 3, 256, 256)] * 3,
    (1, 1, 128, 256),
    (3, 3, 256, 512),
    *[(3, 3, 512, 512)] * 3,
    (1, 1, 256, 512),
    (512, 1000),
]


def main():
    import tensorflow as tf

    folder = common_flags.workdir("benchmark")
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    results = {**_kurtosis(), **_training(), **_sweep()}
    for name, result in results.items():
        print(f"{name}: {result['ratio']:.3f} ({result['limit']})")
    common_flags.write_json(folder / "benchmark.json", results)


def _kurtosis():
    import tensorflow as tf

    from kure_tf.ops import kurtosis

    random = tf.random.Generator.from_seed(0)
    kernels = [tf.Variable(random.normal(s) * 0.05) for s in _RESNET18]
    one = tf.Variable(1.0)

    def textbook(w):
        centered = w - tf.reduce_mean(w)
        return tf.reduce_mean((centered / tf.math.reduce_std(w)) ** 4)

    def term_and_gradient(kurtosis_of):
        @tf.function
        def run():
            with tf.GradientTape() as tape:
                term = tf.add_n([(kurtosis_of(w) - 1.8) ** 2 for w in kernels])
            return tape.gradient(term, kernels)

        return run

    arrays = [w.numpy() for w in kernels]

    def copy():
        return [array.copy() for array in arrays]

    @tf.function
    def one_pass():  # Times a variable: TensorFlow cannot leave it out.
        return [w * one for w in kernels]

    times = _in_turn(
        {
            "ours": term_and_gradient(kurtosis),
            "copy": copy,
            "one pass": one_pass,
            "textbook": term_and_gradient(textbook),
        }
    )
    return {
        "KURE, forward and backward, over one copy of ResNet-18's kernels": (
            _ratio(times, "ours", "copy", "at most 3.5")
        ),
        "KURE, forward and backward, over one elementwise TensorFlow op": (
            _ratio(times, "ours", "one pass", "for information")
        ),
        "textbook autodiff over KURE, the same kernels": _ratio(
            times, "textbook", "ours", "at least 5"
        ),
    }


def _training():
    import tensorflow as tf

    from kure_tf import models, regularize_kurtosis
    from kure_tf.compat import keras

    def compiled(model):
        model.compile(
            keras.optimizers.SGD(0.01, momentum=0.9),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        return model

    images, labels = _batch()
    plain = compiled(models.resnet20())
    kure = compiled(
        regularize_kurtosis(
            models.resnet20(), layers="convs_but_first", verbose=False
        )
    )
    kernels = [w for w in kure.trainable_variables if len(w.shape) == 4][1:]

    @tf.function
    def term():
        with tf.GradientTape() as tape:
            loss = tf.add_n(kure.losses)
        return tape.gradient(loss, kernels)

    times = _in_turn(
        {
            "plain": lambda: plain.train_on_batch(images, labels),
            "KURE": lambda: kure.train_on_batch(images, labels),
            "term": term,
        }
    )
    return {
        "KURE alone over a training step of ResNet-20": _ratio(
            times, "term", "plain", "below 0.02"
        ),
        "training step of ResNet-20 with KURE over one without": _ratio(
            times, "KURE", "plain", "for information"
        ),
    }


def _sweep():
    import tensorflow as tf

    from kure_tf import (
        fake_quantize_model,
        models,
        ptq,
        set_operating_point,
        set_step_sizes,
    )
    from kure_tf.operating_point import OperatingPoint
    from kure_tf.sweeps import Evaluator

    images, labels = _batch()
    batches = [(tf.constant(images), tf.constant(labels))] * 4
    plain = models.resnet20()
    quantized = fake_quantize_model(plain, "paper")
    calibration = ptq.calibrate(quantized, [images], progress=False)
    point = OperatingPoint(4, 4)
    set_step_sizes(quantized, ptq.minmax(calibration, point))
    evaluate_plain, evaluate = Evaluator(batches), Evaluator(batches)

    def at(text):
        def run():
            set_operating_point(quantized, text)
            evaluate(quantized)

        return run

    times = _in_turn(
        {
            "float": lambda: evaluate_plain(plain),
            "4/FP": at("4/FP"),
            "4/4": at("4/4"),
        }
    )
    return {
        "sweep point 4/4 over a float evaluation of ResNet-20": _ratio(
            times, "4/4", "float", "at most 1.20"
        ),
        "sweep point 4/FP over a float evaluation of ResNet-20": _ratio(
            times, "4/FP", "float", "at most 1.10"
        ),
    }


def _batch():
    import numpy as np

    random = np.random.default_rng(0)
    size = _BATCH_SIZE.value
    images = random.normal(size=(size, 32, 32, 3)).astype(np.float32)
    return images, random.integers(10, size=size)


def _in_turn(functions):
    """Returns `{name: seconds of each round}`, measured A B C A B C ..."""
    for function in functions.values():  # Compile, and fill the caches.
        function()
        function()
    times = {name: [] for name in functions}
    for _ in range(_ROUNDS.value):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            times[name].append(time.perf_counter() - start)
    return times


def _ratio(times, above, below, limit):
    ratios = [a / b for a, b in zip(times[above], times[below], strict=True)]
    return {
        "ratio": statistics.median(ratios),
        "lowest": min(ratios),
        "highest": max(ratios),
        "milliseconds": {
            name: 1e3 * statistics.median(times[name])
            for name in (above, below)
        },
        "rounds": len(ratios),
        "limit": limit,
    }


if __name__ == "__main__":
    common_flags.run(main)
