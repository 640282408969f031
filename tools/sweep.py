"""Evaluates one model at many operating points and writes a report.

python tools/sweep.py --model=runs/kure/model.keras --workdir=runs/sweep

Killed and started again, it goes on after the last finished point.
"""

import common_flags
import metric_flag
import quantization_flags
from absl import flags

_NAME = flags.DEFINE_string("name", "model", "What the report calls it.")
flags.adopt_module_key_flags(common_flags)
flags.adopt_module_key_flags(metric_flag)
flags.adopt_module_key_flags(quantization_flags)


def main():
    from kure_tf import runs

    plans = quantization_flags.plans()
    also = quantization_flags.parity()
    metric = metric_flag.metric()
    with common_flags.workdir() as folder:
        dataset = common_flags.load_dataset()
        model = common_flags.load_model(dataset)
        report, page = runs.sweep(
            model,
            dataset,
            plans,
            folder,
            name=_NAME.value,
            metric=metric,
            record=common_flags.training_record(model),
            provenance={"flags": common_flags.effective_flags()},
            also=also,
        )
        common_flags.print_report(report, page)


if __name__ == "__main__":
    common_flags.run(main)
