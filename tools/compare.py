"""Trains a model without and with KURE and reports both, side by side.

python tools/compare.py --flagfile=configs/digits/demo.cfg

The whole chain for one flagfile: train twice with equal epochs and seed, sweep
bits and step sizes, export to LiteRT and verify, write one report. Killed and
started again, it goes on where it was.
"""

import common_flags
import export_flags
import quantization_flags
import training_flags
from absl import flags

_SEEDS = flags.DEFINE_list(
    "seeds", None, "Repeat everything with these seeds; default: --seed."
)
_NOTES = flags.DEFINE_multi_string("note", [], "What the report must say.")
_TITLE = flags.DEFINE_string("title", None, "Title of the report.")
flags.adopt_module_key_flags(common_flags)
flags.adopt_module_key_flags(training_flags)
flags.adopt_module_key_flags(quantization_flags)
flags.adopt_module_key_flags(export_flags)


def main():
    import dataclasses

    from kure_tf.measurements import Report
    from kure_tf.pages import save_report, to_markdown

    folder = common_flags.workdir("compare")
    coefficient = training_flags.KURTOSIS_COEFFICIENT.value
    if not coefficient:
        raise ValueError(
            "tools/compare.py trains without and with KURE and needs "
            "--kurtosis_coefficient above 0, such as 1."
        )
    for scheme in quantization_flags.SCHEME.value:
        quantization_flags.plan(scheme)  # Wrong flags fail before training.
    seeds = _seeds()
    dataset = common_flags.load_dataset()
    runs = []
    for seed in seeds:
        for name, kure in (("no regularization", 0.0), ("KURE", coefficient)):
            part = folder / f"{name.replace(' ', '_')}_seed{seed}".lower()
            model, record = training_flags.train(
                dataset, part, coefficient=kure, seed=seed
            )
            report = quantization_flags.sweep(
                model, dataset, part, name=name, record=record
            )
            (run,) = report.runs
            exported = export_flags.export(model, dataset, part, name=name)
            runs.append(dataclasses.replace(run, rows=(*run.rows, *exported)))
    report = Report(
        runs=tuple(runs),
        title=_TITLE.value
        or f"{common_flags.MODEL.value} on {dataset.name}, with and without "
        "KURE",
        notes=(*dataset.notes, *_NOTES.value),
    )
    page = save_report(report, folder)
    print(to_markdown(report))
    print(f"Page: {page.resolve().as_uri()}")


def _seeds():
    seeds = _SEEDS.value or [str(training_flags.SEED.value)]
    if not all(seed.isdecimal() for seed in seeds):
        raise ValueError(
            "Expected --seeds to be whole numbers, such as 0,1,2. Received: "
            f"{seeds}."
        )
    return [int(seed) for seed in seeds]


if __name__ == "__main__":
    common_flags.run(main)
