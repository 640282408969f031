"""Measures what KURE and fake quantization cost, as ratios in one run.

python tools/benchmark.py --workdir=runs/benchmark

Both sides of a ratio are measured in turn, A B A B ..., and the median of the
rounds' ratios is given: absolute times differ from machine to machine, and on
a shared one from minute to minute. Times are those of the processor, on one
thread, so that waiting for other programs does not count.
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

    from kure_tf.files import write_json

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    with common_flags.workdir() as folder:
        results = {
            **_kurtosis(),
            **_step_search(),
            **_training(),
            **_sweep(),
            **_qat(),
        }
        for name, result in results.items():
            print(f"{name}: {result['ratio']:.3f} ({result['limit']})")
        write_json(folder / "benchmark.json", results)


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


def _step_search():
    import numpy as np
    from scipy import optimize

    from kure_tf.ops.step_search import best_step_size

    random = np.random.default_rng(0)
    kernels = [
        random.normal(0, 0.05, shape).astype(np.float32) for shape in _RESNET18
    ]
    high = 7.0  # Of 4 bits.

    def error(step_size, x):
        q = np.clip(np.round(x / step_size), -high, high) * step_size
        return np.mean(np.square(x - q))

    def search():
        return [
            best_step_size(x, np.abs(x).max() / high, (-high, high))
            for x in kernels
        ]

    def minimize_scalar():
        found = []
        for x in kernels:
            largest = np.abs(x).max() / high
            bounds = 1e-3 * largest, largest
            result = optimize.minimize_scalar(
                error, args=(x,), bounds=bounds, method="bounded"
            )
            found.append(result.x)
        return found

    excess = max(
        error(ours, x.astype(np.float64)) / error(theirs, x.astype(np.float64))
        for ours, theirs, x in zip(
            search(), minimize_scalar(), kernels, strict=True
        )
    )
    times = _in_turn({"SciPy": minimize_scalar, "ours": search})
    result = _ratio(times, "SciPy", "ours", "at least 10")
    return {
        "SciPy's minimize_scalar over our search for the steps of ResNet-18": {
            **result,
            "largest ratio of our MSE to SciPy's": excess,
        }
    }


def _training():
    import tensorflow as tf

    from kure_tf import models, regularize_kurtosis
    from kure_tf.regularizers import GradientL1Model

    images, labels = _batch()
    plain = _compiled(models.resnet20())
    rival = _compiled(GradientL1Model(models.resnet20(), 0.05))
    kure = _compiled(
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
            "rival": lambda: rival.train_on_batch(images, labels),
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
        "training step with the L1 norm of gradients over one without": (
            _ratio(times, "rival", "plain", "for information")
        ),
    }


def _sweep():
    from kure_tf import (
        fake_quantize_model,
        models,
        ptq,
        set_operating_point,
        set_step_sizes,
    )
    from kure_tf.evaluation import Evaluator
    from kure_tf.settings.operating_point import OperatingPoint

    images, labels = _batch()
    batches = _tensors(images, labels)
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


def _qat():
    import kure_tf
    from kure_tf import compat, models
    from kure_tf.evaluation import Evaluator

    images, labels = _batch()
    plain = _compiled(models.resnet20())
    lsq = _compiled(
        kure_tf.quantize_aware(
            models.resnet20(),
            "lsq",
            4,
            4,
            calibration=[images],
            engine="native",
            verbose=False,
        )
    )
    steps = {
        "float": lambda: plain.train_on_batch(images, labels),
        "LSQ": lambda: lsq.train_on_batch(images, labels),
    }
    if not compat.IS_KERAS_3:  # It takes tf_keras models alone.
        import tensorflow_model_optimization as tfmot

        default = _compiled(
            tfmot.quantization.keras.quantize_model(models.resnet20())
        )
        steps["tfmot"] = lambda: default.train_on_batch(images, labels)
    times = _in_turn(steps)
    batches = _tensors(images, labels)
    evaluate_plain, evaluate = Evaluator(batches), Evaluator(batches)

    def point():
        kure_tf.set_operating_point(lsq, "3/4 x1.1")
        evaluate(lsq)

    points = _in_turn({"float": lambda: evaluate_plain(plain), "QAT": point})
    results = {
        "LSQ W4/A4 training step of ResNet-20 over the float one": _ratio(
            times, "LSQ", "float", "at most 1.45"
        ),
        "sweep point of the LSQ model over a float evaluation": _ratio(
            points, "QAT", "float", "at most 1.20"
        ),
    }
    if "tfmot" in times:
        name = "LSQ W4/A4 training step over that of tfmot's default 8-bit QAT"
        results[name] = _ratio(times, "LSQ", "tfmot", "at most 1.15")
    return results


def _compiled(model):
    from kure_tf.compat import keras

    model.compile(
        keras.optimizers.SGD(0.01, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return model


def _tensors(images, labels):
    import tensorflow as tf

    return [(tf.constant(images), tf.constant(labels))] * 4


def _batch():
    import numpy as np

    random = np.random.default_rng(0)
    size = _BATCH_SIZE.value
    images = random.normal(size=(size, 32, 32, 3)).astype(np.float32)
    return images, random.integers(10, size=size)


def _in_turn(functions):
    """Returns `{name: CPU seconds of each round}`, measured A B C A B C ..."""
    for function in functions.values():  # Compile, and fill the caches.
        function()
        function()
    times = {name: [] for name in functions}
    for _ in range(_ROUNDS.value):
        for name, function in functions.items():
            start = time.process_time()
            function()
            times[name].append(time.process_time() - start)
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
