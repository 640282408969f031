"""Exporting a model at operating points to files of exactly its codes."""

import dataclasses
import functools
import pathlib

from kure_tf import export, ptq
from kure_tf.data import Dataset
from kure_tf.evaluation.latency import latencies
from kure_tf.export.exact import check_exact_options
from kure_tf.fake_quantized import (
    apply,
    fake_quantize_model,
    keeping,
    quantized_share,
    quantizers_of,
)
from kure_tf.fake_quantized import placement as placements
from kure_tf.files import jsonable, sha256_of
from kure_tf.measurements import Report, Row, Run
from kure_tf.pages import save_report
from kure_tf.runs.exact_request import check_points, check_same, request_of
from kure_tf.runs.file_metadata import file_metadata
from kure_tf.runs.file_metric import file_fields, with_metric
from kure_tf.runs.file_settings import file_settings
from kure_tf.sweeps.provenance import measurement_facts
from kure_tf.sweeps.robustness import finished_rows

_BATCH_SIZE = 128


def export_exact(
    model,
    dataset,
    folder,
    points,
    method="lp_norm",
    *,
    methods=None,
    placement="tflite",
    container=8,
    kernels="xnnpack",
    allow_float=False,
    file_batch_size=None,
    labels=(),
    metric=None,
    name="model",
    provenance=None,
    progress=True,
):
    """Writes a LiteRT file for each operating point, each after verifying it.

    Killed and called again, it goes on after the last file that was written.
    Files that are there are kept if they were asked for with the same values;
    else the folder is refused. What cannot be written is refused before the
    first file.

    Args:
        model: A built float model; or one that has quantizers already, which
            keeps its placement.
        dataset: The `Dataset` with calibration images and test split.
        folder: Gets <point>.tflite and <point>.json for each point, such as
            4_8.tflite, and the report with its pages: a table of all files.
        points: Patterns of points without floats, such as "{8,4}/8" or
            "lp_norm + adaround: 2/8" (see `sweeps.planned`); or `Setting`s,
            which bring all that they need.
        method: The PTQ method of points that name none; "trained" keeps the
            step sizes of a model from quantization-aware training.
        methods: `{name: PTQ method}` that may be named beside the library's.
        placement: "paper", "tflite" or a `Placement`, for a float model. Layers
            that it pins to float get 8 bits: no file holds them otherwise.
        container: 8, 4 or 2: see `export.with_container`.
        kernels: A set of kernels, or several: see `export.export_exact`.
        allow_float: Whether layers without an integer operator are left in
            float: see `export.export_exact`.
        file_batch_size: Batch size fixed in the files, which models with
            transposed convolutions need; None for any.
        labels: Names of the classes, for the files' metadata.
        metric: A metric, such as `evaluation.top_5`, that is measured of the
            files beside their accuracy or loss; None for none.
        name: What the report calls the model.
        provenance: What the report says beyond what is known here.
        progress: Whether to show progress bars.

    Returns:
        A `Report` of one run, with a row for each file. Their details hold
        what `export.export_exact` found, and `latency_ms`: the median of
        interleaved runs of all files, one example on one thread.

    Raises:
        VerificationError: If a file is not what was foretold; those before it
            are there.
        TypeError, ValueError: As `export.export_exact` and `apply`; if the
            folder holds files of other weights or images, or asked for with
            something else; if a point is in float or above 8 bits.
    """
    folder = pathlib.Path(folder)
    kernels = check_exact_options(container, kernels)
    facts = {**(provenance or {}), **measurement_facts(model, dataset)}
    if not quantizers_of(model):
        model = fake_quantize_model(model, without_floats(placement))
        facts["placement"] = placements.get(placement).name
    facts |= quantized_share(model).facts()
    exporter = _Exporter(
        model,
        dataset,
        folder,
        name,
        facts,
        tuple(export.FileMetadata(labels=labels).labels),
        {
            "container": container,
            "kernels": kernels,
            "allow_float": allow_float,
            "file_batch_size": file_batch_size,
        },
        progress,
    )
    wanted_files = file_settings(
        points, method, methods or {}, exporter.calibration
    )
    check_points(wanted_files, allow_float)
    finished = exporter.finished(wanted_files)
    rows = []
    for wanted in wanted_files:
        row = finished.get(wanted.file) or exporter.row(wanted)
        rows.append(with_metric(row, folder, dataset.test, metric, model))
        _report(name, rows, facts).save(folder)
    report = _report(name, _with_latencies(rows, folder), facts)
    save_report(report, folder)
    return report


