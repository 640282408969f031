"""Training a model in a folder, and what is noted of it there."""

import dataclasses
import functools
import pathlib
import statistics
import sys

import tensorflow as tf

from kure_tf import compat
from kure_tf.evaluation import evaluate
from kure_tf.evaluation.chance import warn_at_chance
from kure_tf.files import jsonable, read_json, write_json
from kure_tf.ops.checks import check_whole
from kure_tf.runs.kure import Kure
from kure_tf.runs.model import load_saved_model, save_model
from kure_tf.sweeps import weight_kurtosis
from kure_tf.sweeps.machine import machine_facts
from kure_tf.sweeps.untrained import looks_untrained
from kure_tf.training import KurtosisMonitor, Recipe, fit, is_chief
from kure_tf.training.working_copy import check_teacher

_NOT_LEARNT = (
    "Unless its loss says otherwise, it has learnt nothing of use: try another "
    "learning rate, more epochs, or look whether inputs and labels belong "
    "together."
)


def train(
    make_model,
    dataset,
    recipe,
    folder,
    *,
    kure=None,
    qat=None,
    teacher=None,
    metric=None,
    tensorboard=False,
    strategy=None,
):
    """Trains a model and keeps what came out in a folder.

    Killed and called again, it goes on after the last whole epoch; what is
    finished is not repeated.

    Args:
        make_model: A function that returns the model to start from. It is
            called after all random seeds are set from that of the recipe.
        dataset: A `Dataset`.
        recipe: A `Recipe`.
        folder: Gets checkpoint.npz while training, then model.keras and
            training.json.
        kure: A `Kure`; None trains without.
        qat: A `Qat`; None trains in float.
        teacher: The model that `recipe.distillation` learns from; None for the
            one to start from, before quantization.
        metric: A metric, such as `evaluation.top_5`, that is measured on the
            test split beside accuracy (of classes) and loss; None for none.
        tensorboard: Whether to write TensorBoard logs to `folder/logs`.
        strategy: As for `fit`. Of several workers the chief alone writes; all
            else that they do, such as calibrating and evaluating, each does by
            itself on one device, and gets the same.

    Warns where a float model is then no better than chance on the validation
    split, or without one on the test split.

    Returns:
        `(the trained model, the content of training.json)`.

    Raises:
        TypeError, ValueError: As `fit`; or if `folder` has another run, one
            from other weights too; or if the recipe distils from weights that
            look untrained.
    """
    folder, kure = pathlib.Path(folder), kure or Kure()
    strategy = strategy or tf.distribute.get_strategy()
    callbacks = [KurtosisMonitor(each_layer=False), *kure.callbacks()]
    compat.keras.utils.set_random_seed(recipe.seed)
    model = make_model()
    if recipe.distillation:
        teacher = _checked_teacher(model if teacher is None else teacher)
    check_teacher(recipe, teacher)
    check_whole(
        "ramp_epochs, which are among the epochs,",
        kure.ramp_epochs,
        0,
        recipe.epochs,
    )
    run = _run(model, dataset, recipe, kure, qat, teacher)
    if metric is not None:
        run["metric"] = metric.metric_name
    record = _kept(folder / "training.json", run)
    if "checkpoint_hash" in record and (folder / "model.keras").is_file():
        print(f"Already trained: {folder / 'model.keras'}.", file=sys.stderr)
        return load_saved_model(folder / "model.keras"), record
    chosen = kure.chosen_layers(model)
    model = kure.attached(model)
    before = weight_kurtosis(model)
    if qat is not None:
        model = qat.applied(
            model, dataset.calibration.batches(recipe.batch_size)
        )
        callbacks += qat.callbacks(recipe.seed)
    # Beside the first checkpoint, so that no other run goes on from it.
    writes = is_chief(strategy)
    note = functools.partial(_note, folder / "training.json", writes)
    callbacks.append(
        compat.keras.callbacks.LambdaCallback(
            on_epoch_end=lambda *_: note({"run": run})
        )
    )
    result = fit(
        model,
        dataset,
        recipe,
        teacher=teacher,
        strategy=strategy,
        workdir=folder,
        tensorboard=tensorboard,
        callbacks=callbacks,
    )
    record = {
        "run": run,
        "chosen_layers": chosen,
        "history": list(result.history),
        "seconds": result.seconds,
        "machine": machine_facts(),
        "replicas": strategy.num_replicas_in_sync,
        "checkpoint_hash": compat.array_hash(model),
        "test": _measured(model, dataset.test, metric),
        "kurtosis": _kurtosis(
            model, before, chosen if kure.coefficient else ()
        ),
    }
    if qat is None:
        warn_at_chance(model, dataset.validation or dataset.test, _NOT_LEARNT)
    if writes:
        save_model(model, folder / "model.keras")
    note(record)
    return model, record


