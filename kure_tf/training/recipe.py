"""A training recipe: everything about a run but the model and the data."""

import dataclasses
import typing
from typing import Literal

from kure_tf import compat
from kure_tf.compat import keras
from kure_tf.data.augmentation import parse_augmentation
from kure_tf.ops.checks import check_choice, check_real, check_whole
from kure_tf.training.warm_up import WarmUp

_LEAST = {
    "epochs": 1,
    "batch_size": 1,
    "seed": 0,
    "train_images": 1,
    "decay_every": 1,
    "frozen_batch_norm_epochs": 0,
    "warmup_epochs": 0,
    "gradient_accumulation_steps": 1,
}
_MOST = {"seed": 2**32 - 1}  # What Keras and NumPy take.
_OPTIONAL = ("train_images", "decay_every")
_ALLOWED = {
    "learning_rate": ("above 0", lambda x: x > 0),
    "weight_decay": ("of 0 or more", lambda x: x >= 0),
    "gradient_l1": ("of 0 or more", lambda x: x >= 0),
    "distillation": ("of 0 or more", lambda x: x >= 0),
    "distillation_temperature": ("above 0", lambda x: x > 0),
    "momentum": ("in [0, 1)", lambda x: 0 <= x < 1),
    "ema_momentum": ("in [0, 1)", lambda x: 0 <= x < 1),
    "decay_factor": ("in (0, 1]", lambda x: 0 < x <= 1),
}


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How `fit` trains.

    Attributes:
        epochs: Passes over the training images.
        learning_rate: Where the schedule starts.
        batch_size: Images per step; the last batch of an epoch may be smaller.
        optimizer: "sgd" or "adam".
        momentum: Of SGD; Adam does not use it.
        schedule: "cosine", from `learning_rate` to 0 in equal steps of angle,
            one per training step; "step", times `decay_factor` every
            `decay_every` epochs; or "constant".
        decay_every: Epochs between two decays of the schedule "step".
        decay_factor: Factor of each of these decays.
        warmup_epochs: Epochs in which the learning rate rises in equal steps
            from near 0 to that of the schedule; see `WarmUp`.
        gradient_accumulation_steps: Steps whose mean gradient makes one update
            of the weights, for batches that do not fit a GPU. The learning rate
            follows the steps, and what is left at the end of the training is
            lost. Keras 3 alone.
        ema_momentum: Momentum m of a moving average of the trained weights,
            average = m average + (1 - m) weights after each step, which
            replaces them at the end of each epoch; 0 for none. It begins with
            the weights after the first step (tf_keras: before it). Validation
            comes before the end: not together with select="best".
        weight_decay: The loss grows by weight_decay / 2 times the sum of
            squares of every kernel (not of biases, normalization, embeddings).
            It goes through the optimizer like any loss: L2 regularization, not
            decoupled decay.
        gradient_l1: The loss grows by gradient_l1 times the L1 norm of its
            gradients with respect to the kernels, KURE's rival: see
            `GradientL1Model`. Steps take three to four times as long.
        distillation: The loss grows by distillation times the cross-entropy of
            the model's answers with those of a teacher; see
            `DistillationModel`. Not together with `gradient_l1`.
        distillation_temperature: Divides the logits of both in that term.
        mixed_precision: None (the model's own), "mixed_bfloat16" or
            "mixed_float16" (with a dynamic loss scale). Layers that make the
            model's outputs stay in float32.
        seed: Seed of order, augmentation, dropout and `train_images`. Tools
            draw the initial weights with it too.
        augment: Augmentations by name: "flip", "shift" (4 pixels), "shift=2",
            "crop"; see `Split` and `StreamedSplit.training_batches`.
        select: Which weights are returned: those of the "last" epoch or of the
            one with the "best" validation accuracy (of targets: loss), the
            earliest of equals.
        train_images: Train on as many images, drawn with `seed`; None for all.
        frozen_batch_norm_epochs: In the last so many epochs batch
            normalization trains with its moving statistics, which no longer
            change; see `frozen_batch_norm`. For quantization-aware training.

    Raises:
        TypeError, ValueError: If a value is not one of those above.
    """

    epochs: int
    _: dataclasses.KW_ONLY
    learning_rate: float
    batch_size: int = 128
    optimizer: Literal["sgd", "adam"] = "sgd"
    momentum: float = 0.9
    schedule: Literal["cosine", "step", "constant"] = "cosine"
    decay_every: int | None = None
    decay_factor: float = 0.1
    warmup_epochs: int = 0
    gradient_accumulation_steps: int = 1
    ema_momentum: float = 0.0
    weight_decay: float = 0.0
    gradient_l1: float = 0.0
    distillation: float = 0.0
    distillation_temperature: float = 1.0
    mixed_precision: Literal[None, "mixed_bfloat16", "mixed_float16"] = None
    seed: int = 0
    augment: tuple[str, ...] = ()
    select: Literal["last", "best"] = "last"
    train_images: int | None = None
    frozen_batch_norm_epochs: int = 0

    def __post_init__(self):
        for field in dataclasses.fields(self):
            if typing.get_origin(field.type) is Literal:
                choices = typing.get_args(field.type)
                check_choice(field.name, getattr(self, field.name), choices)
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is not None or name not in _OPTIONAL:
                value = check_whole(name, value, least, _MOST.get(name))
                object.__setattr__(self, name, value)
        for name in ("frozen_batch_norm_epochs", "warmup_epochs"):
            what = f"{name}, which are among the epochs,"
            check_whole(what, getattr(self, name), 0, self.epochs)
        if self.schedule == "step":
            check_whole(
                "decay_every, which schedule='step' needs,", self.decay_every, 1
            )
        for name, allowed in _ALLOWED.items():
            value = check_real(name, getattr(self, name), *allowed)
            object.__setattr__(self, name, value)
        if self.gradient_l1 and self.distillation:
            raise ValueError(
                "Expected gradient_l1 or distillation, one term beside the "
                f"loss. Received: {self.gradient_l1} and {self.distillation}. "
                "Set one to 0."
            )
        self._check_optimizer()
        augment = self.augment
        augment = (augment,) if isinstance(augment, str) else augment
        parse_augmentation(augment)
        object.__setattr__(self, "augment", tuple(augment))

    def _check_optimizer(self):
        if self.gradient_accumulation_steps > 1 and not compat.IS_KERAS_3:
            raise ValueError(
                "gradient_accumulation_steps needs Keras 3: the optimizers of "
                "tf_keras do not accumulate gradients. Received: "
                f"{self.gradient_accumulation_steps}. Set it to 1, or the "
                "environment variable TF_USE_LEGACY_KERAS=0 (tools: "
                "--keras=keras3)."
            )
        if self.ema_momentum and self.select == "best":
            raise ValueError(
                "Expected select='last' with ema_momentum: an epoch is "
                "validated before its weights are replaced by their average. "
                f"Received: ema_momentum={self.ema_momentum}, select='best'."
            )

    @property
    def freezing_epoch(self):
        """The first epoch whose batch-norm statistics are frozen."""
        return self.epochs - self.frozen_batch_norm_epochs

    def make_optimizer(self, steps_per_epoch):
        """Returns a new optimizer of the active Keras.

        Its learning rate is a function of the number of steps it has made, so
        that it needs no state of its own when training is resumed.
        """
        learning_rate = self.learning_rate_schedule(steps_per_epoch)
        options = {}
        if self.gradient_accumulation_steps > 1:
            steps = self.gradient_accumulation_steps
            options["gradient_accumulation_steps"] = steps
        if self.ema_momentum:
            options |= {"use_ema": True, "ema_momentum": self.ema_momentum}
        if self.optimizer == "sgd":
            optimizer = keras.optimizers.SGD(
                learning_rate, momentum=self.momentum, **options
            )
        else:
            optimizer = keras.optimizers.Adam(learning_rate, **options)
        if self.mixed_precision == "mixed_float16":
            optimizer = keras.mixed_precision.LossScaleOptimizer(optimizer)
        return optimizer

    def learning_rate_schedule(self, steps_per_epoch):
        """Returns a function of the number of steps made, or a number."""
        rate = self._decayed_rate(steps_per_epoch)
        if self.warmup_epochs:
            rate = WarmUp(rate, self.warmup_epochs * steps_per_epoch)
        return rate

    def _decayed_rate(self, steps_per_epoch):
        schedules = keras.optimizers.schedules
        if self.schedule == "cosine":
            return schedules.CosineDecay(
                self.learning_rate, self.epochs * steps_per_epoch
            )
        decays = ()
        if self.schedule == "step":
            decays = range(self.decay_every, self.epochs, self.decay_every)
        if not decays:
            return self.learning_rate
        # A boundary is the last step before the change; steps count from 0.
        return schedules.PiecewiseConstantDecay(
            [epoch * steps_per_epoch - 1 for epoch in decays],
            [
                self.learning_rate * self.decay_factor**power
                for power in range(len(decays) + 1)
            ],
        )
