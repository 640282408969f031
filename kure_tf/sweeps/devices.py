"""Devices: does a model stay within an accuracy budget on each of them?"""

import dataclasses

import numpy as np

from kure_tf.compat import batch_norms_of
from kure_tf.evaluation import Evaluator, paired_error
from kure_tf.fake_quantized import (
    Placement,
    fake_quantize_model,
    quantized_share,
    quantizers_of,
)
from kure_tf.measurements import Report, Run
from kure_tf.measurements.budget import check_budget, within
from kure_tf.progress import ProgressBar
from kure_tf.ptq import calibrate, settings_for
from kure_tf.ptq import get as ptq_method
from kure_tf.settings.operating_point import OperatingPoint
from kure_tf.sweeps.batch_norm_images import (
    batch_norm_batches,
    batch_norm_facts,
)
from kure_tf.sweeps.device_profile import BUILTIN, device_profiles
from kure_tf.sweeps.kinds import DEVICE
from kure_tf.sweeps.plan import SweepPlan
from kure_tf.sweeps.provenance import measurement_facts
from kure_tf.sweeps.robustness import finished_rows
from kure_tf.sweeps.run import rows_at
from kure_tf.sweeps.stops import Stop
from kure_tf.sweeps.untrained import warn_if_untrained


def check_devices(
    model,
    dataset,
    profiles=BUILTIN,
    *,
    name="model",
    budget=0.01,
    ptq="lp_norm",
    batch_size=256,
    batch_norm_images=1024,
    batch_norm_augment=(),
    batch_norm_seed=0,
    folder=None,
    provenance=None,
    progress=True,
):
    """Evaluates a float model as each device would run it, against a budget.

        drop = P(right in float, wrong there) - P(wrong in float, right there)

    as shares of the images: the float accuracy minus the device's. A device
    passes if the drop is at most the budget. Both see the same images, so the
    standard error of the drop comes from the images on which they differ
    (`paired_error`), not from two accuracies as if they were independent.
    Within two standard errors of the budget the verdict is too close to call.

    A device is a fake-quantized model in Keras here: a simulation of its grids
    and steps, not of how its integer kernels round between them. Step sizes
    come from the data set's calibration images, accuracies from its whole test
    split.

    Args:
        model: A built float model that returns logits, which is not changed.
        dataset, name, provenance, progress: As for `measure_robustness`.
        profiles: What `device_profiles` takes: "builtin", names, paths of
            files, `DeviceProfile`s.
        budget: Accuracy that may be lost, as a fraction.
        ptq: PTQ method of the profiles that name none.
        batch_size: Images per step.
        batch_norm_images, batch_norm_augment, batch_norm_seed: The training
            images for profiles that measure batch norm again: see `SweepPlan`.
        folder: Where `report.json` is kept after each device. What is found
            there of the same profile is not measured again, but held against
            this budget. None keeps nothing.

    Returns:
        A `Report` of one run: the float row, then one row per profile with
        sweep="device", placement=profile.name and these `details`: device,
        budget, drop, drop_standard_error, passed, too_close, lost, gained and
        profile (all its values).

    Raises:
        TypeError, ValueError: If a profile or the budget is invalid, `model`
            has quantizers already, or `folder` holds rows of other weights.
    """
    profiles = device_profiles(profiles)
    check_budget(budget)
    ptq_method(ptq)
    _check_float(model)
    _check_classes(dataset)
    plan = SweepPlan(
        batch_size=batch_size,
        reestimate_batch_norm="on" if _reestimates(model, profiles) else "off",
        batch_norm_images=batch_norm_images,
        batch_norm_augment=tuple(batch_norm_augment),
        batch_norm_seed=batch_norm_seed,
    )
    provenance = {
        **(provenance or {}),
        **measurement_facts(model, dataset, batch_norm_facts(dataset, plan)),
        "devices": [profile.name for profile in profiles],
        "accuracy_budget": budget,
    }
    profiles = [profile.resolved(ptq) for profile in profiles]
    kept = finished_rows(folder, name, provenance)
    in_float = next((row for row in kept if row.sweep != DEVICE), None)
    rows = _rows_of(kept, profiles)
    left = [profile for profile in profiles if profile.name not in rows]

    def report():
        judged = [
            _judged(rows[profile.name], in_float, budget)
            for profile in profiles
            if profile.name in rows
        ]
        run = Run(name, (in_float, *judged), provenance=provenance)
        return Report(
            runs=(run,), title=f"Devices for {name}", notes=dataset.notes
        )

    if left or in_float is None:
        warn_if_untrained(model)
        bench = _Bench(model, dataset, plan, name, progress)
        in_float = in_float or bench.float_row
        for profile, row in bench.measure(left):
            rows[profile.name] = row
            if folder is not None:
                report().save(folder)
    return report()


