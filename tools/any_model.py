"""Measures how architectures go through the chain, from float to LSQ.

python tools/any_model.py --workdir=runs/any \\
    --models=ResNet50:64,ConvNeXtTiny:64,resnet20:32:tf_keras

Where the model is not a saved one weights are random and batch-norm statistics
those of the inputs, which are random always: the question is what is quantized,
how far 8 bits move the answers, and what it costs in seconds and memory, not
what is in the pictures.
"""

import contextlib
import gc
import pathlib
import time
import warnings

import architectures
import common_flags
from absl import flags

_TRAININGS = ("float", "lsq")
_TRAIN = flags.DEFINE_list(
    "train",
    list(_TRAININGS),
    "What to take training steps of: float, lsq, both or none. TensorFlow keeps"
    " the weights that were trained until the process ends: to learn the memory"
    " of LSQ alone, leave float out.",
)
_BATCH = flags.DEFINE_integer(
    "batch",
    None,
    "Examples in a batch; by default all that are calibrated and asked.",
    lower_bound=1,
)
flags.register_validator(
    "train",
    lambda names: set(names) <= set(_TRAININGS),
    message=f"Expected some of {_TRAININGS}, by commas.",
)
flags.adopt_module_key_flags(architectures)

_ABOUT = """# Architectures through the chain

Quantized: share of the elements of kernels, and of the multiply-adds for one
example. Difference: of the fake-quantized model at FP/FP, relative to the
largest output; under `tflite` batch norm is folded, which rounds. SQNR at 8/8:
power of the outputs over that of their error, minmax steps; of differences:
without the mean output of the examples, of which a random net has much. Input
noise: what inputs rounded to 8 bits alone leave of the float net, which in a
deep random net is little. Seconds are by the clock on one thread of a busy
machine; each step counts its tracing. Memory: the peak above what the process
had before the model was made, over that of its float weights, which means
nothing for small ones, up to a step. All threads share one heap
(`MALLOC_ARENA_MAX=1`, unless the environment has another). LSQ takes the place
of the float net, whose weights TensorFlow keeps if it was trained before. All
training steps are of plain SGD and one batch: of --batch examples, as in the
other steps, or of as many as calibrated and asked together. Repeat it by
`python tools/any_model.py --flagfile=any_model.cfg --workdir=...`.

"""
_PLACEMENTS = ("paper", "tflite")
_SECONDS = {
    "construct": "Construct s",
    "regularize": "Regularize s",
    "fake_quantize tflite": "Fake-quantize s",
    "calibrate tflite": "Calibrate s",
    "lp_norm paper": "lp_norm per tensor s",
    "lp_norm tflite": "lp_norm per channel s",
    "sweep point": "Sweep point s",
    "float training step": "Float training step s",
    "quantize_aware": "Quantize-aware s",
    "first LSQ step": "First LSQ step s",
    "LSQ step": "LSQ step s",
}
_COLUMNS = {
    "model": "Model",
    "keras": "Keras",
    "input": "Input",
    "megaparameters": "M parameters",
    "mega_multiply_adds": "M multiply-adds",
    "decibels_of_inputs": "Input noise, dB",
    **{
        f"{key} {placement}": f"{title}, {placement}"
        for placement in _PLACEMENTS
        for key, title in {
            "parameters": "% of parameters quantized",
            "multiply_adds": "% of multiply-adds",
            "difference": "FP/FP difference",
            "decibels": "8/8 SQNR dB",
            "decibels_of_differences": "of differences dB",
        }.items()
    },
    **{f"{key} seconds": title for key, title in _SECONDS.items()},
    "peak_ratio_of_sweep": "Peak / float weights, to a sweep",
    "peak_ratio_of_training": "with a float training step",
    "peak_ratio": "with LSQ",
    "peak_gigabytes": "Peak above start, GB",
}


def main():
    given = architectures.IMAGES.value, _TRAIN.value, _BATCH.value
    architectures.measure("any_model", _ABOUT, _COLUMNS, _rows, *given)


def _rows(text, count, train, batch):
    """Returns one dictionary, of one model."""
    from kure_tf import compat, regularize_kurtosis
    from kure_tf.ptq import reestimate_batch_norm

    warnings.simplefilter("ignore")  # The table says what they say.
    chain = _Steps()
    with chain.step("construct"):
        model = architectures.model_of(text)
    inputs = _random_inputs(model, 2 * count)
    name, size, *_ = text.split(":")
    saved = pathlib.Path(name).exists()
    if dict(compat.batch_norms_of(model)) and not saved:
        reestimate_batch_norm(model, [inputs])
    with chain.step("regularize"):
        regularize_kurtosis(model, verbose=False)
    row = {
        "model": pathlib.Path(name).name,
        "keras": compat.KERAS_NAME,
        "input": size,
        "megaparameters": model.count_params() / 1e6,
        "decibels_of_inputs": _of_rounded_inputs(model, inputs, batch),
    }
    for placement in _PLACEMENTS:
        row |= _quantized(model, placement, inputs, batch, chain)
    weight_bytes = 4 * model.count_params()
    taken = inputs[:batch]
    targets = _answers(model, taken, batch) if train else None
    if "float" in train:
        model.compile(_plain_sgd(), "mse")
        with chain.step("float training step"):
            model.train_on_batch(taken, targets)
    if "lsq" in train:
        with chain.step("quantize_aware"):
            # In place of the float net.
            model = _quantize_aware(model, _batches(inputs, batch))
        for name in ("first LSQ step", "LSQ step"):
            with chain.step(name):
                model.train_on_batch(taken, targets)
    return [row | chain.found(weight_bytes)]


