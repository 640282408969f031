"""Measures what KURE and fake quantization cost, as ratios in one run.

python tools/benchmark.py --workdir=runs/benchmark

Both sides of a ratio are measured in turn, A B A B ..., and the median of the
rounds' ratios is given: absolute times differ from machine to machine, and on
a shared one from minute to minute. Times are those of the processor, on one
thread, so that waiting for other programs does not count.

python tools/benchmark.py --device=gpu --dataset=imagenet \\
    --workdir=runs/benchmark_gpu

measures ResNet-50 on a GPU, with XLA and without, by the clock on the wall, and
beside it how long the data set takes to read, decode and augment a batch.
"""

import importlib.util
import time

import common_flags
import rival_nets
import rounds
import timed_steps
from absl import flags

_ONLY = flags.DEFINE_multi_enum(
    "only",
    [],
    [
        *("kurtosis", "step_search", "training", "sweep", "qat"),
        *("qat_resnet50", "input"),
    ],
    "Measure this alone; may be repeated. Default: all but the last two, which "
    "train ResNet-50: give them a small --batch_size. input reads --dataset.",
)
_DEVICE = flags.DEFINE_enum(
    "device", "cpu", ["cpu", "gpu"], "What to measure on; see above."
)
flags.adopt_module_key_flags(common_flags)
flags.adopt_module_key_flags(rounds)
flags.adopt_module_key_flags(timed_steps)

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

    on_gpu = _DEVICE.value == "gpu"
    benchmarks = (_kurtosis, _step_search, _training, _sweep, _qat)
    if _ONLY.value:
        named = (*benchmarks, _qat_resnet50, _input)
        benchmarks = [b for b in named if b.__name__[1:] in _ONLY.value]
    clock = time.process_time
    if on_gpu:
        _check_gpu()
        benchmarks, clock = (_resnet50,), time.perf_counter
    else:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    results = {}
    with common_flags.workdir() as folder:
        for benchmark in benchmarks:
            functions, claims, facts = benchmark()
            firsts, times = rounds.in_turn(functions, clock)
            for name, (above, below, limit) in claims.items():
                ratio = rounds.ratio(firsts, times, above, below)
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

    kure = timed_steps.compiled(
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
        "plain": timed_steps.training_step(models.resnet20()),
        "KURE": timed_steps.training_step(kure),
        "rival": timed_steps.training_step(
            GradientL1Model(models.resnet20(), 0.05)
        ),
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
    calibration = ptq.calibrate(
        quantized, [timed_steps.batch()[0]], progress=False
    )
    set_step_sizes(quantized, ptq.minmax(calibration, OperatingPoint(4, 4)))
    functions = {
        "float": timed_steps.evaluation(plain),
        "4/FP": timed_steps.evaluation(quantized, "4/FP"),
        "4/4": timed_steps.evaluation(quantized, "4/4"),
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
        calibration=[timed_steps.batch()[0]],
        engine="native",
        verbose=False,
    )
    functions = {
        "float": timed_steps.training_step(plain),
        "LSQ": timed_steps.training_step(lsq),
        "float point": timed_steps.evaluation(plain),
        "QAT point": timed_steps.evaluation(lsq, "3/4 x1.1"),
    }
    step = "LSQ W4/A4 training step"
    over_float = f"{step} of ResNet-20 over the float one"
    point = "sweep point of the LSQ model over a float evaluation"
    claims = {
        over_float: ("LSQ", "float", "at most 1.15"),
        point: ("QAT point", "float point", "at most 1.20"),
    }
    if compat.IS_KERAS_3 and importlib.util.find_spec("hgq"):
        functions["HGQ2"] = timed_steps.training_step(
            rival_nets.hgq2_resnet20()
        )
        over_float = "training step of ResNet-20 in HGQ2 over the float one"
        claims[over_float] = ("HGQ2", "float", _NO_LIMIT)
    if not compat.IS_KERAS_3:  # It takes tf_keras models alone.
        import tensorflow_model_optimization as tfmot

        default = tfmot.quantization.keras.quantize_model(models.resnet20())
        functions["tfmot"] = timed_steps.training_step(default)
        over_tfmot = f"{step} over that of tfmot's default 8-bit QAT"
        claims[over_tfmot] = ("LSQ", "tfmot", "below 1")
    return functions, claims, {}


def _qat_resnet50():
    from kure_tf import models, quantize_aware

    def net():
        return models.resnet50(num_classes=1000, input_shape=(224, 224, 3))

    lsq = quantize_aware(
        net(),
        calibration=[timed_steps.batch(224)[0]],
        engine="native",
        verbose=False,
    )
    functions = {
        "float": timed_steps.training_step(net(), side=224),
        "LSQ": timed_steps.training_step(lsq, side=224),
    }
    name = "LSQ W4/A4 training step of ResNet-50 over the float one"
    facts = {"images a batch": timed_steps.BATCH_SIZE.value}
    return functions, {name: ("LSQ", "float", _NO_LIMIT)}, facts


def _resnet50():
    from kure_tf import models, quantize_aware, regularize_kurtosis

    dataset = common_flags.load_dataset()
    options = {"num_classes": 1000, "input_shape": (224, 224, 3)}
    images = timed_steps.batch(224)[0]

    def lsq():
        model = models.resnet50(**options)
        calibration = [images[:8]]
        return quantize_aware(model, calibration=calibration, verbose=False)

    makers = {
        "float": lambda: models.resnet50(**options),
        "KURE": lambda: regularize_kurtosis(models.resnet50(**options)),
        "LSQ W4/A4": lsq,
    }
    functions = {"input": timed_steps.reading(dataset.train)}
    for name, make in makers.items():
        for xla in (False, True):
            step = timed_steps.training_step(make(), side=224, xla=xla)
            functions[f"{name}{', XLA' * xla}"] = step
    functions["sweep point"] = timed_steps.evaluation(
        lsq(), "3/4 x1.1", side=224
    )
    claims = {
        f"{name} over the float training step of ResNet-50": (
            name,
            "float",
            _NO_LIMIT,
        )
        for name in functions
    }
    facts = {
        "images a batch": timed_steps.BATCH_SIZE.value,
        "data set": dataset.name,
    }
    return functions, claims, facts


def _input():
    from kure_tf import models

    dataset = common_flags.load_dataset()
    net = models.resnet50(num_classes=1000, input_shape=(224, 224, 3))
    step = timed_steps.training_step(net, side=224)
    count = dataset.train.count
    steps = -(-count // timed_steps.BATCH_SIZE.value)
    # Whole epochs: of single batches most are read while the net is trained.
    functions = {
        "input": lambda: list(timed_steps.epoch(dataset.train, 0)),
        "float": lambda: [step() for _ in range(steps)],
    }
    name = "reading an epoch over training ResNet-50 on it"
    facts = {
        "images": count,
        "images a batch": timed_steps.BATCH_SIZE.value,
        "data set": dataset.name,
    }
    return functions, {name: ("input", "float", "below 1")}, facts


def _check_gpu():
    import tensorflow as tf

    if not tf.config.list_physical_devices("GPU"):
        raise ValueError(
            "--device=gpu needs a GPU. TensorFlow sees none here, only "
            f"{[d.name for d in tf.config.list_physical_devices()]}. Leave the "
            "flag out to measure on the processor."
        )


if __name__ == "__main__":
    common_flags.run(main)
