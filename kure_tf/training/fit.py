"""Training: one loop over epochs that can be interrupted anywhere."""

import dataclasses
import math
import pathlib
import time

import tensorflow as tf

from kure_tf import compat, extras
from kure_tf.data import Dataset
from kure_tf.data.ports import Port, arranged, check_shapes, input_ports
from kure_tf.fake_quantized import check_step_sizes
from kure_tf.files import made_folder
from kure_tf.ops.checks import check_kind
from kure_tf.training.checkpoint import (
    Checkpoint,
    read_variables,
    run_identity,
    write_variables,
)
from kure_tf.training.divergence import check_epoch, check_start
from kure_tf.training.frozen_batch_norm import frozen_batch_norm
from kure_tf.training.objective import (
    check_objective,
    loss_name,
    objective,
    score_of,
)
from kure_tf.training.recipe import Recipe
from kure_tf.training.replicas import (
    check_shares,
    check_workers,
    distributed,
    is_chief,
)
from kure_tf.training.run_callbacks import run_callbacks
from kure_tf.training.working_copy import transfer_weights, working_copy

CHECKPOINT_NAME = "checkpoint.npz"
_PROGRESS = ("history", "best_epoch", "seconds", "stopped")


@dataclasses.dataclass(frozen=True)
class TrainingResult:
    """What a training run gave, beside the weights.

    Attributes:
        history: One dictionary per epoch: `loss` (with regularization),
            `accuracy` of classes, `val_loss` and `val_accuracy` if there is a
            validation split, and what callbacks added to the logs.
        best_epoch: Index into `history` of the best validation accuracy (of
            targets: `val_loss`), the earliest of equals; None without a
            validation split.
        selected_epoch: Index of the epoch whose weights the model has now.
        seconds: Time that the epochs took, those before a resumption too.
        resumed_from: Epochs that a checkpoint had already; 0 for a fresh run.
    """

    history: tuple[dict[str, float], ...]
    best_epoch: int | None
    selected_epoch: int
    seconds: float
    resumed_from: int


