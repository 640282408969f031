"""Finds step sizes on calibration examples and writes step_sizes.json.

python tools/calibrate.py --model=runs/kure/model.keras --point=4/8 \\
    --ptq=lp_norm --workdir=runs/calibration

tools/sweep.py --step_sizes=runs/calibration/step_sizes.json uses them.
"""

import common_flags
import distribution_flag
import evaluation_flags
import quantization_flags
from absl import flags

_POINT = flags.DEFINE_string(
    "point", "8/8", "Operating point to calibrate for, such as 4/8 or 4/FP."
)
flags.adopt_module_key_flags(common_flags)
flags.adopt_module_key_flags(distribution_flag)
for _flag in (
    "placement",
    "ptq",
    "calibration_augment",
    "evaluation_batch_size",
):
    flags.declare_key_flag(_flag)


def main():
    from kure_tf import OperatingPoint, runs

    point = OperatingPoint.parse(_POINT.value)
    if len(quantization_flags.PLACEMENT.value) > 1:
        raise ValueError(
            "tools/calibrate.py takes one --placement. Received: "
            f"{quantization_flags.PLACEMENT.value}."
        )
    (placement,) = quantization_flags.PLACEMENT.value
    name, method = quantization_flags.ptq_method()
    if method is None:
        raise ValueError(
            "tools/calibrate.py finds step sizes; --ptq=trained keeps those "
            "that a model has. Name a method that finds some: --ptq=lp_norm."
        )
    with common_flags.workdir() as folder, distribution_flag.scope():
        dataset = common_flags.load_dataset()
        step_sizes = runs.calibrate(
            common_flags.load_model(dataset),
            dataset,
            method,
            point,
            folder,
            placement=placement,
            batch_size=evaluation_flags.values()["batch_size"],
            augment=quantization_flags.calibration_augment(),
            provenance={"seed": common_flags.CALIBRATION_SEED.value},
        )
        print(
            f"{folder / 'step_sizes.json'}: {len(step_sizes.tensors)} tensors, "
            f"{name} at {point}, {step_sizes.provenance['images']} examples."
        )


if __name__ == "__main__":
    common_flags.run(main)
