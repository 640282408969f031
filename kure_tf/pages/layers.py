"""Layers measured one at a time, and what each of them costs."""

import dataclasses
import math

from kure_tf.pages.place import LAYERS, Place
from kure_tf.pages.series import places_of


def layer_profiles(series) -> dict[Place, dict[str, Place]]:
    """Returns `{profile: {layer: place}}`.

    A profile is what its places have in common: a place without a layer.
    """
    profiles = {}
    for place in places_of(series, LAYERS):
        profile = dataclasses.replace(place, layer=None)
        profiles.setdefault(profile, {})[place.layer] = place
    return profiles


def profile_label(profile, methods=()) -> str:
    """Returns "4/FP among 8/FP, minmax"; `methods` as in `Method.label`."""
    among = "" if profile.others is None else f" among {profile.others}"
    parts = [f"{profile.point}{among}", profile.method.label(methods)]
    if profile.calibration_seed is not None:
        parts.append(f"calibration seed {profile.calibration_seed}")
    return ", ".join(parts)


def drops(one, profile, layers) -> dict:
    """Returns `{layer: (value lost, its standard error)}` of a `Series`.

    Against the float model where the layer was alone, else against all layers
    at the point of the others. Layers of which it is not known are left out.

    Args:
        one: A `Series`.
        profile, layers: An item of `layer_profiles`.
    """
    if profile.others is None:
        reference = one.float_reference(profile.method)
    else:
        others = Place(profile.method, profile.others)
        reference = one.estimates.get(others)
    return {
        layer: reference.ahead_of(one.estimates[place])
        for layer, place in layers.items()
        if reference is not None and place in one.estimates
    }


def worst_first(lost, layers) -> list[str]:
    """Returns `layers`, sorted by the largest drop of any series.

    Args:
        lost: What `drops` returned for each series.
        layers: Their names.
    """

    def largest(layer):
        known = [drops[layer][0] for drops in lost if layer in drops]
        return -max(known, default=-math.inf)

    return sorted(layers, key=largest)
