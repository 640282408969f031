"""Writes a LiteRT file of a model, after verifying it on the test split.

python tools/export_tflite.py --model=runs/kure/model.keras \\
    --export=int8,dynamic_range --workdir=runs/export

Step sizes are the converter's own. A file that fails is not written.
"""

import common_flags
import export_flags
from absl import flags

flags.adopt_module_key_flags(common_flags)
flags.adopt_module_key_flags(export_flags)


def main():
    from kure_tf import runs

    with common_flags.workdir() as folder:
        dataset = common_flags.load_dataset()
        model = common_flags.load_model(dataset)
        modes = export_flags.EXPORT.value
        limits = export_flags.limits()
        for row in runs.export(model, dataset, folder, modes, **limits):
            details = row.details
            print(
                f"{folder / details['mode']}.tflite: "
                f"{details['file_size']:,} bytes, accuracy "
                f"{100 * row.value:.2f} % on {row.examples} {row.split} "
                "images, agreement with Keras "
                f"{100 * details['agreement']:.2f} %, accuracy drop "
                f"{100 * details['accuracy_drop']:.2f} points."
            )


if __name__ == "__main__":
    common_flags.run(main)
