"""Writes LiteRT files of a model, each after verifying it on the test split.

python tools/export_tflite.py --model=runs/kure/model.keras \\
    --point='{8,4,2}/8' --point=4/4 --workdir=runs/export

writes a file for each operating point, with exactly the model's codes and with
answers that were foretold to the last bit, and a report with a table of them.
Killed and started again, it goes on after the last file. Without --point the
converter chooses the step sizes:

python tools/export_tflite.py --model=runs/kure/model.keras \\
    --export=converter_int8,dynamic_range --workdir=runs/export

A file that fails is not written.
"""

import common_flags
import export_flags
import metric_flag
import quantization_flags
from absl import flags

_POINT = flags.DEFINE_multi_string(
    "point",
    [],
    "Operating points without floats, or patterns such as '{8,4}/8' or "
    "'lp_norm + adaround: 2/8', to write exact files for; may be repeated. "
    "Steps come from --step_sizes, or --ptq ('trained' keeps those of a model "
    "from quantization-aware training).",
)
_SETTING = flags.DEFINE_multi_string(
    "setting",
    [],
    "Files of settings, as Setting.save writes them, to write exact files "
    "for; may be repeated.",
)
_CONTAINER = flags.DEFINE_enum(
    "container",
    "8",
    ["8", "4", "2"],
    "Bits that exact files give each code where they fit: 4 halves a file and "
    "costs time on a CPU, 2 is for dense layers only.",
)
_KERNELS = flags.DEFINE_list(
    "kernels",
    ["xnnpack"],
    "Whose rounding is foretold and run for exact files, one or several of "
    "xnnpack, builtin, reference. Accuracy is that of the first.",
)
_ALLOW_FLOAT = flags.DEFINE_bool(
    "allow_float",
    False,
    "Whether exact files leave layers that have no integer operator in float.",
)
_FILE_BATCH_SIZE = flags.DEFINE_integer(
    "file_batch_size",
    None,
    "Batch size fixed in exact files, which models with transposed "
    "convolutions need; default: any.",
    lower_bound=1,
)
_LABELS = flags.DEFINE_list(
    "labels", [], "Names of the classes, which exact files then carry."
)
_VELA = flags.DEFINE_string(
    "vela",
    None,
    "An NPU, such as ethos-u55-128, for which Arm's compiler Vela (pip install "
    "ethos-u-vela) says what it runs of each file.",
)
_NAME = flags.DEFINE_string("name", "model", "What the report calls it.")
flags.adopt_module_key_flags(common_flags)
flags.adopt_module_key_flags(export_flags)
flags.adopt_module_key_flags(metric_flag)
for _name in ("placement", "ptq", "step_sizes"):
    flags.declare_key_flag(_name)


def main():
    from kure_tf import runs
    from kure_tf.export.exact import check_exact_options
    from kure_tf.export.vela import vela_command

    if _VELA.value:
        vela_command()  # Raises before the work if it is not installed.
    check_exact_options(int(_CONTAINER.value), _KERNELS.value)
    metric = metric_flag.metric()
    with common_flags.workdir() as folder:
        dataset = common_flags.load_dataset()
        model = common_flags.load_model(dataset)
        if _POINT.value or _SETTING.value:
            rows = _exact(model, dataset, folder, metric).runs[0].rows
        else:
            modes = export_flags.EXPORT.value
            limits = {**export_flags.limits(), "metric": metric}
            rows = runs.export(model, dataset, folder, modes, **limits)
        for row in rows:
            _print(folder, row, metric)
            if _VELA.value:
                _print_vela(folder / row.details["file"])


def _exact(model, dataset, folder, metric):
    from kure_tf import runs
    from kure_tf.settings import Setting

    placement = quantization_flags.PLACEMENT.value
    if len(placement) > 1:
        raise ValueError(
            f"tools/export_tflite.py takes one --placement. Received: "
            f"{placement}."
        )
    name, method = quantization_flags.ptq_method()
    return runs.export_exact(
        model,
        dataset,
        folder,
        [*map(Setting.load, _SETTING.value), *_POINT.value],
        name,
        methods={name: method},
        placement=placement[0],
        container=int(_CONTAINER.value),
        kernels=_KERNELS.value,
        allow_float=_ALLOW_FLOAT.value,
        file_batch_size=_FILE_BATCH_SIZE.value,
        labels=_LABELS.value,
        metric=metric,
        name=_NAME.value,
        provenance={"flags": common_flags.effective_flags()},
    )


def _print(folder, row, metric):
    details = row.details
    measured = ""
    if metric is not None:
        value = details[metric.metric_name]
        measured = f"{metric.metric_name} {value:.4g}, "
    latency = (
        f", {details['latency_ms']:.3f} ms for one example on one thread"
        if "latency_ms" in details
        else ""
    )
    in_float = details.get("float_layers")
    if in_float:
        latency += f"; in float: {', '.join(in_float)}"
    found, beside = f"loss {row.value:.4g}", "loss of Keras "
    if details["accuracy_drop"] is None:
        beside += f"{details['keras_loss']:.4g}"
    else:
        found = f"accuracy {100 * row.value:.2f} %"
        beside = f"accuracy drop {100 * details['accuracy_drop']:.2f} points"
    print(
        f"{folder / details['file']}: {details['file_size']:,} bytes, "
        f"{found} on {row.examples} {row.split} examples, {measured}agreement "
        f"with Keras {100 * details['agreement']:.2f} %, {beside}{latency}."
    )


def _print_vela(path):
    from kure_tf.export import vela_report

    print(f"  {vela_report(path.read_bytes(), _VELA.value)}.")


if __name__ == "__main__":
    common_flags.run(main)
