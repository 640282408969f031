"""Sweeps: operating points x `evaluate` -> rows of a report."""

from kure_tf.sweeps.device_profile import (
    DeviceProfile,
    builtin_profiles,
    device_profiles,
)
from kure_tf.sweeps.devices import check_devices
from kure_tf.sweeps.evaluate_robustness import evaluate_robustness
from kure_tf.sweeps.methods import method_named
from kure_tf.sweeps.plan import SweepPlan
from kure_tf.sweeps.provenance import (
    kurtosis_facts,
    versions,
    weight_histograms,
    weight_kurtosis,
)
from kure_tf.sweeps.robustness import measure_robustness
from kure_tf.sweeps.run import run_sweep
from kure_tf.sweeps.sensitivity import measure_sensitivity, sensitivity_points

__all__ = [
    "DeviceProfile",
    "SweepPlan",
    "builtin_profiles",
    "check_devices",
    "device_profiles",
    "evaluate_robustness",
    "measure_robustness",
    "measure_sensitivity",
    "method_named",
    "run_sweep",
    "sensitivity_points",
    "versions",
    "weight_histograms",
    "kurtosis_facts",
    "weight_kurtosis",
]
