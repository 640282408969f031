"""Settings by a PTQ method's name and calibration batches."""

from kure_tf.fake_quantized import keeping
from kure_tf.ptq import METHODS, Calibration, calibrate, settings_for
from kure_tf.sweeps.methods import method_named


def calibrated_settings(model, ptq, calibration, *, progress=True):
    """Returns `(what reports call the method, setting_for)`.

    Args:
        model: A fake-quantized model, which is left as it was.
        ptq: The method, as for `method_named`.
        calibration: Batches for `ptq.calibrate`, or what it returned.
        progress: Whether to show a progress bar.

    Raises:
        TypeError, ValueError: As `method_named` and `ptq.calibrate`.
    """
    name, method = method_named(ptq)
    if not isinstance(calibration, Calibration):
        with keeping(model):
            calibration = calibrate(model, calibration, progress=progress)
    return name, settings_for(calibration, method)


def check_label(ptq):
    """Raises a ValueError if rows would name a method that nothing runs."""
    if ptq is not None and ptq.partition(" ")[0] in METHODS:
        raise ValueError(
            f"Expected what the PTQ method {ptq!r} is to look at: "
            "calibration= some batches of training images; or setting_for="
            "ptq.settings_for(calibration, method), with ptq as its name for "
            "the rows. Received neither."
        )
