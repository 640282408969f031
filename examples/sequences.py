"""Recurrent nets and Transformers as exact files.

python examples/sequences.py FOLDER [SEEDS]

Digits are read row by row: eight time steps. Words are those of
`beyond_images.py`: which package of Python's standard library 32 of them come
from. Each net is trained in float and quantized: kernels, inputs and what is
multiplied inside; the first and the last layer to 8 bits. Each point becomes a
LiteRT file of exactly these codes, of which every answer to a test example has
to be the foretold one. A Transformer is written with its normalization in
float, too. FOLDER gets `sequences.json`, `sequences.md` and the files of the
last seed.
"""

import collections
import dataclasses
import functools
import json
import pathlib
import sys
from collections.abc import Callable

import beyond_images
import numpy as np

import kure_tf
from kure_tf import data, export, ptq
from kure_tf.compat import keras

layers = keras.layers

POINTS = ("8/8", "4/8", "4/4")


@dataclasses.dataclass(frozen=True)
class Task:
    """Examples as (inputs, classes), and how long nets are trained on them."""

    train: tuple
    calibration: np.ndarray
    test: tuple
    epochs: int
    learned_epochs: int
    rate: float


@functools.cache
def digits():
    found = data.digits()
    calibration, _ = found.calibration.arrays()
    splits = found.train.arrays(), calibration, found.test.arrays()
    return Task(*splits, epochs=30, learned_epochs=10, rate=3e-3)


@functools.cache
def words():
    train, test = beyond_images.text()
    some = np.random.default_rng(0).choice(len(train[0]), 256, replace=False)
    return Task(
        train, train[0][some], test, epochs=3, learned_epochs=1, rate=1e-3
    )


def of_rows(read):
    """Returns what makes a net that reads digits by `read`."""

    def net():
        inputs = keras.Input((8, 8, 1))
        rows = layers.Dense(32, "relu")(layers.Reshape((8, 8))(inputs))
        return keras.Model(inputs, layers.Dense(10)(read(rows)))

    return net


def _block(x):
    y = layers.LayerNormalization()(x)
    x = layers.Add()([x, layers.MultiHeadAttention(4, 8)(y, y)])
    y = layers.Dense(64, "gelu")(layers.LayerNormalization()(x))
    x = layers.Add()([x, layers.Dense(32)(y)])
    return layers.Flatten()(layers.LayerNormalization()(x))


@dataclasses.dataclass(frozen=True)
class Net:
    """What makes a net and its task; whether it normalizes features."""

    make: Callable
    task: Callable = digits
    has_norms: bool = False


NETS = {
    "SimpleRNN": Net(of_rows(lambda x: layers.SimpleRNN(32)(x))),
    "GRU": Net(of_rows(lambda x: layers.GRU(32)(x))),
    "LSTM": Net(of_rows(lambda x: layers.LSTM(32)(x))),
    "LSTM both ways": Net(
        of_rows(lambda x: layers.Bidirectional(layers.LSTM(16))(x))
    ),
    "Transformer": Net(of_rows(_block), has_norms=True),
    "GRU, words": Net(beyond_images.gru, words),
    "Transformer, words": Net(beyond_images.transformer, words, has_norms=True),
}


def trained(model, task, epochs, rate):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss)
    model.fit(*task.train, batch_size=64, epochs=epochs, verbose=0)
    return model


def quantized(model, task):
    """Yields what was done, and the model at each point."""
    copy = kure_tf.fake_quantize_model(model, "tflite")
    calibration = ptq.calibrate(copy, [task.calibration], progress=False)
    for point in POINTS:
        kure_tf.set_step_sizes(copy, ptq.lp_norm(calibration, point))
        kure_tf.set_operating_point(copy, point)
        yield point, copy
    aware = kure_tf.quantize_aware(
        model,
        "lsq",
        4,
        4,
        calibration=[task.calibration],
        placement="tflite",
        engine="native",
        verbose=False,
    )
    yield "4/4, LSQ", trained(aware, task, task.learned_epochs, 3e-4)


def exported(model, path, task, allow_float):
    """Returns what was measured of a file."""
    found = export.export_exact(
        model,
        path,
        [task.calibration],
        [task.test],
        kernels=("xnnpack", "builtin"),
        allow_float=allow_float,
        progress=False,
    )
    return {
        "model": found.keras_accuracy,
        "file": found.file_accuracy,
        "agreement": found.agreement,
        "codes": found.codes,
        "differing_codes": found.differing_codes,
        "bytes": found.file_size,
    }


def runs(folder, seeds):
    """Yields what was measured of each net, seed and point."""
    for name, net in NETS.items():
        task = net.task()
        for seed in range(seeds):
            keras.utils.set_random_seed(seed)
            model = trained(net.make(), task, task.epochs, task.rate)
            evaluate = kure_tf.evaluation.Evaluator([task.test])
            accuracy = evaluate(model)["accuracy"].value
            for point, copy in quantized(model, task):
                for allow_float in (False, True)[: 1 + net.has_norms]:
                    norms = ", norms in float" if allow_float else ""
                    stem = f"{name} {point}{norms}".replace("/", "")
                    stem = stem.replace(", ", "_").replace(" ", "_")
                    path = folder / f"{stem}.tflite"
                    yield {
                        "net": name,
                        "seed": seed,
                        "point": point + norms,
                        "float": accuracy,
                        **exported(copy, path, task, allow_float),
                    }


def table(found):
    """Returns a Markdown table: means over the seeds, and their deviation."""
    groups = collections.defaultdict(list)
    for one in found:
        groups[one["net"], one["point"]].append(one)
    lines = [
        "| Net | Point | Float | Model | File | Same class | Codes not as "
        "foretold | of | Bytes |",
        f"|{' --- |' * 9}",
    ]
    for names, group in groups.items():
        shares = [
            _percent([one[key] for one in group])
            for key in ("float", "model", "file", "agreement")
        ]
        sums = [
            f"{sum(one[key] for one in group):,}"
            for key in ("differing_codes", "codes")
        ]
        cells = *names, *shares, *sums, f"{group[-1]['bytes']:,}"
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _percent(values):
    return f"{100 * np.mean(values):.1f} +- {100 * np.std(values):.1f}"


def main(folder, seeds="3"):
    folder, found = pathlib.Path(folder), []
    folder.mkdir(parents=True, exist_ok=True)
    for one in runs(folder, int(seeds)):
        found.append(one)
        text = json.dumps(found, indent=1)
        (folder / "sequences.json").write_text(text, "utf-8")
        (folder / "sequences.md").write_text(table(found), "utf-8")
        print(one)


if __name__ == "__main__":
    main(*sys.argv[1:])
