"""KURE beside images: a GRU and a Transformer on text, an MLP on numbers.

python examples/beyond_images.py FOLDER [SEEDS]

Text: which package of Python's standard library 32 words of source come from;
the last fifth of each file is for testing. Numbers: Friedman's first function
of ten inputs, with noise. Each net is trained in float, then fine-tuned with
and without KURE for as many epochs, and swept over the bits of its weights.
FOLDER gets `beyond_images.json` and `beyond_images.md`.
"""

import collections
import json
import pathlib
import re
import sys
import sysconfig

import numpy as np

import kure_tf
from kure_tf.compat import keras
from kure_tf.sweeps.provenance import weight_kurtosis

layers = keras.layers

PACKAGES = (
    *("asyncio", "concurrent", "ctypes", "email", "encodings", "html", "http"),
    *("importlib", "json", "logging", "multiprocessing", "unittest", "urllib"),
    *("wsgiref", "xml", "xmlrpc"),
)
WORDS, LENGTH = 4000, 32
# Lambda, and which layers have KURE: the first is a text model's embedding.
VARIANTS = (
    (0.0, "all_but_first"),
    (0.1, "all_but_first"),
    (1.0, "all_but_first"),
    (0.1, ("*",)),
    (1.0, ("*",)),
)
BITS = (8, 6, 4, 3, 2)
METHODS = ("minmax", "lp_norm")


def text():
    """Returns (ids, classes) to train with and to test with."""
    library = pathlib.Path(sysconfig.get_paths()["stdlib"])
    files = [
        (label, re.findall(r"[a-z]+", path.read_text("utf-8").lower()))
        for label, package in enumerate(PACKAGES)
        for path in sorted((library / package).rglob("*.py"))
    ]
    counts = collections.Counter(w for _, words in files for w in words)
    ids = {w: i + 1 for i, (w, _) in enumerate(counts.most_common(WORDS - 1))}
    parts = ([], []), ([], [])
    for label, words in files:
        for start in range(0, len(words) - LENGTH, LENGTH):
            testing = start >= 0.8 * len(words)
            found = [ids.get(w, 0) for w in words[start : start + LENGTH]]
            parts[testing][0].append(found)
            parts[testing][1].append(label)
    return [tuple(np.array(one, np.int32) for one in part) for part in parts]


def numbers():
    """Returns (inputs, values) to train with and to test with."""
    random = np.random.default_rng(0)
    x = random.random((12_000, 10)).astype(np.float32)
    y = 10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2
    y += 10 * x[:, 3] + 5 * x[:, 4] + random.normal(size=len(x))
    y = ((y - y.mean()) / y.std()).astype(np.float32)[:, np.newaxis]
    return (x[:10_000], y[:10_000]), (x[10_000:], y[10_000:])


def gru():
    ids = keras.Input((LENGTH,), dtype="int32")
    x = layers.GRU(64)(layers.Embedding(WORDS, 32)(ids))
    return keras.Model(ids, layers.Dense(len(PACKAGES))(x), name="gru")


def transformer():
    ids = keras.Input((LENGTH,), dtype="int32")
    x = layers.Embedding(WORDS, 64)(ids)
    for _ in range(2):
        y = layers.LayerNormalization()(x)
        x = layers.Add()([x, layers.MultiHeadAttention(4, 16)(y, y)])
        y = layers.Dense(128, "relu")(layers.LayerNormalization()(x))
        x = layers.Add()([x, layers.Dense(64)(y)])
    x = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x))
    outputs = layers.Dense(len(PACKAGES))(x)
    return keras.Model(ids, outputs, name="transformer")


def mlp():
    inputs = keras.Input((10,))
    x = layers.Dense(64, "relu")(inputs)
    x = layers.Dense(64, "relu")(layers.Dense(64, "relu")(x))
    return keras.Model(inputs, layers.Dense(1)(x), name="mlp")


# What makes a net, its data, its epochs in float and with KURE, its metric.
TASKS = (
    (gru, text, 3, 2, "accuracy"),
    (transformer, text, 3, 2, "accuracy"),
    (mlp, numbers, 10, 6, "mean_absolute_error"),
)


