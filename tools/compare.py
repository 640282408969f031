"""Trains a model without and with KURE and reports both, side by side.

python tools/compare.py --flagfile=configs/digits/demo.cfg

The whole chain for one flagfile: train twice with equal epochs and seed, sweep
bits and step sizes, export to LiteRT and verify, write one report. Killed and
started again, it goes on where it was.
"""

import functools

import common_flags
import distribution_flag
import export_flags
import parity_flag
import quantization_flags
import training_flags
from absl import flags

_NOTES = flags.DEFINE_multi_string("note", [], "What the report must say.")
_TITLE = flags.DEFINE_string("title", None, "Title of the report.")
flags.adopt_module_key_flags(common_flags)
flags.adopt_module_key_flags(distribution_flag)
flags.adopt_module_key_flags(training_flags)
flags.adopt_module_key_flags(parity_flag)
flags.adopt_module_key_flags(quantization_flags)
flags.adopt_module_key_flags(export_flags)


def main():
    from kure_tf import runs

    seeds = training_flags.seeds()
    recipe, kure = training_flags.recipe(), training_flags.kure()
    train_options = training_flags.options()
    plans = quantization_flags.plans()
    measure_options = {
        "also": parity_flag.parity(),
        "metric": train_options["metric"],
        "provenance": {"flags": common_flags.effective_flags()},
    }
    with common_flags.workdir() as folder, distribution_flag.scope():
        dataset = training_flags.load_dataset()
        report, page = runs.compare(
            functools.partial(common_flags.load_model, dataset),
            dataset,
            recipe,
            folder,
            plans,
            kure=kure,
            seeds=seeds,
            modes=export_flags.EXPORT.value,
            title=_TITLE.value,
            notes=_NOTES.value,
            train_options=train_options,
            measure_options=measure_options,
            export_options={
                **export_flags.limits(),
                "metric": train_options["metric"],
            },
        )
        common_flags.print_report(report, page)


if __name__ == "__main__":
    common_flags.run(main)