@dataclasses.dataclass(frozen=True, eq=False)
class _Exporter:
    """Writes one file after the other of a model with quantizers."""

    model: object
    dataset: Dataset
    folder: pathlib.Path
    name: str
    facts: dict
    labels: tuple
    options: dict
    progress: bool

    @functools.cached_property
    def _calibrated(self):
        batches = self.dataset.calibration.batches(_BATCH_SIZE)
        return ptq.calibrate(self.model, batches, progress=False)

    def calibration(self):
        """Returns the `Calibration`, made at the first call."""
        return self._calibrated

    def finished(self, wanted_files):
        """Returns `{file: row}` of files that are as a call left them.

        Raises:
            ValueError: If one was asked for with something else.
        """
        found = {
            row.details["file"]: row
            for row in finished_rows(self.folder, self.name, self.facts)
            if sha256_of(self.folder / row.details["file"])
            == row.details["sha256"]
        }
        for wanted in wanted_files:
            if wanted.file in found:
                before = found[wanted.file].details.get("request")
                now = self._request(wanted)
                check_same(wanted.file, self.folder, before, now)
        return found

    def _request(self, wanted):
        options = {**self.options, "labels": self.labels}
        return jsonable(request_of(wanted, self.model, options))

    def row(self, wanted):
        """Writes a file; returns its row."""
        setting = wanted.setting()
        metadata = file_metadata(
            setting, wanted.ptq, self.dataset, self.facts, self.labels
        )
        with keeping(self.model):
            apply(self.model, setting)
            found = export.export_exact(
                self.model,
                self.folder / wanted.file,
                self.dataset.calibration,
                self.dataset.test,
                metadata=metadata,
                progress=self.progress,
                **self.options,
            )
        written = {
            "file": wanted.file,
            "sha256": sha256_of(self.folder / wanted.file),
            "request": self._request(wanted),
        }
        split = self.dataset.test.name
        return _row(self.name, setting, wanted.ptq, found, split, written)


def without_floats(placement):
    """Returns a placement with 8 bits where `placement` pins ends to float."""
    placement = placements.get(placement)
    ends = {
        end: 8
        for end in ("first_layer", "last_layer")
        if getattr(placement, end) == "float"
    }
    return dataclasses.replace(placement, **ends)


def _row(name, setting, ptq, found, split, written):
    details = dataclasses.asdict(found)
    for known in ("split", "examples", "container"):
        del details[known]
    fields = file_fields(found.file_accuracy, found.file_loss, found.keras_loss)
    compared, drop = fields.pop("details"), None
    if found.file_accuracy is not None:
        drop = found.keras_accuracy - found.file_accuracy
    return Row(
        run=name,
        sweep="tflite",
        point=setting.point,
        ptq=ptq,
        **fields,
        examples=found.examples,
        split=split,
        seconds=found.seconds,
        details={
            "mode": f"{setting.point} exact, int{found.container}",
            **written,
            "agreement": found.agreement,
            "accuracy_drop": drop,
            **compared,
            "codes": found.codes,
            "differing_codes": found.differing_codes,
            "step_size_source": "kure_tf",
            **jsonable(details),
        },
    )


def _with_latencies(rows, folder):
    files = {
        row.details["file"]: (folder / row.details["file"]).read_bytes()
        for row in rows
    }
    return [
        dataclasses.replace(row, details={**row.details, "latency_ms": time})
        for row, time in zip(rows, latencies(files).values(), strict=True)
    ]


def _report(name, rows, facts):
    run = Run(name=name, rows=tuple(rows), provenance=facts)
    return Report(runs=(run,), title=f"LiteRT files of {name}")
