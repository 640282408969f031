"""PTQ methods as a plan names them."""

import functools

from kure_tf import ptq
from kure_tf.ptq.lp_norm import check_norm
from kure_tf.ptq.predefined import check_allowed
from kure_tf.sweeps.kinds import CALIBRATION_SEED

ADAROUND = " + adaround"
"""What follows the name of the method whose steps learned rounding is for."""


def method_named(text):
    """Returns `(what reports call it, PTQ method)`.

    Args:
        text: A name of `ptq.METHODS`; "lp_norm p=2.4" for another norm than 2,
            the MSE; "predefined 0.01,0.02,0.05" for a choice out of these step
            sizes; or "trained", whose method is None, to keep the clipping
            ranges of a model that has quantizers already.

    Raises:
        ValueError: If there is no such method.
    """
    if text == "trained":
        return text, None
    name, _, options = text.partition(" ")
    if name == "lp_norm":
        p = _number(options.strip().removeprefix("p="), text, default=2.0)
        check_norm(p)
        return f"lp_norm p={p:g}", functools.partial(ptq.lp_norm, p=p)
    if name == "predefined":
        steps = [_number(step, text) for step in options.split(",")]
        allowed = check_allowed(steps)
        name = f"predefined {','.join(f'{step:g}' for step in allowed)}"
        return name, functools.partial(ptq.predefined, allowed=allowed)
    if set(text.split(",")) <= {*ptq.METHODS, "trained"} and "," in text:
        raise ValueError(
            "Expected one PTQ method, for the points that name none. Received: "
            f"{text!r}. Name the others before their points: "
            f"--points='{text.partition(',')[0]}: {{8..2}}/FP'."
        )
    return text, ptq.get(text)


def check_method(sweep, methods, placement):
    """Raises a ValueError if a method cannot do what is `Planned`.

    `methods` has them by the names that reports have.
    """
    if sweep.method is None:
        return
    name = sweep.method.removesuffix(ADAROUND)
    if methods[name] is None and name != sweep.method:
        raise ValueError(
            "Expected a PTQ method that finds step sizes, one of "
            f"{ptq.METHODS}, whose weights adaround rounds. "
            f"Received: {sweep.method!r}."
        )
    if methods[name] is None and sweep.kind == CALIBRATION_SEED:
        raise ValueError(
            "Expected a PTQ method that looks at calibration images, to "
            "measure what other draws of them change. Received: "
            f"'{name} {sweep.kind}'."
        )
    if name == "learned_steps" and placement.fold_batch_norm:
        raise ValueError(
            "Expected a placement with batch normalization: 'learned_steps' "
            "learns step sizes for a network whose batch norm is "
            f"re-estimated, and the placement {placement.name!r} folds it, so "
            "that none is left. Take another method: 'lapq_gradient'."
        )


def _number(text, method, default=None):
    try:
        return default if default and not text else float(text)
    except ValueError:
        raise ValueError(
            "Expected 'lp_norm p=2' with the norm, or 'predefined "
            "0.01,0.02,0.05' with the step sizes to choose from. Received: "
            f"{method!r}."
        ) from None
