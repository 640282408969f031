"""A study as one self-contained page."""

import importlib.resources
import json

from kure_tf.pages.elements import Key, Part, Section, run_keys
from kure_tf.pages.page import Page
from kure_tf.paper.theory_page import plots, tables


def study_page(study) -> Page:
    """Returns the page of a `Study`; needs matplotlib."""
    return Page(
        "Quantization of uniform, normal and Laplace distributions",
        (
            "KURE paper, section 3",
            f"grid '{study.grid}'",
            _bits(study),
            f"curves at {study.figure_bits} bits",
            f"{study.values:,} simulated values, seed {study.seed}",
        ),
        summarize(study),
        (_theorem(study), _figure_1(study), _figure_2(study), _corrections()),
    )


def summarize(study) -> str:
    """Returns in words what Theorem 4 comes to on this grid."""
    found = study.comparisons["normal"]
    ratios = [one.mse_ratio for one in found]
    curvatures = [one.curvature_ratio for one in found]
    text = (
        f"At equal variance, on the grid '{study.grid}', the smallest error "
        f"of a uniform distribution is {_span(ratios)} times below that of a "
        f"normal one ({_bits(study)}). Its curvature at the optimum is "
        f"{_span(curvatures)} times that of the normal"
    )
    if min(curvatures) > 1:
        text += (
            ", the reverse of the paper's Theorem 4: small deviations of the "
            "step cost it more, and so does a step that is too small."
        )
    else:
        text += "."
    forgiving = [one.uniform.bits for one in found if one.equal_cost_ratio]
    if forgiving:
        text += (
            " What it forgives is a step that is clearly too large, from "
            f"{forgiving[0]} bits on."
        )
    return text


def _bits(study):
    low, high = study.bits[0], study.bits[-1]
    return f"{low} to {high} bits" if low != high else f"{low} bits"


def _span(values):
    low, high = f"{min(values):.1f}", f"{max(values):.1f}"
    return low if low == high else f"{low} to {high}"


def _theorem(study):
    parts = [_legend(), Part("panels", plots.ratio_plots(study))]
    for rival in study.comparisons:
        table = tables.theorem_table(study, rival)
        parts += [Part("heading", table.title), Part("table", table)]
    return Section("Theorem 4, as it holds", tuple(parts))


def _figure_1(study):
    text = f"simulated with {study.values:,} values"
    marks = [Key(text, marker=0, hollow=True)]
    if any(one.paper is not None for one in study.curves):
        text = "the paper's Eq. 5 or 9, where it holds"
        marks.append(Key(text, dashes="3 3"))
    return Section(
        f"Figure 1: error against the step size, {study.figure_bits} bits",
        (
            _legend(marks),
            Part("panels", plots.step_plots(study)),
            Part(
                "caption",
                "Lines: exact. A vertical line marks the best step. The "
                "curvature of the uniform falls in a line and jumps whenever "
                "a level is no longer reached, so that its zeros say little "
                "about robustness; that of the others falls to zero. Large "
                "curvatures at small steps are cut off. Simulated errors "
                "scatter where a few values far out make most of the error.",
            ),
        ),
    )


def _figure_2(study):
    return Section(
        "Figure 2: the smallest error against bits",
        (
            _legend(),
            Part("panels", plots.bits_plots(study)),
            Part("table", tables.optimum_table(study)),
        ),
    )


def _corrections():
    path = importlib.resources.files(__package__) / "corrections.json"
    notes = [
        (one["where"], f"{one['printed']}. What holds: {one['holds']}.")
        for one in json.loads(path.read_text(encoding="utf-8"))
    ]
    return Section(
        "What the paper prints and what holds", (Part("notes", notes),)
    )


def _legend(more=()):
    return Part("legend", [*run_keys(plots.LABELS.values()), *more])