class _Bench:
    """Measures one float model: in float first, then device by device."""

    def __init__(self, model, dataset, plan, name, progress):
        self._model, self._dataset, self._plan = model, dataset, plan
        self._name, self._progress = name, progress
        self._batch_norm = batch_norm_batches(dataset, plan)
        self._evaluate = Evaluator(dataset.test, batch_size=plan.batch_size)
        self._right_in_float = None
        in_float = fake_quantize_model(model, Placement())
        self.float_row = self._row(
            in_float, Stop(OperatingPoint(), "bit_width")
        )
        self._right_in_float = self._right()

    def measure(self, profiles):
        """Yields (profile, row); equal placements share one model."""
        with ProgressBar(
            total=len(profiles),
            what=self._name,
            progress=self._progress,
            unit="device",
        ) as bar:
            for placement, members in _by_placement(profiles):
                quantized = fake_quantize_model(self._model, placement)
                images = self._dataset.calibration
                calibration = calibrate(
                    quantized,
                    images.batches(self._plan.batch_size),
                    provenance={
                        "source": f"{self._dataset.name} {images.name}"
                    },
                    progress=False,
                )
                for profile in members:
                    bar.set_postfix_str(profile.name)
                    yield profile, self._device(quantized, calibration, profile)
                    bar.update()

    def _device(self, quantized, calibration, profile):
        again = profile.reestimate_batch_norm and _has_batch_norm(quantized)
        name, method = profile.method()
        stop = Stop(
            profile.point,
            DEVICE,
            name,
            settings_for(
                calibration,
                method,
                batch_norm=self._batch_norm if again else None,
            ),
            reestimated_batch_norm=again,
        )
        row = self._row(quantized, stop, profile.name)
        facts = {
            "device": profile.name,
            "profile": profile.to_dict(),
            **quantized_share(quantized).facts(),
        }
        return dataclasses.replace(row, details={**row.details, **facts})

    def _row(self, quantized, stop, placement=None):
        (row,) = rows_at(
            quantized,
            [stop],
            self._compare,
            {
                "run": self._name,
                "placement": placement,
                "split": self._dataset.test.name,
            },
            examples=self._dataset.test.count,
            progress=False,
        )
        return row

    def _compare(self, model):
        measured = self._evaluate(model)
        if self._right_in_float is None:
            return measured
        here, in_float = self._right(), self._right_in_float
        lost = np.mean(in_float & ~here)
        return {**measured, "lost": lost, "gained": np.mean(here & ~in_float)}

    def _right(self):
        return self._evaluate.per_example["accuracy"] == 1


def _judged(row, in_float, budget):
    """Returns the row of a device with the verdict in its details."""
    drop = in_float.value - row.value
    lost, gained = row.details["lost"], row.details["gained"]
    error = paired_error(lost, gained, row.examples)
    verdict = {
        "budget": budget,
        "drop": drop,
        "drop_standard_error": error,
        "passed": within(drop, budget),
        "too_close": abs(drop - budget) <= 2 * error,
    }
    return dataclasses.replace(row, details={**row.details, **verdict})


def _by_placement(profiles):
    """Returns [(placement, its profiles)], in order of first appearance."""
    groups = {}
    for profile in profiles:  # A placement holds a dictionary: no key.
        groups.setdefault(repr(profile.placement()), []).append(profile)
    return [(members[0].placement(), members) for members in groups.values()]


def _rows_of(kept, profiles):
    """Returns {name: row} of the profiles that were measured as they are."""
    found = {row.placement: row for row in kept if row.sweep == DEVICE}
    return {
        profile.name: found[profile.name]
        for profile in profiles
        if profile.name in found
        and found[profile.name].details.get("profile") == profile.to_dict()
    }


def _check_float(model):
    if quantizers_of(model):
        raise ValueError(
            "Expected a float model: each device puts quantizers of its own "
            f"into it. Received {model.name!r}, which has some already. "
            "Pass strip_quantizers(model), its float weights."
        )


def _check_classes(dataset):
    if dataset.num_classes is None:
        raise ValueError(
            "Expected labels that are class numbers: devices are judged by "
            f"their accuracy. {dataset.name!r} has floating-point targets. "
            "`measure_robustness` (tools: sweep.py) measures a loss or a "
            "metric."
        )


def _has_batch_norm(model):
    return any(True for _ in batch_norms_of(model))


def _reestimates(model, profiles):
    wanted = any(profile.reestimate_batch_norm for profile in profiles)
    return wanted and _has_batch_norm(model)