def trained(model, data, epochs, metric, rate):
    classes = metric == "accuracy"
    loss = keras.losses.MeanSquaredError()
    if classes:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss, metrics=[metric])
    model.fit(*data, batch_size=64, epochs=epochs, verbose=0)
    return model


def measured(model, train, test, metric):
    """Returns `{point and method: metric}` and the kurtosis of each kernel."""

    def evaluate(copy):
        loss, value = copy.evaluate(*test, batch_size=256, verbose=0)
        return {metric: value, "loss": loss}

    found = {}
    placement = kure_tf.fake_quantized.Placement(name="per tensor")
    quantized = kure_tf.fake_quantize_model(model, placement)
    for method in METHODS:
        report = kure_tf.run_sweep(
            quantized,
            ["FP/FP", *(f"{bits}/FP" for bits in BITS)],
            evaluate=evaluate,
            calibration=[train[0][:256]],
            ptq=method,
            examples=len(test[0]),
            higher_is_better=metric == "accuracy",
            progress=False,
        )
        for row in report.runs[0].rows:
            bits = str(row.point).removesuffix("/FP")
            found["FP" if row.ptq is None else f"W{bits} {method}"] = row.value
    return {"values": found, "kurtosis": weight_kurtosis(model)}


def runs(seeds):
    """Yields what was measured of each net, seed and coefficient."""
    for make, data, epochs, more, metric in TASKS:
        train, test = data()
        for seed in range(seeds):
            keras.utils.set_random_seed(seed)
            base = trained(make(), train, epochs, metric, 1e-3)
            for coefficient, chosen in VARIANTS:
                model = kure_tf.regularize_kurtosis(
                    base,
                    coefficient=coefficient,
                    layers=chosen,
                    verbose=False,
                )
                keras.utils.set_random_seed(seed)
                trained(model, train, more, metric, 3e-4)
                yield {
                    "net": make.__name__,
                    "seed": seed,
                    "kure": _name(coefficient, chosen),
                    "metric": metric,
                    **measured(model, train, test, metric),
                }


def _name(coefficient, chosen):
    if not coefficient:
        return "none"
    where = "all but the first" if chosen == "all_but_first" else "all"
    return f"{coefficient:g}, {where}"


def table(found):
    """Returns a Markdown table: means over the seeds, and their deviation."""
    groups = collections.defaultdict(list)
    for one in found:
        groups[one["net"], one["kure"], one["metric"]].append(one)
    keys = list(dict.fromkeys(key for one in found for key in one["values"]))
    lines = [
        f"| Net | KURE | {' | '.join(keys)} | Kurtosis, first / others |",
        f"|{' --- |' * (len(keys) + 3)}",
    ]
    for (net, kure, metric), group in groups.items():
        percent = metric == "accuracy"
        cells = [
            _cell([one["values"][key] for one in group], percent)
            for key in keys
        ]
        first, *others = np.mean(
            [list(one["kurtosis"].values()) for one in group], axis=0
        )
        lines.append(
            f"| {net}, {metric} | {kure} | {' | '.join(cells)} | "
            f"{first:.1f} / {np.mean(others):.1f} |"
        )
    return "\n".join(lines) + "\n"


def _cell(values, percent):
    if percent:
        values = [100 * value for value in values]
    digits = 1 if percent else 3
    mean = f"{np.mean(values):.{digits}f}"
    if len(values) == 1:  # Of one seed nothing deviates.
        return mean
    return f"{mean} +- {np.std(values):.{digits}f}"


def main(folder, seeds="3"):
    folder, found = pathlib.Path(folder), []
    folder.mkdir(parents=True, exist_ok=True)
    for one in runs(int(seeds)):
        found.append(one)
        text = json.dumps(found, indent=1)
        (folder / "beyond_images.json").write_text(text, "utf-8")
        (folder / "beyond_images.md").write_text(table(found), "utf-8")
        print(one["net"], one["seed"], one["kure"], one["values"])


if __name__ == "__main__":
    main(*sys.argv[1:])
