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

_BITS = flags.DEFINE_list(
    "bits", ["8", "6", "4", "3", "2"], "Bits of the weights, 8 among them."
)
_ACTIVATION_BITS = flags.DEFINE_list(
    "activation_bits",
    ["8"],
    "Bits of the activations; several give each width with each of them. The "
    "search is made at the first.",
)
_IMAGES = flags.DEFINE_integer(
    "images", 512, "Training images of the search.", lower_bound=2
)
_SEED = flags.DEFINE_integer(
    "seed", 0, "Of their draw and augmentation.", lower_bound=0
)
_AUGMENT = flags.DEFINE_list(
    "augment",
    [],
    "How they are augmented, as in training: flip, shift, shift=2, ...",
)
_READING = flags.DEFINE_enum(
    "reading",
    "even",
    ["even", "middle", "truncate"],
    "How the device reads the codes at fewer bits: rounded with ties to even, "
    "to the middle of what truncation leaves, or truncated.",
)
_NEAREST = flags.DEFINE_bool(
    "nearest", False, "Whether to take the nearest codes, without a search."
)
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
    "bits",
    lambda bits: bool(bits) and set(bits) <= set("2345678"),
    "Expected bits of 2 to 8, separated by commas, such as 8,4,2.",
)
flags.register_validator(
    "activation_bits",
    lambda bits: bool(bits) and set(bits) <= set("2345678"),
    "Expected bits of 2 to 8, separated by commas, such as 8,4.",
)
flags.register_validator(
    "containers",
    lambda containers: "8" in containers and set(containers) <= set("842"),
    "Expected containers of 8, 4 or 2 bits, separated by commas, with 8.",
)
flags.adopt_module_key_flags(common_flags)
flags.declare_key_flag("scheme")


def main():
    from kure_tf import runs

    scheme = quantization_flags.SCHEME.value
    if len(scheme) > 1:
        raise ValueError(
            f"tools/export_artifact.py takes one --scheme. Received: {scheme}."
        )
    with common_flags.workdir() as folder:
        dataset = common_flags.load_dataset()
        result = runs.export_artifact(
            common_flags.load_model(dataset),
            dataset,
            folder,
            _given if _SETTING.value else _search(dataset, folder),
            scheme=scheme[0],
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


def _search(dataset, folder):
    from kure_tf import runs

    return runs.nested_search(
        dataset,
        bits=tuple(map(int, _BITS.value)),
        activation_bits=tuple(map(int, _ACTIVATION_BITS.value)),
        reading=_READING.value,
        nearest=_NEAREST.value,
        images=_IMAGES.value,
        seed=_SEED.value,
        augment=tuple(_AUGMENT.value),
        journal=folder / "nested_rounding.npz",
    )


def _print(folder, result):
    for file in result["files"]:
        print(
            f"{file['bits']} bits, int{file['container']}: {file['bytes']:,} "
            f"bytes, accuracy {file['accuracy']:.2%} on {file['examples']} "
            f"images, {file['differing_codes']} of {file['codes']:,} codes not "
            "as foretold."
        )
    sizes = result["artifact"]
    print(
        f"{folder / 'model.kure'}: {sizes['bytes']:,} bytes for all of them, "
        f"{sizes['bytes'] / sizes['bytes_of_8_bits']:.2f} times the 8-bit file."
    )


if __name__ == "__main__":
    common_flags.run(main)
