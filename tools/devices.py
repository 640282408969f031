"""Says on which classes of devices a model stays within an accuracy budget.

python tools/devices.py --model=runs/kure/model.keras --workdir=runs/devices

Killed and started again, it goes on after the last finished device.
"""

import sys

import common_flags
import distribution_flag
import evaluation_flags
from absl import flags

_PROFILES = flags.DEFINE_list(
    "profiles",
    ["builtin"],
    "Devices: 'builtin', names of built-in ones, .json files of your own; "
    "kure_tf/sweeps/device_profiles.json is an example.",
)
_BUDGET = flags.DEFINE_float(
    "budget", 0.01, "Accuracy that may be lost against float, as a fraction."
)
_PTQ = flags.DEFINE_string(
    "ptq", "lp_norm", "PTQ method of the devices that name none."
)
_NAME = flags.DEFINE_string("name", "model", "What the report calls it.")
_REQUIRE_PASS = flags.DEFINE_bool(
    "require_pass", False, "Exit with 1 if a device is beyond the budget."
)
flags.adopt_module_key_flags(common_flags)
flags.adopt_module_key_flags(distribution_flag)
flags.adopt_module_key_flags(evaluation_flags)


def main():
    from kure_tf.pages import save_report
    from kure_tf.sweeps import check_devices, device_profiles

    profiles = device_profiles(_PROFILES.value)
    evaluation = evaluation_flags.values()
    with common_flags.workdir() as folder, distribution_flag.scope():
        dataset = common_flags.load_dataset()
        model = common_flags.load_model(dataset)
        record = common_flags.training_record(model)
        recipe = record["run"]["recipe"] if record else {}
        if evaluation["batch_norm_augment"] is None:
            evaluation["batch_norm_augment"] = recipe.get("augment", ())
        report = check_devices(
            model,
            dataset,
            profiles,
            name=_NAME.value,
            budget=_BUDGET.value,
            ptq=_PTQ.value,
            **evaluation,
            folder=folder,
            provenance={
                "seed": recipe.get("seed"),
                "flags": common_flags.effective_flags(),
            },
        )
        common_flags.print_report(report, save_report(report, folder))
    failed = [
        row.details["device"]
        for row in report.runs[0].rows
        if not row.details.get("passed", True)
    ]
    if failed and _REQUIRE_PASS.value:
        print(f"Beyond the budget: {', '.join(failed)}.", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    common_flags.run(main)
