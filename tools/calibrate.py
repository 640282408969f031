"""Finds step sizes on calibration images and writes step_sizes.json.

python tools/calibrate.py --model=runs/kure/model.keras --point=4/8 \\
    --ptq=lp_norm --workdir=runs/calibration

tools/sweep.py --step_sizes=runs/calibration/step_sizes.json uses them.
"""

import common_flags
import evaluation_flags
import quantization_flags
from absl import flags

_POINT = flags.DEFINE_string(
    "point", "8/8", "Operating point to calibrate for, such as 4/8 or 4/FP."
)
flags.adopt_module_key_flags(common_flags)
flags.adopt_module_key_flags(quantization_flags)


def main():
    from kure_tf import OperatingPoint, fake_quantize_model, ptq
    from kure_tf.fake_quantized import quantizers_of
    from kure_tf.sweeps.augmented_batches import augmented_batches

    folder = common_flags.workdir("calibrate")
    point = OperatingPoint.parse(_POINT.value)
    if len(quantization_flags.SCHEME.value) > 1:
        raise ValueError(
            "tools/calibrate.py takes one --scheme. Received: "
            f"{quantization_flags.SCHEME.value}."
        )
    (scheme,) = quantization_flags.SCHEME.value
    methods = quantization_flags.ptq_methods()
    name, method = list(methods.items())[-1]
    if method is None:
        raise ValueError(
            "tools/calibrate.py finds step sizes; --ptq=trained keeps those "
            "that a model has. Name a method that finds some: --ptq=lp_norm."
        )
    dataset = common_flags.load_dataset()
    model = common_flags.load_model(dataset)
    if not quantizers_of(model):
        model = fake_quantize_model(model, scheme, verbose=True)
    augment = quantization_flags.CALIBRATION_AUGMENT.value
    calibration = ptq.calibrate(
        model,
        augmented_batches(
            dataset.calibration,
            evaluation_flags.EVALUATION_BATCH_SIZE.value,
            augment=augment,
        ),
        provenance={
            "data_set": dataset.name,
            "source": dataset.calibration.name,
            "seed": common_flags.CALIBRATION_SEED.value,
            "scheme": scheme,
            "point": str(point),
            **({"augment": augment} if augment else {}),
        },
    )
    step_sizes = method(calibration, point)
    step_sizes.save(folder / "step_sizes.json")
    print(
        f"{folder / 'step_sizes.json'}: {len(step_sizes.tensors)} tensors, "
        f"{name} at {point}, {calibration.provenance['images']} images."
    )


if __name__ == "__main__":
    common_flags.run(main)