def fit(
    model,
    dataset,
    recipe,
    *,
    teacher=None,
    strategy=None,
    workdir=None,
    tensorboard=False,
    callbacks=(),
    verbose=1,
) -> TrainingResult:
    """Trains `model` in place by `recipe`.

    The loss is the cross-entropy of logits plus the model's own losses
    (regularizers) plus what the recipe adds (weight decay, gradient norms,
    distillation). Where labels are targets in floating point, the loss that
    the model is compiled with takes the place of cross-entropy; without one,
    that which its last activation says (`evaluation.loss_of`).

    A copy of the model is trained, in the recipe's precision and with its
    weight decay; at the end the weights go into `model`, which otherwise stays
    what it is (dtype, regularizers, compilation). Until then `model` is not
    changed.

    With `workdir`, a checkpoint is written after each epoch, in one step.
    Called again with the same arguments after a kill at any moment, `fit` goes
    on and ends with the same weights, bit for bit, as an uninterrupted run on
    the same machine, versions and number of threads (on another number, sums
    over a batch differ in their last bits); a finished run only hands its
    weights over.
    Order, augmentation, dropout and schedule are a function of the recipe's
    seed and the step. The result does not depend on the random state of the
    process, which is not put back: Keras draws from it when it copies layers.

    With a `tf.distribute` strategy the copy is trained by all its replicas, as
    one replica would: the recipe's batch size is that of all of them together,
    its learning rate is used as it is, the mean loss of a batch counts every
    image alike, and regularizers count once. Two things differ. In batch
    normalization each replica normalizes with its own part of a batch, and the
    moving statistics are the mean of theirs. With `gradient_l1` each takes the
    norm of its own part's gradients, of which the mean is larger than the norm
    of the whole batch's.

    Of several workers each calls `fit` with the same arguments; the chief
    writes to `workdir`, all read from it. Should one be killed, start all of
    them again. TensorFlow has several workers train tf_keras models; Keras 3
    takes strategies of one process. (`loss` in the history weighs the last
    batch by its parts, where they differ in size.)

    Limits: the state of `callbacks` (say, the patience of EarlyStopping) is not
    in the checkpoint. Layers that draw from random operations of TensorFlow
    without a seed generator cannot be resumed bit for bit. Of several replicas
    the checkpoint holds the state of the first one's random layers, and their
    statistics as one mean: they go on to the same weights but for rounding, and
    for other draws of dropout.

    Args:
        model: A built functional or sequential model that returns logits, or
            of targets what its loss takes.
        dataset: A `kure_tf.data.Dataset`.
        recipe: A `Recipe`.
        teacher: The model that `recipe.distillation` learns from, not changed:
            see `DistillationModel`.
        strategy: A `tf.distribute.Strategy`; None: the one in whose scope this
            is called, if any.
        workdir: Folder for `checkpoint.npz` and TensorBoard logs, created if
            missing; None keeps nothing.
        tensorboard: Whether to write TensorBoard logs to `workdir/logs`.
        callbacks: Keras callbacks. Their `model` is the copy that is trained.
            Training begins and ends once for them, whatever the number of
            epochs; what they add to the logs of an epoch joins the history.
            Setting `model.stop_training` ends training after the epoch.
        verbose: 0 for silence, 1 for a progress bar per epoch.

    Raises:
        TypeError, ValueError: If the model is unbuilt, subclassed, of the other
            Keras or does not fit the data set; if the recipe needs a validation
            split that is not there; if the recipe distils and there is no
            teacher that fits, or the other way round; if the checkpoint in
            `workdir` is damaged or that of another run; if a weight is or turns
            NaN, infinite or so large that its square is, or a trained step size
            collapses (the checkpoint of the epoch before is kept then).
        ImportError: If TensorBoard is asked for and not installed.
    """
    compat.check_graph_model(model)
    check_kind("dataset", dataset, Dataset, "data.digits()")
    check_kind("recipe", recipe, Recipe, "Recipe(30, learning_rate=0.05)")
    _check_fit(model, dataset, recipe)
    strategy = strategy or tf.distribute.get_strategy()
    check_workers(strategy)
    if workdir is not None:
        made_folder(workdir)
    check_start(model)
    if tensorboard:
        _check_tensorboard(workdir)
    train = dataset.train
    if recipe.train_images is not None:
        train = train.take(recipe.train_images, recipe.seed)
    splits = [split for split in (train, dataset.validation) if split]
    check_shares(strategy, recipe.batch_size, splits)
    _check_accumulation(strategy, recipe.gradient_accumulation_steps)
    run = _Run(model, teacher, dataset, train, recipe, strategy, workdir)
    resumed_from = len(run.history)
    if not run.finished:
        run.train(run_callbacks(run, callbacks, workdir, tensorboard, verbose))
    if recipe.select == "best":
        run.working.set_weights(run.best_weights)
    transfer_weights(run.working, model)
    last = len(run.history) - 1
    return TrainingResult(
        history=tuple(run.history),
        best_epoch=run.best_epoch,
        selected_epoch=run.best_epoch if recipe.select == "best" else last,
        seconds=run.seconds,
        resumed_from=resumed_from,
    )


