"""The page "What the paper says and what we measured", from results/."""

import json
import pathlib

_ROOT = pathlib.Path(__file__).parents[1]
_SCALES = {
    "cifar10_jpeg": "ResNet-20 on CIFAR-10, one seed, 10,000 test images",
    "digits": "a small CNN on 8x8 digits, 500 test images",
}
_ABOUT = """# What the paper says and what we measured

{claims} claims of the KURE paper (Shkolnik et al., NeurIPS 2020), from its \
tables and figures: {counts} at the scale of CIFAR-10.

The paper's numbers are of ImageNet and its own nets; ours are of small ones. \
So it is the shape that is compared: which run is ahead, and where. A claim of \
accuracies "agrees" where the lead has the paper's sign beyond two standard \
errors; it is "too close to call" within them.

The numbers come from the files under `results/reproduce`, which \
`tools/reproduce.py` writes; tables and plots of each experiment are there.
"""


def pages():
    """Returns `{path: Markdown}`."""
    found = {scale: _outcomes(scale) for scale in _SCALES}
    claims = [one["verdict"] for one in _claims(found["cifar10_jpeg"])]
    counts = ", ".join(
        f"{claims.count(verdict)} {word}"
        for verdict, word in (
            ("agrees", "agree"),
            ("differs", "differ"),
            ("too close to call", "are too close to call"),
            ("not measured", "were not measured"),
        )
        if verdict in claims
    )
    text = _ABOUT.format(claims=len(claims), counts=counts)
    for scale, outcomes in found.items():
        text += f"\n## Measured with {_SCALES[scale]}\n"
        text += "".join(map(_experiment, outcomes))
    return {"paper.md": text}


def _outcomes(scale):
    folder = _ROOT / "results" / "reproduce" / scale
    paths = sorted(folder.glob("*.json"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def _claims(outcomes):
    for outcome in outcomes:
        for panel in outcome["panels"]:
            yield from panel["claims"]


def _experiment(outcome):
    lines = [f"\n### {outcome['title']}\n"]
    for panel in outcome["panels"]:
        about = f"{panel['about']} Here: {panel['measured_on']}."
        lines += [f"\n{panel['title']}. {about}\n", "| Claim | Verdict |"]
        lines.append("|---|---|")
        for claim in panel["claims"]:
            lines.append(f"| {claim['text']} | {claim['verdict']} |")
    return "\n".join(lines) + "\n"
