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

_NO_LIMIT = "for information"
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
    results = {}
    with common_flags.workdir() as folder:
        for benchmark in (_kurtosis, _step_search, _training, _sweep, _qat):
            functions, claims, facts = benchmark()
            times = _in_turn(functions)
            for name, (above, below, limit) in claims.items():
                ratio = _ratio(times, above, below)
                results[name] = {**ratio, "limit": limit, **facts}
        for name, result in results.items():
            print(f"{name}: {result['ratio']:.3f} ({result['limit']})")
        write_json(folder / "benchmark.json", results)


# Each returns {name: function to time}; {what: (function, the one that its time
# is divided by, what the ratio should be)}; and further facts.


def _kurtosis():
    import tensorflow as tf

    from kure_tf.ops import kurtosis

    random = tf.random.Generator.from_seed(0)
    kernels = [tf.Variable(random.normal(s) * 0.05) for s in _RESNET18]
    arrays = [w.numpy() for w in kernels]
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

    @tf.function
    def one_pass():  # Times a variable: TensorFlow cannot leave it out.
        return [w * one for w in kernels]

    functions = {
        "ours": term_and_gradient(kurtosis),
        "copy": lambda: [array.copy() for array in arrays],
        "one pass": one_pass,
        "textbook": term_and_gradient(textbook),
    }
    kure = "KURE, forward and backward, over one"
    textbook_too = "textbook autodiff over KURE, the same kernels"
    claims = {
        f"{kure} copy of ResNet-18's kernels": ("ours", "copy", "at most 3.5"),
        f"{kure} elementwise TensorFlow op": ("ours", "one pass", _NO_LIMIT),
        textbook_too: ("textbook", "ours", "at least 5"),
    }
    return functions, claims, {}


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

    def ours(x):
        return best_step_size(x, np.abs(x).max() / high, (-high, high))

    def theirs(x):
        largest = np.abs(x).max() / high
        bounds = 1e-3 * largest, largest
        return optimize.minimize_scalar(
            error, args=(x,), bounds=bounds, method="bounded"
        ).x

    excess = max(
        error(ours(x), wide) / error(theirs(x), wide)
        for x, wide in ((x, x.astype(np.float64)) for x in kernels)
    )
    functions = {
        "SciPy": lambda: [theirs(x) for x in kernels],
        "ours": lambda: [ours(x) for x in kernels],
    }
    name = "SciPy's minimize_scalar over our search for the steps of ResNet-18"
    claims = {name: ("SciPy", "ours", "at least 10")}
    return functions, claims, {"largest ratio of our MSE to SciPy's": excess}


def _training():
    import tensorflow as tf

    from kure_tf import models, regularize_kurtosis
    from kure_tf.regularizers import GradientL1Model

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

    functions = {
        "plain": _training_step(models.resnet20()),
        "KURE": _training_step(kure),
        "rival": _training_step(GradientL1Model(models.resnet20(), 0.05)),
        "term": term,
    }
    step = "training step of ResNet-20"
    rival = f"{step} with the L1 norm of gradients over one without"
    claims = {
        f"KURE alone over a {step}": ("term", "plain", "below 0.02"),
        f"{step} with KURE over one without": ("KURE", "plain", _NO_LIMIT),
        rival: ("rival", "plain", _NO_LIMIT),
    }
    return functions, claims, {}


def _sweep():
    from kure_tf import fake_quantize_model, models, ptq, set_step_sizes
    from kure_tf.settings.operating_point import OperatingPoint

    plain = models.resnet20()
    quantized = fake_quantize_model(plain, "paper")
    calibration = ptq.calibrate(quantized, [_batch()[0]], progress=False)
    set_step_sizes(quantized, ptq.minmax(calibration, OperatingPoint(4, 4)))
    functions = {
        "float": _evaluation(plain),
        "4/FP": _evaluation(quantized, "4/FP"),
        "4/4": _evaluation(quantized, "4/4"),
    }
    over = "over a float evaluation of ResNet-20"
    claims = {
        f"sweep point 4/4 {over}": ("4/4", "float", "at most 1.20"),
        f"sweep point 4/FP {over}": ("4/FP", "float", "at most 1.10"),
    }
    return functions, claims, {}


def _qat():
    from kure_tf import compat, models, quantize_aware

    plain = models.resnet20()
    lsq = quantize_aware(
        models.resnet20(),
        "lsq",
        4,
        4,
        calibration=[_batch()[0]],
        engine="native",
        verbose=False,
    )
    functions = {
        "float": _training_step(plain),
        "LSQ": _training_step(lsq),
        "float point": _evaluation(plain),
        "QAT point": _evaluation(lsq, "3/4 x1.1"),
    }
    step = "LSQ W4/A4 training step"
    over_float = f"{step} of ResNet-20 over the float one"
    point = "sweep point of the LSQ model over a float evaluation"
    claims = {
        over_float: ("LSQ", "float", "at most 1.45"),
        point: ("QAT point", "float point", "at most 1.20"),
    }
    if not compat.IS_KERAS_3:  # It takes tf_keras models alone.
        import tensorflow_model_optimization as tfmot

        default = tfmot.quantization.keras.quantize_model(models.resnet20())
        functions["tfmot"] = _training_step(default)
        over_tfmot = f"{step} over that of tfmot's default 8-bit QAT"
        claims[over_tfmot] = ("LSQ", "tfmot", "at most 1.15")
    return functions, claims, {}


def _training_step(model):
    images, labels = _batch()
    model = _compiled(model)
    return lambda: model.train_on_batch(images, labels)


def _evaluation(model, point=None):
    """Returns a function that evaluates a model, moved to a point first."""
    import tensorflow as tf

    from kure_tf import set_operating_point
    from kure_tf.evaluation import Evaluator

    evaluate = Evaluator([tuple(map(tf.constant, _batch()))] * 4)

    def run():
        if point is not None:
            set_operating_point(model, point)
        evaluate(model)

    return run


def _compiled(model):
    from kure_tf.compat import keras

    model.compile(
        keras.optimizers.SGD(0.01, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return model


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


def _ratio(times, above, below):
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
    }


if __name__ == "__main__":
    common_flags.run(main)
