"""Flags of training: those of `Recipe`, `Kure` and `Qat`."""

import common_flags
import metric_flag
from absl import flags
from fields import Fields, numbers

_RECIPE = Fields(
    "kure_tf.training.recipe.Recipe",
    epochs=30,
    learning_rate=0.05,
    weight_decay=1e-4,
)
_KURE = Fields("kure_tf.runs.kure.Kure", prefix="kurtosis_")
_SAMPLED = ("weight_bits", "activation_bits", "step_scale", "power_of_two")
_QAT = Fields(
    "kure_tf.runs.qat.Qat",
    prefix="qat_",
    renamed={
        "method": "qat",
        **{f"sampled_{what}": f"sampled_{what}" for what in _SAMPLED},
    },
)
_VALIDATION_COUNT = flags.DEFINE_integer(
    "validation_count",
    0,
    "TFDS: images held out of training to validate on.",
    lower_bound=0,
)
_TEACHER = flags.DEFINE_string(
    "teacher",
    None,
    "Saved .keras file of the model that --distillation learns from. Default: "
    "the model that training starts from, before quantization.",
)
_TENSORBOARD = flags.DEFINE_bool(
    "tensorboard", False, "Write TensorBoard logs to the workdir."
)
_SEEDS = flags.DEFINE_list(
    "seeds", [], "Repeat everything with these seeds; default: --seed."
)
flags.adopt_module_key_flags(metric_flag)
common_flags.gone(
    runs="Write the seeds: --seeds=0,1,2.",
    weight_bits="Write --qat_point, the operating point: --qat_point=4/8.",
    activation_bits="Write --qat_point, the operating point: --qat_point=4/8.",
)


def recipe():
    """Returns the training recipe that the flags describe."""
    return _RECIPE.made()


def kure():
    """Returns the `Kure` that the flags describe."""
    return _KURE.made()


def seeds():
    """Returns --seeds, or --seed alone."""
    return numbers(_SEEDS, int) or [flags.FLAGS.seed]


def load_dataset():
    """Returns the data set that the flags name, with a validation split."""
    return common_flags.load_dataset(validation_count=_VALIDATION_COUNT.value)


def options():
    """Returns the further arguments of `runs.train`."""
    if flags.FLAGS.sampled_weight_bits and not flags.FLAGS.qat:
        raise ValueError(
            "--sampled_weight_bits moves a model through operating points "
            "while it is trained, which needs --qat=lsq, nested_lsq or dorefa."
        )
    return {
        "qat": _QAT.made() if flags.FLAGS.qat else None,
        "teacher": _teacher(),
        "metric": metric_flag.metric(),
        "tensorboard": _TENSORBOARD.value,
    }


def _teacher():
    if not _TEACHER.value:
        return None
    if not flags.FLAGS.distillation:
        raise ValueError(
            "Expected --distillation above 0, such as --distillation=1, where "
            "--teacher names what to learn from. Received: --distillation=0."
        )
    from kure_tf import runs

    return runs.load_saved_model(
        _TEACHER.value, safe_mode=not common_flags.ALLOW_CODE.value
    )
