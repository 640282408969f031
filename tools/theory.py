"""Tabulates and draws what theory says of quantizing known distributions.

python tools/theory.py --workdir=runs/theory

Section 3 of the KURE paper, corrected: best step, error, curvature and
sensitivity of uniform, normal and Laplace distributions with the paper's
values beside them; Figures 1 and 2; what holds of Theorem 4.
"""

import common_flags
from absl import flags
from fields import numbers

_GRID = flags.DEFINE_enum(
    "grid",
    "equation1",
    ["equation1", "full", "narrow", "reference", "unsigned"],
    "Which levels the quantizer has; the paper's formulas are those of "
    "equation1, and unsigned quantizes absolute values.",
)
_BITS = flags.DEFINE_list(
    "bits", None, "Bit-widths in 1..8; default: all that the grid has."
)
_FIGURE_BITS = flags.DEFINE_integer(
    "figure_bits", 4, "Bit-width of Figure 1.", lower_bound=1, upper_bound=8
)
_RATIOS = flags.DEFINE_list(
    "ratios",
    ["0.7", "0.8", "0.9", "1.1", "1.25", "1.5"],
    "Step ratios at which to say what a wrong step costs.",
)
_VALUES = flags.DEFINE_integer(
    "values", 10_000, "Values to simulate Figure 1 with.", lower_bound=1
)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of those.", lower_bound=0)
flags.adopt_module_key_flags(common_flags)


def main():
    from kure_tf.paper import theory_page as theory

    with common_flags.workdir() as folder:
        study = theory.make_study(
            _GRID.value,
            bits=_BITS.value and numbers(_BITS, int),
            figure_bits=_FIGURE_BITS.value,
            ratios=numbers(_RATIOS, float),
            values=_VALUES.value,
            seed=_SEED.value,
        )
        page = theory.save(study, folder)
        print((folder / "theory.md").read_text(encoding="utf-8"))
        print(f"Page: {page.resolve().as_uri()}")


if __name__ == "__main__":
    common_flags.run(main)
