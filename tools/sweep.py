"""Evaluates one model at many operating points and writes a report.

python tools/sweep.py --model=runs/kure/model.keras --workdir=runs/sweep

Killed and started again, it goes on after the last finished point.
"""

import json
import pathlib

import common_flags
import quantization_flags
from absl import flags

_NAME = flags.DEFINE_string("name", "model", "What the report calls it.")
flags.adopt_module_key_flags(common_flags)
flags.adopt_module_key_flags(quantization_flags)


def main():
    folder = common_flags.workdir("sweep")
    dataset = common_flags.load_dataset()
    model = common_flags.load_model(dataset)
    report = quantization_flags.sweep(
        model,
        dataset,
        folder,
        name=_NAME.value,
        record=_record(model),
    )
    page = report.save(folder)
    print(report.to_markdown())
    print(f"Page: {page.resolve().as_uri()}")


def _record(model):
    """Returns what tools/train.py noted beside the model, if it is of it."""
    from kure_tf.sweeps import array_hash

    path = pathlib.Path(common_flags.MODEL.value).parent / "training.json"
    if not path.is_file():
        return None
    record = json.loads(path.read_text())
    of_model = record.get("checkpoint_hash") == array_hash(model)
    return record if of_model else None


if __name__ == "__main__":
    common_flags.run(main)
