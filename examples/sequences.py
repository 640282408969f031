"""Recurrent nets as exact files: the digits, read row by row.

python examples/sequences.py FOLDER [SEEDS]

Each net reads the eight rows of a digit as time steps. It is trained in float
and quantized: kernels, inputs and the state that each step multiplies, those of
the dense layers at both ends to 8 bits. Each point becomes a LiteRT file of
exactly these codes, of which every answer to a test image has to be the
foretold one. FOLDER gets `sequences.json`, `sequences.md` and the files of the
last seed.
"""

import collections
import json
import pathlib
import sys

import numpy as np

import kure_tf
from kure_tf import data, export, ptq
from kure_tf.compat import keras

layers = keras.layers

NETS = {
    "SimpleRNN": lambda: layers.SimpleRNN(32),
    "GRU": lambda: layers.GRU(32),
    "LSTM": lambda: layers.LSTM(32),
    "LSTM both ways": lambda: layers.Bidirectional(layers.LSTM(16)),
}
POINTS = ("8/8", "4/8", "4/4")
EPOCHS, LEARNED_EPOCHS = 30, 10


def net(recurrent):
    inputs = keras.Input((8, 8, 1))
    rows = layers.Dense(32, "relu")(layers.Reshape((8, 8))(inputs))
    return keras.Model(inputs, layers.Dense(10)(recurrent(rows)))


def trained(model, digits, epochs, rate):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss)
    model.fit(*digits.train.arrays(), batch_size=64, epochs=epochs, verbose=0)
    return model


def quantized(model, digits):
    """Yields what was done, and the model at each point."""
    copy = kure_tf.fake_quantize_model(model, "tflite")
    calibration = ptq.calibrate(
        copy, digits.calibration.batches(128), progress=False
    )
    for point in POINTS:
        kure_tf.set_step_sizes(copy, ptq.lp_norm(calibration, point))
        kure_tf.set_operating_point(copy, point)
        yield point, copy
    aware = kure_tf.quantize_aware(
        model,
        "lsq",
        4,
        4,
        calibration=digits.calibration.batches(128),
        placement="tflite",
        engine="native",
        verbose=False,
    )
    yield "4/4, LSQ", trained(aware, digits, LEARNED_EPOCHS, 3e-4)


def runs(folder, seeds):
    """Yields what was measured of each net, seed and point."""
    digits = data.digits()
    for name, make in NETS.items():
        for seed in range(seeds):
            keras.utils.set_random_seed(seed)
            model = trained(net(make()), digits, EPOCHS, 3e-3)
            evaluate = kure_tf.evaluation.Evaluator(digits.test)
            accuracy = evaluate(model)["accuracy"].value
            for point, copy in quantized(model, digits):
                stem = f"{name} {point}".replace(" ", "_").replace("/", "")
                found = export.export_exact(
                    copy,
                    folder / f"{stem.replace(',', '')}.tflite",
                    digits.calibration,
                    digits.test,
                    kernels=("xnnpack", "builtin"),
                    progress=False,
                )
                yield {
                    "net": name,
                    "seed": seed,
                    "point": point,
                    "float": accuracy,
                    "model": found.keras_accuracy,
                    "file": found.file_accuracy,
                    "agreement": found.agreement,
                    "codes": found.codes,
                    "differing_codes": found.differing_codes,
                    "bytes": found.file_size,
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
