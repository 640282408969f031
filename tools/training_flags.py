"""Flags of training, and the one function that trains by them."""

import sys

import common_flags
from absl import flags

EPOCHS = flags.DEFINE_integer(
    "epochs", 30, "Passes over the training images.", lower_bound=1
)
BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", 128, "Images per training step.", lower_bound=1
)
OPTIMIZER = flags.DEFINE_enum("optimizer", "sgd", ["sgd", "adam"], "Optimizer.")
LEARNING_RATE = flags.DEFINE_float(
    "learning_rate", 0.05, "Learning rate that the schedule starts from."
)
MOMENTUM = flags.DEFINE_float("momentum", 0.9, "Momentum of SGD.")
SCHEDULE = flags.DEFINE_enum(
    "schedule",
    "cosine",
    ["cosine", "step", "constant"],
    "Learning-rate schedule; 'step' multiplies by --decay_factor every "
    "--decay_every epochs.",
)
DECAY_EVERY = flags.DEFINE_integer("decay_every", None, "See --schedule.")
DECAY_FACTOR = flags.DEFINE_float("decay_factor", 0.1, "See --schedule.")
WEIGHT_DECAY = flags.DEFINE_float(
    "weight_decay", 1e-4, "Factor of half the squared norm of every kernel."
)
GRADIENT_L1 = flags.DEFINE_float(
    "gradient_l1",
    0.0,
    "Factor of the L1 norm of the loss's gradients, KURE's rival (Alizadeh et "
    "al. 2020); steps take three to four times as long.",
)
MIXED_PRECISION = flags.DEFINE_enum(
    "mixed_precision",
    None,
    ["mixed_bfloat16", "mixed_float16"],
    "Precision of the training steps; weights stay float32.",
)
AUGMENT = flags.DEFINE_list(
    "augment",
    [],
    "Augmentations: 'flip'; 'shift' (4 pixels) or 'shift=2' where images are "
    "held in memory; 'crop' where they are read from disk (imagenet).",
)
SELECT = flags.DEFINE_enum(
    "select",
    "last",
    ["last", "best"],
    "Keep the last epoch, or the one with the best validation accuracy.",
)
TRAIN_IMAGES = flags.DEFINE_integer(
    "train_images", None, "Train on so many images, drawn with the seed."
)
SEED = flags.DEFINE_integer(
    "seed", 0, "Seed of initial weights, order and augmentation."
)
TENSORBOARD = flags.DEFINE_bool(
    "tensorboard", False, "Write TensorBoard logs to the workdir."
)
KURTOSIS_TARGET = flags.DEFINE_float(
    "kurtosis_target", 1.8, "K_T of Eq. 15; 1.8 is uniform."
)
KURTOSIS_COEFFICIENT = flags.DEFINE_float(
    "kurtosis_coefficient",
    0.0,
    "lambda of Eq. 14; each of the L kernels gets lambda / L. 0 trains "
    "without KURE.",
)
KURTOSIS_LAYERS = flags.DEFINE_string(
    "kurtosis_layers",
    "all_but_first",
    "'all_but_first', 'convs_but_first' (the paper's code), or layer names "
    "separated by commas.",
)
KURTOSIS_GRANULARITY = flags.DEFINE_enum(
    "kurtosis_granularity",
    "per_tensor",
    ["per_tensor", "per_channel"],
    "One kurtosis for a kernel, or one for each output channel.",
)


def recipe(seed):
    """Returns the training recipe that the flags describe."""
    from kure_tf.training import Recipe

    return Recipe(
        EPOCHS.value,
        learning_rate=LEARNING_RATE.value,
        batch_size=BATCH_SIZE.value,
        optimizer=OPTIMIZER.value,
        momentum=MOMENTUM.value,
        schedule=SCHEDULE.value,
        decay_every=DECAY_EVERY.value,
        decay_factor=DECAY_FACTOR.value,
        weight_decay=WEIGHT_DECAY.value,
        gradient_l1=GRADIENT_L1.value,
        mixed_precision=MIXED_PRECISION.value,
        augment=tuple(AUGMENT.value),
        select=SELECT.value,
        train_images=TRAIN_IMAGES.value,
        seed=seed,
    )


def kurtosis_layers():
    """Returns --kurtosis_layers as `regularize_kurtosis` takes it."""
    value = KURTOSIS_LAYERS.value
    if value in ("all_but_first", "convs_but_first"):
        return value
    return [name.strip() for name in value.split(",")]


def train(dataset, folder, *, coefficient, seed):
    """Trains by the flags and keeps what came out in `folder`.

    Args:
        dataset: The data set.
        folder: Gets checkpoint.npz while training, then model.keras and
            training.json. What is finished there is not repeated.
        coefficient: lambda of Eq. 14.
        seed: Seed of this run.

    Returns:
        The trained model and the content of training.json.
    """
    import json

    from kure_tf import compat
    from kure_tf.regularizers import choose_kernels, regularize_kurtosis
    from kure_tf.sweeps import Evaluator, array_hash, weight_kurtosis
    from kure_tf.training import KurtosisMonitor, fit

    record_path = folder / "training.json"
    if record_path.is_file() and (folder / "model.keras").is_file():
        print(f"Already trained: {folder / 'model.keras'}.", file=sys.stderr)
        model = compat.load_model(folder / "model.keras")
        return model, json.loads(record_path.read_text())
    compat.keras.utils.set_random_seed(seed)
    model = common_flags.load_model(dataset)
    layers = kurtosis_layers()
    chosen, _ = choose_kernels(model, layers)
    if coefficient:
        model = regularize_kurtosis(
            model,
            KURTOSIS_TARGET.value,
            coefficient,
            granularity=KURTOSIS_GRANULARITY.value,
            layers=layers,
        )
    before = weight_kurtosis(model)
    result = fit(
        model,
        dataset,
        recipe(seed),
        workdir=folder,
        tensorboard=TENSORBOARD.value,
        callbacks=[KurtosisMonitor(each_layer=False)],
    )
    measured = Evaluator(dataset.test, progress=True)(model)
    record = {
        "seed": seed,
        "kurtosis_coefficient": coefficient,
        "chosen_layers": list(chosen),
        "history": list(result.history),
        "seconds": result.seconds,
        "checkpoint_hash": array_hash(model),
        "test": measured,
        "kurtosis": {
            path: {
                "before": before[path],
                "after": after,
                "regularized": bool(coefficient)
                and path.rpartition("/")[0] in chosen,
            }
            for path, after in weight_kurtosis(model).items()
        },
    }
    common_flags.save_model(model, folder / "model.keras")
    common_flags.write_json(record_path, record)
    return model, record