class _Run:
    """The state of a run between two epochs, in memory and in the workdir."""

    def __init__(
        self, model, teacher, dataset, train, recipe, strategy, workdir
    ):
        self.model, self.dataset = model, dataset
        self.train_split, self.recipe = train, recipe
        self.strategy = strategy
        self.steps = math.ceil(train.count / recipe.batch_size)
        with strategy.scope():
            self.working = working_copy(model, recipe, teacher)
            self._compile()
        self.history, self.seconds, self.stopped = [], 0.0, False
        self.frozen = False
        self.best_epoch, self.best_weights = None, []
        self.identity = run_identity(model, dataset, recipe, teacher)
        if of_targets := loss_name(model, dataset):
            self.identity["loss"] = of_targets
        self.path = None
        if workdir is not None:
            self.path = pathlib.Path(workdir) / CHECKPOINT_NAME
            if self.path.exists():
                self._restore()

    def _compile(self):
        self.working.compile(
            self.recipe.make_optimizer(self.steps),
            **objective(self.model, self.dataset),
            jit_compile=False,  # XLA is slower on a CPU.
        )
        self.working.optimizer.build(self.working.trainable_variables)

    @property
    def finished(self):
        return self.stopped or len(self.history) >= self.recipe.epochs

    def train(self, callbacks):
        """Trains the epochs that are left."""
        validation = self._validation()
        callbacks.begin()
        try:
            while not self.finished:
                if len(self.history) >= self.recipe.freezing_epoch:
                    self._freeze_batch_norm()
                try:
                    self._train_epoch(callbacks, validation)
                except tf.errors.InvalidArgumentError:
                    check_step_sizes(self.working)  # NaN there is the cause.
                    raise
                # Before the last good checkpoint is overwritten.
                check_step_sizes(self.working)
                check_epoch(self.working, len(self.history), self.path)
                if self.path is not None:
                    self._save()
        finally:
            callbacks.close()
        callbacks.end(self.history[-1])

    def _validation(self):
        """Returns what Keras' `fit` validates on, as its arguments."""
        split, size = self.dataset.validation, self.recipe.batch_size
        if split is None:
            return {}
        batches = self._arranged(split.batches(size))
        if self.strategy.num_replicas_in_sync == 1:
            return {"validation_data": batches}
        return {
            "validation_data": distributed(
                batches, self.strategy, weighted=False
            ),
            "validation_steps": math.ceil(split.count / size),
        }

    def _arranged(self, batches):
        """Returns batches with their inputs as the model takes them."""
        ports = input_ports(self.model)
        if isinstance(ports, Port):
            return batches
        return batches.map(lambda x, y: (arranged(x, ports), y))

    def _freeze_batch_norm(self):
        if self.frozen:
            return
        # Left open: nobody uses the working copy after this run.
        self.frozen = frozen_batch_norm(self.working)
        self.frozen.__enter__()
        self.working.make_train_function(force=True)

    def _train_epoch(self, callbacks, validation):
        start = time.monotonic()
        epoch = len(self.history)
        # One data set per epoch, as the order depends on the epoch and not on
        # an iterator that cannot be saved. Their batches have one signature:
        # Keras compiles its training step once.
        batches = self.train_split.training_batches(
            self.recipe.batch_size,
            seed=self.recipe.seed,
            epoch=epoch,
            augment=self.recipe.augment,
        )
        batches = self._arranged(batches)
        if self.strategy.num_replicas_in_sync > 1:
            batches = distributed(batches, self.strategy, weighted=True)
        self.working.fit(
            batches,
            **validation,
            steps_per_epoch=self.steps,
            initial_epoch=epoch,
            epochs=epoch + 1,
            callbacks=callbacks,
            shuffle=False,  # The data set has its order.
            verbose=0,
        )
        self.history.append(callbacks.epoch_logs)
        self.seconds += time.monotonic() - start
        self.stopped = bool(self.working.stop_training)
        self._keep_best()

    def _keep_best(self):
        score = score_of(self.history[-1])
        if score is None:
            return
        if self.best_epoch is not None:
            if score <= score_of(self.history[self.best_epoch]):
                return
        self.best_epoch = len(self.history) - 1
        if self.recipe.select == "best":
            self.best_weights = self.working.get_weights()

    def _save(self):
        progress = {name: getattr(self, name) for name in _PROGRESS}
        # By every worker: reading a statistic is the mean over all of them.
        arrays = read_variables(self.working, self.working.optimizer)
        arrays["best"] = self.best_weights
        if is_chief(self.strategy):
            Checkpoint(self.identity, progress, arrays).save(self.path)

    def _restore(self):
        checkpoint = Checkpoint.load(self.path)
        checkpoint.check_identity(self.identity, self.path)
        write_variables(
            checkpoint.arrays, self.working, self.working.optimizer, self.path
        )
        for name in _PROGRESS:
            setattr(self, name, checkpoint.progress[name])
        self.best_weights = checkpoint.arrays["best"]


def _check_accumulation(strategy, steps):
    replicas = strategy.num_replicas_in_sync
    if steps > 1 and replicas > 1:
        raise ValueError(
            "Expected gradient_accumulation_steps=1 on several replicas: Keras "
            f"3 accumulates gradients on one alone. Received: {steps} on "
            f"{replicas}. Set it to 1, or use one device."
        )


def _check_fit(model, dataset, recipe):
    check_shapes(
        dataset.input_shape,
        input_ports(model),
        f"The data set {dataset.name!r}",
    )
    check_objective(model, dataset, recipe)
    if recipe.select == "best" and dataset.validation is None:
        raise ValueError(
            "select='best' needs a validation split to choose the epoch on, "
            f"and {dataset.name!r} has none. Use select='last', or a data set "
            "with one (TFDS: validation_count). The test split is never used "
            "for a choice."
        )


def _check_tensorboard(workdir):
    if workdir is None:
        raise ValueError(
            "tensorboard=True needs a workdir: logs are written to its folder "
            "'logs'."
        )
    with extras.needed("tensorboard=True"):
        import tensorboard  # noqa: F401
