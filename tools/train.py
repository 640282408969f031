"""Trains a model, with or without KURE or quantization in the loop.

python tools/train.py --model=small_cnn --dataset=digits \\
    --kurtosis_coefficient=1 --workdir=runs/kure

python tools/train.py --model=runs/kure/model.keras --epochs=5 \\
    --qat=lsq --weight_bits=4 --activation_bits=4 --workdir=runs/kure_w4a4

Keeps it as a .keras file. Killed and started again, it goes on after the last
whole epoch.
"""

import statistics
import sys

import common_flags
import training_flags
from absl import flags

_RUNS = flags.DEFINE_integer(
    "runs",
    1,
    "Repeat with as many seeds, counted from --seed, each in a folder of its "
    "own, and report mean and standard deviation.",
    lower_bound=1,
)
flags.adopt_module_key_flags(common_flags)
flags.adopt_module_key_flags(training_flags)


def main():
    folder = common_flags.workdir("train")
    dataset = common_flags.load_dataset()
    first, runs = training_flags.SEED.value, _RUNS.value
    records = []
    for seed in range(first, first + runs):
        part = folder if runs == 1 else folder / f"seed{seed}"
        part.mkdir(exist_ok=True)
        _, record = training_flags.train(
            dataset,
            part,
            coefficient=training_flags.KURTOSIS_COEFFICIENT.value,
            seed=seed,
        )
        records.append(record)
        _print_one(part, record)
    if runs > 1:
        _report_all(folder, records)
    sys.stdout.flush()


def _print_one(folder, record):
    chosen = [
        kurtosis["after"]
        for path, kurtosis in record["kurtosis"].items()
        if path.rpartition("/")[0] in record["chosen_layers"]
    ]
    at = f" at {record['qat']['point']}" if record["qat"] else ""
    print(
        f"{folder / 'model.keras'}: test accuracy{at} "
        f"{100 * record['test']['accuracy']:.2f} % on "
        f"{record['test']['images']} images, mean kurtosis of "
        f"{len(chosen)} kernels {sum(chosen) / len(chosen):.2f}."
    )


def _report_all(folder, records):
    accuracies = [record["test"]["accuracy"] for record in records]
    summary = {
        "seeds": [record["seed"] for record in records],
        "accuracies": accuracies,
        "mean": statistics.mean(accuracies),
        "standard_deviation": statistics.stdev(accuracies),
        "images": records[0]["test"]["images"],
        "split": "test",
    }
    common_flags.write_json(folder / "runs.json", summary)
    print(
        f"{folder / 'runs.json'}: {len(records)} runs, test accuracy "
        f"{100 * summary['mean']:.2f} +- "
        f"{100 * summary['standard_deviation']:.2f} %."
    )


if __name__ == "__main__":
    common_flags.run(main)
