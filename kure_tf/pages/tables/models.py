"""Tables about the models: kurtosis, exported files, provenance."""

import collections
import statistics

from kure_tf.pages import labels
from kure_tf.pages.tables.estimates import row_cell
from kure_tf.pages.tables.table import Cell, Table


def kurtosis_table(series) -> Table | None:
    """Returns the mean kurtosis over the layers that some run regularized."""
    layers = regularized_layers(series)
    if not layers:
        return None
    rows = []
    for one in series:
        before, after = mean_kurtosis(one, layers)
        if after is not None:
            texts = (one.name, _decimal(before), _decimal(after))
            rows.append(tuple(Cell(text) for text in texts))
    return Table(
        title="Mean kurtosis",
        header=("Run", "Before", "After"),
        rows=tuple(rows),
        caption=f"Mean over the {len(layers)} layers that were regularized "
        "in at least one run. 1.8 is uniform, 3 normal.",
    )


def regularized_layers(series) -> list[str]:
    """Returns the layers whose kurtosis some run regularized, in order."""
    runs = [run for one in series for run in one.runs]
    return [
        layer
        for layer in layers_of(series, "kurtosis")
        if any(run.kurtosis.get(layer, {}).get("regularized") for run in runs)
    ]


def layers_of(series, kind) -> list[str]:
    """Returns the layers with a "kurtosis" or "histograms", in order."""
    runs = (run for one in series for run in one.runs)
    return list(dict.fromkeys(x for run in runs for x in getattr(run, kind)))


def mean_kurtosis(one, layers) -> tuple[float | None, float | None]:
    """Returns the mean over `layers` and seeds before and after training."""
    means = []
    for when in ("before", "after"):
        values = [
            run.kurtosis[layer].get(when)
            for run in one.runs
            for layer in layers
            if layer in run.kurtosis
        ]
        values = [value for value in values if value is not None]
        means.append(statistics.fmean(values) if values else None)
    return tuple(means)


def tflite_table(series) -> Table | None:
    """Returns the exported files, from the rows whose sweep is "tflite"."""
    found = [pair for one in series for pair in one.rows_of("tflite")]
    if not found:
        return None
    metric = series[0].metric
    names = collections.Counter((title, _file(row)) for title, row in found)
    rows = tuple(
        _tflite_row(title, row, metric, names[title, _file(row)] > 1)
        for title, row in found
    )
    return Table(
        title="LiteRT files",
        header=(
            "Run",
            "File",
            f"{metric.heading} of the file{metric.in_percent}",
            f"{'Drop' if metric.higher_is_better else 'Rise'} from Keras"
            f"{metric.in_points}",
            "Same answer as Keras, %"
            if metric.is_accuracy
            else "Variance of Keras' answers that it has, %",
            "Codes not as foretold",
            "Size",
            "Latency, ms",
        ),
        rows=rows,
        caption="Each file was run in the LiteRT interpreter beside its Keras "
        "model, over the same examples; where its codes were foretold, all of "
        "them were compared. Latencies are medians of one example on one "
        f"thread, the files in turn. {metric.caption}",
        labels=2,
    )


def provenance_facts(series) -> dict[str, list[str]]:
    """Returns {what: one text per run}, of all runs; flags are left out."""
    facts = [_facts(run.provenance) for one in series for run in one.runs]
    names = dict.fromkeys(name for one in facts for name in one)
    return {name: [one.get(name, "-") for one in facts] for name in names}


def run_titles(series) -> list[str]:
    """Returns one name per run, with its seed where runs share the name."""
    return [one.title_of(run) for one in series for run in one.runs]


def flags_text(flags) -> str:
    """Returns the flags of a provenance, one per line."""
    if isinstance(flags, dict):
        return "\n".join(f"--{key}={_flag(v)}" for key, v in flags.items())
    if isinstance(flags, list):
        return "\n".join(str(flag) for flag in flags)
    return str(flags)


def _file(row):
    return labels.value(row.details.get("mode") or row.point).replace("_", " ")


def _tflite_row(title, row, metric, with_method):
    details = row.details
    method = f", {row.ptq}" if with_method and row.ptq else ""
    drop, agreement = details.get("accuracy_drop"), details.get("agreement")
    drop = details.get("loss_rise") if drop is None else drop
    size, latency = details.get("file_size"), details.get("latency_ms")
    return (
        Cell(title),
        Cell(f"{_file(row)}{method}"),
        row_cell(row),
        Cell("-" if drop is None else metric.difference(drop)),
        Cell("-" if agreement is None else f"{100 * agreement:.1f}"),
        Cell(_unforetold(details)),
        Cell(labels.size(size) if size else "-"),
        Cell("-" if latency is None else f"{latency:.3f}"),
    )


def _unforetold(details):
    """Returns how many output codes were not as foretold."""
    if "codes" not in details:
        return "-"
    return f"{details['differing_codes']:,} of {details['codes']:,}"


def _facts(provenance, prefix=""):
    """Returns a provenance as {words: text}; nested dictionaries unfolded."""
    facts = {}
    for key, thing in provenance.items():
        name = f"{prefix}{key}".replace("_", " ")
        if not prefix and key == "flags":
            continue
        if isinstance(thing, dict):
            facts |= _facts(thing, f"{name}: ")
        else:
            facts[name] = labels.value(thing)
    return facts


def _flag(thing):
    if isinstance(thing, list):
        return ",".join(str(item) for item in thing)
    return "" if thing is None else str(thing)


def _decimal(number):
    return "-" if number is None else f"{number:.2f}"
