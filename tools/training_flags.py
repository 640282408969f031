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
FROZEN_BATCH_NORM_EPOCHS = flags.DEFINE_integer(
    "frozen_batch_norm_epochs",
    0,
    "Train the last so many epochs with batch-norm statistics frozen, as users "
    "of quantization-aware training do.",
    lower_bound=0,
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
QAT = flags.DEFINE_enum(
    "qat",
    None,
    ["lsq", "dorefa"],
    "Quantization-aware training by this method; default: none.",
)
WEIGHT_BITS = flags.DEFINE_string(
    "weight_bits", "4", "--qat: bits of the weights, or FP."
)
ACTIVATION_BITS = flags.DEFINE_string(
    "activation_bits", "4", "--qat: bits of the activations, or FP."
)
QAT_ENGINE = flags.DEFINE_enum(
    "qat_engine",
    None,
    ["native", "tfmot"],
    "--qat: who hosts the quantizers. Default: tfmot for tf_keras, native for "
    "Keras 3.",
)
QAT_SCHEME = flags.DEFINE_enum(
    "qat_scheme",
    "paper",
    ["paper", "tflite"],
    "--qat: which tensors, on which grids; see --scheme of tools/sweep.py.",
)
SAMPLED_WEIGHT_BITS = flags.DEFINE_list(
    "sampled_weight_bits",
    [],
    "--qat: move to weight bits drawn from these before every step, such as "
    "3,4,5,6,8,FP.",
)
SAMPLED_ACTIVATION_BITS = flags.DEFINE_list(
    "sampled_activation_bits",
    ["FP"],
    "With --sampled_weight_bits: bits of the activations to draw from.",
)
SAMPLED_STEP_SCALE = flags.DEFINE_list(
    "sampled_step_scale",
    [],
    "With --sampled_weight_bits: lowest and highest step ratio, such as "
    "0.8,1.3; default: none.",
)
SAMPLED_POWER_OF_TWO = flags.DEFINE_float(
    "sampled_power_of_two",
    0.0,
    "With --sampled_weight_bits: probability of power-of-two steps.",
    lower_bound=0.0,
    upper_bound=1.0,
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
        frozen_batch_norm_epochs=FROZEN_BATCH_NORM_EPOCHS.value,
        seed=seed,
    )


def kurtosis_layers():
    """Returns --kurtosis_layers as `regularize_kurtosis` takes it."""
    value = KURTOSIS_LAYERS.value
    if value in ("all_but_first", "convs_but_first"):
        return value
    return [name.strip() for name in value.split(",")]


def quantize_aware(model, dataset):
    """Returns `model` made quantization-aware, as --qat and its flags say."""
    import kure_tf

    point = kure_tf.OperatingPoint.parse(
        f"{WEIGHT_BITS.value}/{ACTIVATION_BITS.value}"
    )
    return kure_tf.quantize_aware(
        model,
        QAT.value,
        point.weight_bits,
        point.activation_bits,
        placement=QAT_SCHEME.value,
        calibration=dataset.calibration.batches(BATCH_SIZE.value),
        engine=QAT_ENGINE.value,
    )


def _sampled_precision(seed):
    """Returns the callbacks of --sampled_weight_bits: one, or none."""
    if not SAMPLED_WEIGHT_BITS.value:
        return []
    if QAT.value is None:
        raise ValueError(
            "--sampled_weight_bits moves a model through operating points "
            "while it is trained, which needs --qat=lsq or --qat=dorefa."
        )
    from kure_tf.qat import SampledPrecision
    from kure_tf.settings.operating_point import parse_bits

    scale = SAMPLED_STEP_SCALE.value
    return [
        SampledPrecision(
            [parse_bits(text) for text in SAMPLED_WEIGHT_BITS.value],
            [parse_bits(text) for text in SAMPLED_ACTIVATION_BITS.value],
            step_scale=tuple(float(end) for end in scale) or None,
            power_of_two=SAMPLED_POWER_OF_TWO.value,
            final=f"{WEIGHT_BITS.value}/{ACTIVATION_BITS.value}",
            seed=seed,
        )
    ]


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
    from kure_tf.evaluation import Evaluator
    from kure_tf.regularizers import choose_kernels, regularize_kurtosis
    from kure_tf.sweeps import array_hash, weight_kurtosis
    from kure_tf.training import KurtosisMonitor, fit

    record_path = folder / "training.json"
    if record_path.is_file() and (folder / "model.keras").is_file():
        print(f"Already trained: {folder / 'model.keras'}.", file=sys.stderr)
        model = common_flags.load_saved_model(folder / "model.keras")
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
    sampled = _sampled_precision(seed)
    if QAT.value is not None:
        model = quantize_aware(model, dataset)
    result = fit(
        model,
        dataset,
        recipe(seed),
        workdir=folder,
        tensorboard=TENSORBOARD.value,
        callbacks=[KurtosisMonitor(each_layer=False), *sampled],
    )
    measured = Evaluator(dataset.test, progress=True)(model)
    record = {
        "seed": seed,
        "kurtosis_coefficient": coefficient,
        "qat": QAT.value and _qat_record(),
        "augment": AUGMENT.value,
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


def _qat_record():
    return {
        "method": QAT.value,
        "point": f"{WEIGHT_BITS.value}/{ACTIVATION_BITS.value}",
        "scheme": QAT_SCHEME.value,
        "sampled_weight_bits": SAMPLED_WEIGHT_BITS.value,
    }
