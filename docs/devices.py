"""Pages of the devices: one for each built-in profile, from its data."""

import json
import pathlib

_ROOT = pathlib.Path(__file__).parents[1]
_HOW = """
## Does a model stay within a budget there?

```bash
python tools/devices.py --model=runs/kure/model.keras --profiles={name} \\
    --workdir=runs/devices
```

The simulation is one of grids and steps, not of how integer kernels round \
between layers; for LiteRT's own rounding export a file \
([guide](../guide.md)).
"""
_INDEX = """# Devices

A profile is a class of devices as data: its grids, its granularity, what \
becomes of batch norm and of the ends of the network. \
[`check_devices`](../reference/kure_tf.sweeps.md#kure_tf.sweeps.check_devices) \
evaluates a model on each of them against an accuracy budget; a profile of \
your own is a JSON file of the same members. \
[Real devices](../real_devices.md) says what vendors state of theirs.

| Profile | Point | Weights | Activations |
|---|---|---|---|
"""
_MEMBERS = {
    "point": "Operating point",
    "weight_grid": "Grid of the weights",
    "weight_granularity": "One weight step per",
    "activation_grid": "Grid of the activations",
    "fold_batch_norm": "Batch norm folded",
    "first_layer": "First layer",
    "last_layer": "Last layer",
    "reestimate_batch_norm": "Batch norm measured again",
    "source": "Source",
}


def pages():
    """Returns `{path: Markdown}`."""
    path = _ROOT / "kure_tf" / "sweeps" / "device_profiles.json"
    profiles = json.loads(path.read_text(encoding="utf-8"))
    index = _INDEX + "".join(map(_row, profiles))
    return {
        "devices/index.md": index,
        **{f"devices/{one['name']}.md": _page(one) for one in profiles},
    }


def _row(one):
    return (
        f"| [{one['name']}]({one['name']}.md) | `{one['point']}` | "
        f"{one['weight_grid']}, {_text(one['weight_granularity'])} | "
        f"{one['activation_grid']} |\n"
    )


def _page(one):
    rows = "".join(
        f"* {title}: {_text(one[member])}\n"
        for member, title in _MEMBERS.items()
        if member in one
    )
    return f"# {one['name']}\n\n{one['description']}\n\n{rows}" + _HOW.format(
        name=one["name"]
    )


def _text(value):
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value).removeprefix("per_")
