"""Writes one .kure file of which a device makes its files of all bit-widths.

python tools/export_artifact.py --model=runs/kure/model.keras \\
    --bits=8,6,4,3,2 --workdir=runs/artifact

finds 8-bit codes whose coarse readings are good at every width and packs them.
Each .tflite file that the artifact makes is compared with the exact writer's
and run over the whole test split, before anything is written: model.kure, and
model.json with accuracy and bytes of each width. A device then runs

python -m kure_materialize model.kure --bits=3
"""

import common_flags
import quantization_flags
from absl import flags
from fields import Fields

_SEARCH = Fields("kure_tf.runs.nested_search.NestedSearch")
_SETTING = flags.DEFINE_multi_string(
    "setting",
    [],
    "Files of nested settings, as Setting.save writes them, to pack in place "
    "of a search; may be repeated.",
)
_CONTAINERS = flags.DEFINE_list(
    "containers", ["8", "4"], "Bits that files give each code where they fit."
)
_KERNELS = flags.DEFINE_list(
    "kernels",
    ["xnnpack"],
    "Whose rounding is foretold and run, one or several of xnnpack, builtin, "
    "reference. Accuracy is that of the first.",
)
_ALLOW_FLOAT = flags.DEFINE_bool(
    "allow_float",
    False,
    "Whether layers that have no integer operator stay in float.",
)
_FILE_BATCH_SIZE = flags.DEFINE_integer(
    "file_batch_size",
    None,
    "Batch size fixed in the files, which models with transposed convolutions "
    "need; default: any.",
    lower_bound=1,
)
_LABELS = flags.DEFINE_list("labels", [], "Names of the classes.")
_EXAMPLE_IMAGES = flags.DEFINE_integer(
    "example_images",
    0,
    "How many test images to write to images.npz, for examples/battery.py.",
    lower_bound=0,
)
flags.register_validator(
    "containers",
    lambda containers: "8" in containers and set(containers) <= set("842"),
    "Expected containers of 8, 4 or 2 bits, separated by commas, with 8.",
)
flags.adopt_module_key_flags(common_flags)
flags.declare_key_flag("placement")


def main():
    from kure_tf import runs

    placement = quantization_flags.PLACEMENT.value
    if len(placement) > 1:
        raise ValueError(
            f"tools/export_artifact.py takes one --placement. Received: "
            f"{placement}."
        )
    search = _SEARCH.made()
    with common_flags.workdir() as folder:
        dataset = common_flags.load_dataset()
        result = runs.export_artifact(
            common_flags.load_model(dataset),
            dataset,
            folder,
            _given
            if _SETTING.value
            else search.on(dataset, journal=folder / "nested_rounding.npz"),
            placement=placement[0],
            containers=tuple(map(int, _CONTAINERS.value)),
            kernels=_KERNELS.value,
            allow_float=_ALLOW_FLOAT.value,
            file_batch_size=_FILE_BATCH_SIZE.value,
            labels=_LABELS.value,
            example_images=_EXAMPLE_IMAGES.value,
            provenance={"flags": common_flags.effective_flags()},
        )
        _print(folder, result)


def _given(calibration):
    from kure_tf.settings import Setting

    return [*map(Setting.load, _SETTING.value)]


def _print(folder, result):
    for file in result["files"]:
        if file["loss"] is None:
            found = f"accuracy {file['accuracy']:.2%}"
        else:
            found = f"loss {file['loss']:.4g} (Keras {file['keras_loss']:.4g})"
        print(
            f"{file['bits']} bits, int{file['container']}: {file['bytes']:,} "
            f"bytes, {found} on {file['examples']} examples, "
            f"{file['differing_codes']} of {file['codes']:,} codes not as "
            "foretold."
        )
    sizes = result["artifact"]
    print(
        f"{folder / 'model.kure'}: {sizes['bytes']:,} bytes for all of them, "
        f"{sizes['bytes'] / sizes['bytes_of_8_bits']:.2f} times the 8-bit file."
    )


if __name__ == "__main__":
    common_flags.run(main)
