"""Ways to round weights in a sweep."""

ROUNDINGS = ("nearest", "adaround")
SUFFIX = " + adaround"
"""What reports add to the name of the PTQ method that gave the steps."""


def check_roundings(roundings):
    """Raises a ValueError unless there are some, all of them known."""
    if not roundings or not set(roundings) <= set(ROUNDINGS):
        raise ValueError(
            "Expected ways to round weights, one or both of "
            f"{ROUNDINGS}. Received: {roundings!r}."
        )
