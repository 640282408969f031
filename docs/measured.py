"""Tables of measured accuracies, read from the reports under results/."""

import json
import pathlib
import re
import statistics

_ROOT = pathlib.Path(__file__).parents[1]
_BITS = re.compile(r"[2-8]/(FP|[2-8])( (full|floor|pow2|pow2-up))?")


def accuracies(folder, method):
    """Returns a report's accuracies of one method as a table in Markdown.

    Args:
        folder: Below `results`, with a report.json.
        method: The "ptq" of its rows.
    """
    path = _ROOT / "results" / folder / "report.json"
    report = json.loads(path.read_text(encoding="utf-8"))
    runs, seeds = _runs(report["runs"], method), {}
    for run in report["runs"]:
        seeds[run["name"]] = seeds.get(run["name"], 0) + 1
    keys = list(dict.fromkeys(key for run in runs.values() for key in run))
    rows = "".join(
        f"| {_label(*key)} | "
        + " | ".join(_text(run.get(key)) for run in runs.values())
        + " |\n"
        for key in keys
    )
    facts = report["runs"][0]["provenance"]
    return (
        f"| Point | {' | '.join(runs)} |\n|---|{'---:|' * len(runs)}\n{rows}\n"
        f"{facts['model']} on {facts['data_set']}, top-1 accuracy in % on "
        f"{facts['images']:,} images of the split {facts['split']}"
        f"{_of_seeds(max(seeds.values()))}. From `results/{folder}`.\n"
    )


def _runs(runs, method):
    """Returns `{run: {(point, re-estimated): [accuracy of each seed]}}`."""
    found = {}
    for run in runs:
        here = found.setdefault(run["name"], {})
        for row in run["rows"]:
            if _wanted(row, method):
                key = row["point"], row["reestimated_batch_norm"]
                here.setdefault(key, []).append(row["value"])
    return found


def _wanted(row, method):
    if row["placement"] not in ("paper", "qat") or row["layer"]:
        return False
    if row["point"] == "FP/FP":
        return not row["reestimated_batch_norm"]
    return row["ptq"] == method and _BITS.fullmatch(row["point"])


def _label(point, reestimated):
    if point == "FP/FP":
        return "float"
    return f"`{point}`" + ", batch norm re-estimated" * reestimated


def _text(values):
    return f"{100 * statistics.fmean(values):.1f}" if values else ""


def _of_seeds(count):
    return f", mean of {count} seeds" if count > 1 else ""


def nested():
    """Returns what the files of one artifact reach, as a table in Markdown."""
    rows, widths = "", ()
    for path in sorted((_ROOT / "results" / "artifact").glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        found = {
            one["bits"]: one["accuracy"]
            for one in content["files"]
            if one["activation_bits"] == 8
        }
        if not found:
            continue
        widths = widths if len(widths) > len(found) else tuple(found)
        rows += f"| `{path.stem}` | " + " | ".join(
            _text([found[bits]] if bits in found else []) for bits in widths
        )
        rows += " |\n"
    header = " | ".join(f"W{bits}" for bits in widths)
    return (
        f"| Artifact | {header} |\n|---|{'---:|' * len(widths)}\n{rows}\n"
        "Top-1 accuracy in % of LiteRT files, activations at 8 bits, 10,000 "
        "test images of CIFAR-10, one draw. From `results/artifact`.\n"
    )
