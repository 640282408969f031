"""Trains a model, with or without KURE, and keeps it as a .keras file.

python tools/train.py --model=small_cnn --dataset=digits \\
    --kurtosis_coefficient=1 --workdir=runs/kure

Killed and started again, it goes on after the last whole epoch.
"""

import sys

import common_flags
import training_flags
from absl import flags

flags.adopt_module_key_flags(common_flags)
flags.adopt_module_key_flags(training_flags)


def main():
    folder = common_flags.workdir("train")
    dataset = common_flags.load_dataset()
    _, record = training_flags.train(
        dataset,
        folder,
        coefficient=training_flags.KURTOSIS_COEFFICIENT.value,
        seed=training_flags.SEED.value,
    )
    chosen = [
        kurtosis["after"]
        for path, kurtosis in record["kurtosis"].items()
        if path.rpartition("/")[0] in record["chosen_layers"]
    ]
    print(
        f"{folder / 'model.keras'}: test accuracy "
        f"{100 * record['test']['accuracy']:.2f} % on "
        f"{record['test']['images']} images, mean kurtosis of "
        f"{len(chosen)} kernels {sum(chosen) / len(chosen):.2f}."
    )
    sys.stdout.flush()


if __name__ == "__main__":
    common_flags.run(main)
