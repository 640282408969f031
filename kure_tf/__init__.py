"""kure_tf: Keras models that survive quantization.

Kurtosis regularization (KURE) of "Robust Quantization: One Model to Rule Them
All" (Shkolnik et al., NeurIPS 2020), and what goes with it: fake quantization,
calibration, robustness sweeps, reports and LiteRT files.

What most programs need is here; the rest is in the sub-packages:

    ops             kurtosis, grids, fake quantization; no Keras
    regularizers    KurtosisRegularizer and how to attach it
    settings        operating points, their patterns, StepSizes, Setting
    quantizers      how one tensor is quantized
    fake_quantized  placement, fake-quantized models, batch-norm folding
    integer_graph   a fake-quantized model as integers, for a device
    ptq             calibration; minmax, lp_norm, uniform, aciq, lapq, ...
    qat             quantize_aware: LSQ, DoReFa, sampled precision
    sweeps          plans, the loop over points, devices
    measurements    rows, runs, reports
    pages           what draws a report: tables, plots, HTML
    export          LiteRT files and their verification
    artifact        one file for all bit-widths
    models, data    small_cnn, resnet20; digits, any TFDS set
    training        fit, Recipe, KurtosisMonitor
    runs            what the tools do with a folder, without flags
"""

import importlib

from kure_tf.compat import Kernel
from kure_tf.fake_quantized import (
    apply,
    fake_quantize_model,
    keeping,
    set_operating_point,
    set_step_sizes,
)
from kure_tf.ops import kurtosis
from kure_tf.regularizers import (
    KurtosisRegularizer,
    SumRegularizer,
    regularize_kurtosis,
)
from kure_tf.settings import OperatingPoint, Setting
from kure_tf.version import __version__

_HEAVIER = {
    "KurtosisMonitor": "kure_tf.training",
    "quantize_aware": "kure_tf.qat",
    "evaluate_robustness": "kure_tf.sweeps",
    "run_sweep": "kure_tf.sweeps",
    "to_tflite": "kure_tf.export",
}

__all__ = [
    "Kernel",
    "KurtosisMonitor",
    "KurtosisRegularizer",
    "OperatingPoint",
    "Setting",
    "SumRegularizer",
    "__version__",
    "apply",
    "evaluate_robustness",
    "fake_quantize_model",
    "keeping",
    "kurtosis",
    "quantize_aware",
    "regularize_kurtosis",
    "run_sweep",
    "set_operating_point",
    "set_step_sizes",
    "to_tflite",
]


def __getattr__(name):
    # These resolve when they are first used, so that `import kure_tf` pulls
    # in no more than a model with KURE needs.
    if name not in _HEAVIER:
        raise AttributeError(f"module 'kure_tf' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HEAVIER[name]), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted({*globals(), *__all__})