def _quantized(model, placement, inputs, batch, chain):
    """Returns what one placement makes of a model."""
    import numpy as np

    from kure_tf import (
        compat,
        fake_quantize_model,
        ptq,
        set_operating_point,
        set_step_sizes,
    )
    from kure_tf.fake_quantized import quantized_share

    with chain.step(f"fake_quantize {placement}"):
        copy = fake_quantize_model(model, placement)
    answers = _answers(model, inputs, batch)
    difference = np.abs(_answers(copy, inputs, batch) - answers).max()
    half = inputs[: len(inputs) // 2]
    with chain.step(f"calibrate {placement}"):
        calibration = ptq.calibrate(copy, _batches(half, batch), progress=False)
    with chain.step(f"lp_norm {placement}"):
        ptq.lp_norm(calibration, "8/8")
    set_step_sizes(copy, ptq.minmax(calibration, "8/8"))
    set_operating_point(copy, "8/8")
    error = _answers(copy, inputs, batch) - answers
    if placement == "tflite":
        with chain.step("sweep point"):
            set_operating_point(copy, "4/8")
            copy.predict_on_batch(inputs[:batch])
    share = quantized_share(copy)
    made = compat.multiply_adds_of(copy).values()
    return {
        "mega_multiply_adds": sum(sum(one.values()) for one in made) / 1e6,
        f"parameters {placement}": 100 * share.parameters,
        f"multiply_adds {placement}": 100 * share.multiply_adds,
        f"left_in_float {placement}": share.facts()["left_in_float"],
        f"difference {placement}": difference / np.abs(answers).max(),
        f"decibels {placement}": _decibels(answers, error),
        f"decibels_of_differences {placement}": _decibels(
            answers - answers.mean(axis=0), error
        ),
    }


def _quantize_aware(model, calibration):
    from kure_tf import quantize_aware

    copy = quantize_aware(
        model,
        calibration=calibration,
        placement="tflite",
        engine="native",
        verbose=False,
    )
    copy.compile(_plain_sgd(), "mse")
    return copy


def _plain_sgd():
    """Returns an optimizer that keeps nothing for a weight.

    That of tf_keras keeps a momentum, and makes a product of it, where it is 0.
    """
    from kure_tf import compat

    optimizers = compat.keras.optimizers
    if compat.KERAS_NAME == "tf_keras":
        return optimizers.legacy.SGD(1e-4)
    return optimizers.SGD(1e-4)


def _of_rounded_inputs(model, inputs, batch):
    """Returns the SQNR of a float net whose inputs alone have 8 bits."""
    import numpy as np

    if inputs.dtype != np.float32:
        return None
    step_size = (inputs.max() - inputs.min()) / np.float32(255)
    answers = _answers(model, inputs, batch)
    rounded = np.rint(inputs / step_size) * step_size
    rounded = _answers(model, rounded, batch)
    return _decibels(answers, rounded - answers)


def _random_inputs(model, count):
    """Returns random examples: token ids, noisy smooth images, or noise."""
    import numpy as np
    import tensorflow as tf

    from kure_tf import compat

    (taken,) = model.inputs
    shape = count, *taken.shape[1:]
    random = np.random.default_rng(0)
    if "int" in str(taken.dtype):
        sizes = [
            layer.input_dim
            for _, layer in compat.layers_of(model)
            if hasattr(layer, "input_dim")
        ]
        return random.integers(0, min(sizes), shape).astype(np.int32)
    noise = random.standard_normal(shape).astype(np.float32)
    if len(shape) != 4:
        return noise
    blobs = random.standard_normal((count, 4, 4, shape[-1]))
    smooth = tf.image.resize(blobs, shape[1:3], "bicubic").numpy()
    images = smooth + np.float32(0.3) * noise
    takes_pixels = any(
        type(layer).__name__ in ("Rescaling", "Normalization")
        for _, layer in compat.layers_of(model)
    )
    return np.clip(128 + 64 * images, 0, 255) if takes_pixels else images


def _batches(inputs, batch):
    """Returns the inputs in batches of so many, in one if it is None."""
    size = batch or len(inputs)
    return [
        inputs[first : first + size] for first in range(0, len(inputs), size)
    ]


def _answers(model, inputs, batch):
    import numpy as np

    # Not compiled, which would fuse one model's operators and not another's.
    answers = [
        np.asarray(model(some, training=False), np.float64)
        for some in _batches(inputs, batch)
    ]
    return np.concatenate(answers)


def _decibels(signal, error):
    import numpy as np

    return float(10 * np.log10(np.sum(signal**2) / np.sum(error**2)))


class _Steps:
    """The seconds of each step, and the peak of the process's memory."""

    def __init__(self):
        self._before = _peak_bytes()
        self._seconds, self._peaks = {}, {}

    @contextlib.contextmanager
    def step(self, name):
        gc.collect()  # What the step before has left.
        start = time.perf_counter()
        yield
        self._seconds[f"{name} seconds"] = time.perf_counter() - start
        self._peaks[name] = _peak_bytes() - self._before

    def found(self, weight_bytes):
        """Returns what a row says of all steps."""
        peak = max(self._peaks.values())
        ratios = {name: x / weight_bytes for name, x in self._peaks.items()}
        return {
            **self._seconds,
            "peak_ratio": peak / weight_bytes,
            "peak_ratio_of_sweep": ratios["sweep point"],
            "peak_ratio_of_training": ratios.get("float training step"),
            "peak_gigabytes": peak / 1e9,
            "peak_ratio_after": ratios,
        }


def _peak_bytes():
    import resource

    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    common_flags.run(main)
