"""The flag of the paper's reference code, which few sweeps need."""

from absl import flags

PARITY_POINTS = flags.DEFINE_multi_string(
    "parity_points",
    [],
    "Patterns at which weights are also put on the grid of the paper's "
    "reference code, whose zero moves (Fig. 4c-d); such as '4/FP "
    "x{0.98,1,1.02}'.",
)


def parity():
    """Returns what `runs.measure` is to measure for --parity_points."""
    if not PARITY_POINTS.value:
        return ()
    from kure_tf.paper import reference_parity
    from kure_tf.settings import all_points

    points = all_points(PARITY_POINTS.value)

    def measure(model, dataset, name):
        return reference_parity(
            model,
            dataset.test,
            points,
            name=name,
            provenance={"placement": "reference"},
        )

    return (measure,)
