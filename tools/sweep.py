"""Evaluates one model at many operating points and writes a report.

python tools/sweep.py --model=runs/kure/model.keras --workdir=runs/sweep

Killed and started again, it goes on after the last finished point.

--helpfull names --parity_points, too: the paper's reference code.

Several processes or machines share a sweep, each in a folder of its own:

python tools/sweep.py --shard=0/2 --workdir=runs/sweep0 ...
python tools/sweep.py --shard=1/2 --workdir=runs/sweep1 ...
python tools/report.py --reports=runs/sweep0,runs/sweep1 --workdir=runs/sweep
"""

import common_flags
import distribution_flag
import metric_flag
import parity_flag
import quantization_flags
from absl import flags

_NAME = flags.DEFINE_string("name", "model", "What the report calls it.")
_SHARD = flags.DEFINE_string(
    "shard",
    None,
    "Which part of the points to measure: 0/2 is the first of two. Points are "
    "dealt one by one. tools/report.py makes one report of all parts.",
)
flags.adopt_module_key_flags(common_flags)
flags.adopt_module_key_flags(distribution_flag)
flags.adopt_module_key_flags(metric_flag)
flags.adopt_module_key_flags(quantization_flags)


def main():
    from kure_tf import runs

    plans = quantization_flags.plans()
    also = parity_flag.parity()
    metric = metric_flag.metric()
    facts = common_flags.effective_flags()
    facts.pop("shard", None)
    with common_flags.workdir() as folder, distribution_flag.scope():
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
            provenance={"flags": facts},
            also=also,
            shard=_SHARD.value,
        )
        common_flags.print_report(report, page)


if __name__ == "__main__":
    common_flags.run(main)
