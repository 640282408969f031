"""The shortest way from a Keras model and data to a report."""

import functools

from kure_tf import ptq as methods
from kure_tf.data import Dataset
from kure_tf.data.sources import name_of
from kure_tf.evaluation import Evaluator
from kure_tf.fake_quantized import fake_quantize_model, keeping, quantizers_of
from kure_tf.fake_quantized import placement as placements
from kure_tf.measurements import Report, Run
from kure_tf.pages import save_report
from kure_tf.sweeps.methods import ADAROUND
from kure_tf.sweeps.plan import SweepPlan
from kure_tf.sweeps.planned_stops import planned_stops
from kure_tf.sweeps.provenance import kurtosis_facts, model_facts
from kure_tf.sweeps.robustness import check_plan
from kure_tf.sweeps.run import evaluated_facts, rows_at
from kure_tf.sweeps.untrained import warn_if_untrained

_WITH_LOSS = ("lapq", "lapq_gradient", "learned_steps")


def evaluate_robustness(
    model,
    data,
    *,
    calibration=None,
    points=None,
    ptq="lp_norm",
    placement="paper",
    metric=None,
    name=None,
    path=None,
    batch_size=256,
    progress=True,
) -> Report:
    """Returns how good a model stays when it is quantized.

    It is quantized in simulation, and evaluated in float and at each point.
    Nothing is trained; the model is left as it was.

    Args:
        model: A built functional or sequential Keras model; or one that has
            quantizers already.
        data: Labelled examples to evaluate on: arrays (x, y), a
            `tf.data.Dataset`, a `PyDataset`, a `Split`; or a `Dataset`, whose
            test split it is then.
        calibration: Training examples, as `data`, from which activations get
            their step sizes. None: the calibration split of a `Dataset`; of
            other data the weights alone are quantized, since nothing may be
            chosen on what is evaluated.
        points: What to measure, as for `SweepPlan`: patterns such as
            "{8..2}/FP" and "W4A8", presets ("bits", "steps", "pow2", ...). One
            text or several. None: "bits", of the weights alone where there is
            no calibration.
        ptq: The PTQ method of points that name none, as for `SweepPlan`.
        placement: "paper", "tflite" or a `Placement`.
        metric: What is measured, such as `evaluation.top_5`. None: the
            accuracy where labels are class numbers or the model was compiled
            with one beside binary cross-entropy, else its loss.
        name: What the report calls the model; None: its own name.
        path: Folder that gets the report with its page, report.html; None
            writes nothing.
        batch_size: Examples per step, for arrays and a `Split`.
        progress: Whether to show progress bars.

    Raises:
        TypeError, ValueError: If a point needs calibration and there is none;
            as `SweepPlan`, `fake_quantize_model` and `run_sweep`.

    Example:
        >>> report = evaluate_robustness(  # doctest: +SKIP
        ...     model, (x_test, y_test), calibration=(x_train[:512],),
        ...     path="runs/robustness")
    """
    if isinstance(data, Dataset):
        calibration = data.calibration if calibration is None else calibration
        notes, facts, data = data.notes, {"data_set": data.name}, data.test
    else:
        notes, facts = (), {"data_set": type(data).__name__}
    if points is None:
        points = ("{8..2}/FP",) if calibration is None else ("bits",)
    points = (points,) if isinstance(points, str) else points
    plan = SweepPlan(
        points, ptq=ptq, placement=placement, batch_size=batch_size
    )
    _check_calibration(plan, calibration)
    check_plan(model, plan)
    own = quantizers_of(model)
    quantized = model if own else fake_quantize_model(model, placement)
    setting_for = _settings(quantized, plan, calibration, progress)
    evaluate = Evaluator(
        data, metric and (metric,), batch_size=batch_size, progress=False
    )
    name = name or model.name
    placed = "qat" if own else placements.get(placement).name
    warn_if_untrained(model)
    rows = rows_at(
        quantized,
        planned_stops(quantized, plan, setting_for),
        evaluate,
        {
            "run": name,
            "placement": placed,
            "split": name_of(data) or "evaluation",
        },
        progress=progress,
    )
    run = Run(
        name,
        rows,
        provenance={
            **evaluated_facts(quantized, evaluate),
            **facts,
            **model_facts(model),
            "ptq": list(plan.ptq_methods),
            "placement": placed,
        },
        kurtosis=kurtosis_facts(model),
    )
    report = Report(runs=(run,), title=f"Robustness of {name}", notes=notes)
    if path is not None:
        save_report(report, path)
    return report


def _check_calibration(plan, calibration):
    for sweep in plan.sweeps:
        if (sweep.method or "").endswith(ADAROUND):
            raise ValueError(
                "Expected points without learned rounding, which "
                f"`measure_robustness` offers. Received: {sweep.method!r}."
            )
        for point in sweep.points:
            looks = point.activation_bits or sweep.method in _WITH_LOSS
            if looks and calibration is None and sweep.method != "trained":
                raise ValueError(
                    f"Expected calibration= some training examples, which "
                    f"{sweep.method} at {point} chooses step sizes on. "
                    "Received none. Pass them, or points of weights alone "
                    "such as '{8..2}/FP'."
                )


def _settings(model, plan, calibration, progress):
    """Returns `setting_for`, as `planned_stops` takes it."""
    with keeping(model):
        calibrated = methods.calibrate(model, calibration, progress=progress)

    @functools.cache
    def settings_of(name):
        return methods.settings_for(calibrated, plan.ptq_methods.get(name))

    return lambda name, seed, reestimated, place: settings_of(name)(place)