def _note(path, writes, record):
    if writes:
        write_json(path, record)


def _checked_teacher(teacher):
    if looks_untrained(teacher):
        raise ValueError(
            "Expected a trained teacher for distillation. The weights of "
            f"{teacher.name!r} look untrained: every bias and every batch-norm "
            "variable is what its layer begins with. Name a trained model as "
            "the teacher, start from one, or set distillation=0."
        )
    return teacher


def _measured(model, split, metric):
    found = evaluate(model, split, progress=True)
    if metric is not None:
        found.update(evaluate(model, split, (metric,), progress=True))
    values = {name: one.value for name, one in found.items()}
    return {**values, "images": split.count}


def recipes_of(recipe, seeds) -> list[Recipe]:
    """Returns the recipe with each of the seeds; all are checked at once.

    Raises:
        TypeError, ValueError: If a seed is none that a recipe takes, or stands
            there twice.
    """
    seeds = list(seeds)
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"Expected seeds that differ. Received: {seeds}.")
    return [dataclasses.replace(recipe, seed=seed) for seed in seeds]


def train_seeds(make_model, dataset, recipe, folder, *, seeds, **options):
    """Trains once for each seed, each in a folder of its own.

    Args:
        make_model, dataset, recipe, **options: As for `train`.
        folder: Gets seed<number> for each seed, and runs.json: accuracies (of
            targets: losses), their mean and their standard deviation.
        seeds: Two seeds or more.

    Returns:
        `(records, the content of runs.json)`.
    """
    folder, records = pathlib.Path(folder), []
    for seeded in recipes_of(recipe, seeds):
        part = folder / f"seed{seeded.seed}"
        _, record = train(make_model, dataset, seeded, part, **options)
        records.append(record)
    classes = dataset.num_classes is not None
    one, several = ("accuracy", "accuracies") if classes else ("loss", "losses")
    values = [record["test"][one] for record in records]
    summary = {
        "seeds": list(seeds),
        several: values,
        "mean": statistics.mean(values),
        "standard_deviation": statistics.stdev(values),
        "images": records[0]["test"]["images"],
        "split": "test",
    }
    strategy = options.get("strategy") or tf.distribute.get_strategy()
    _note(folder / "runs.json", is_chief(strategy), summary)
    return records, summary


def _run(model, dataset, recipe, kure, qat, teacher):
    """Returns what decides how a run ends, as plain values."""
    parts = {"recipe": recipe, "kure": kure, "qat": qat}
    return jsonable(
        {
            **{k: v and dataclasses.asdict(v) for k, v in parts.items()},
            "data_set": dataset.name,
            "start_hash": compat.array_hash(model),
            "teacher_hash": (
                None if teacher is None else compat.array_hash(teacher)
            ),
        }
    )


def _kept(path, run):
    """Returns what an earlier call noted, {} if nothing."""
    record = read_json(path) if path.is_file() else {"run": run}
    there = record.get("run") or {}
    differing = [name for name in run if there.get(name) != run[name]]
    if differing:
        raise ValueError(
            f"Expected {str(path.parent)!r} to be new or of this run. It holds "
            "another one: "
            + "; ".join(
                f"{name} there {there.get(name)}, here {run[name]}"
                for name in differing
            )
            + ". Choose another folder, or delete that one."
        )
    return record


def _kurtosis(model, before, regularized):
    return {
        path: {
            "before": before[path],
            "after": after,
            "regularized": path.rpartition("/")[0] in regularized,
        }
        for path, after in weight_kurtosis(model).items()
    }
