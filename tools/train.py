"""Trains a model, with or without KURE or quantization in the loop.

python tools/train.py --model=small_cnn --dataset=digits \\
    --kurtosis_coefficient=1 --workdir=runs/kure

python tools/train.py --model=runs/kure/model.keras --epochs=5 \\
    --qat=lsq --qat_point=4/4 --workdir=runs/kure_w4a4

Keeps it as a .keras file. Killed and started again, it goes on after the last
whole epoch. --seeds=0,1,2 trains three times, each in a folder of its own, and
gives mean and standard deviation.

On several machines: the same command on each, with --distribution=multi_worker,
TF_CONFIG in the environment and a --workdir that all of them see.
"""

import dataclasses
import functools

import common_flags
import distribution_flag
import training_flags
from absl import flags

flags.adopt_module_key_flags(common_flags)
flags.adopt_module_key_flags(distribution_flag)
flags.adopt_module_key_flags(training_flags)


def main():
    from kure_tf import runs
    from kure_tf.training import is_chief

    recipe, seeds = training_flags.recipe(), training_flags.seeds()
    strategy = distribution_flag.strategy()
    options = {
        "kure": training_flags.kure(),
        "strategy": strategy,
        **training_flags.options(),
    }
    with common_flags.workdir(opens=is_chief(strategy)) as folder:
        dataset = training_flags.load_dataset()
        make_model = functools.partial(common_flags.load_model, dataset)
        if len(seeds) == 1:
            recipe = dataclasses.replace(recipe, seed=seeds[0])
            train = runs.train
            _, record = train(make_model, dataset, recipe, folder, **options)
            _print(folder, record)
            return
        records, summary = runs.train_seeds(
            make_model, dataset, recipe, folder, seeds=seeds, **options
        )
        for seed, record in zip(seeds, records, strict=True):
            _print(folder / f"seed{seed}", record)
        print(
            f"{folder / 'runs.json'}: {len(records)} runs, test "
            f"{_spread(summary)}."
        )


def _spread(summary):
    mean, deviation = summary["mean"], summary["standard_deviation"]
    if "accuracies" in summary:
        return f"accuracy {100 * mean:.2f} +- {100 * deviation:.2f} %"
    return f"loss {mean:.4g} +- {deviation:.2g}"


def _result(at, test):
    if "accuracy" in test:
        return f"accuracy{at} {100 * test['accuracy']:.2f} %"
    return f"loss{at} {test['loss']:.4g}"


def _print(folder, record):
    chosen = [
        kurtosis["after"]
        for path, kurtosis in record["kurtosis"].items()
        if path.rpartition("/")[0] in record["chosen_layers"]
    ]
    qat = record["run"]["qat"]
    at = f" at {qat['point']}" if qat else ""
    named = record["run"].get("metric")
    measured = f", {named} {record['test'][named]:.4g}" if named else ""
    print(
        f"{folder / 'model.keras'}: test {_result(at, record['test'])} on "
        f"{record['test']['images']} examples{measured}, mean kurtosis of "
        f"{len(chosen)} kernels {sum(chosen) / len(chosen):.2f}."
    )


if __name__ == "__main__":
    common_flags.run(main)
