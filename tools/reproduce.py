"""Repeats the paper's tables and figures and sets them beside its numbers.

python tools/reproduce.py --experiment=fig3b --scale=digits \\
    --workdir=runs/reproduce

Trains and measures what the experiment needs, each step by another tool and
the flagfiles of configs/reproduce, then writes WORKDIR/SCALE/NAME.html. Steps
that several experiments share run once; killed and started again, it goes on
where it was. --experiment=all takes all of them, --dry_run shows the commands.
"""

import pathlib

import common_flags
from absl import flags

_EXPERIMENT = flags.DEFINE_list(
    "experiment",
    None,
    "Which: fig1, fig2, fig3a, fig3b, fig3c, fig4ab, fig4cd, fig5, figA1, "
    "figA2, table1, table2, tableA5, tableA6, several of them, or all.",
)
_SCALE = flags.DEFINE_enum(
    "scale",
    "digits",
    ["digits", "cifar10_jpeg", "imagenet"],
    "Model and data: small_cnn on the bundled digits, ResNet-20 on "
    "cifar10_jpeg, or the paper's own nets and settings.",
)
_DRY_RUN = flags.DEFINE_bool(
    "dry_run", False, "Print the commands that would run, and nothing else."
)
for _flag in ("workdir", "data_dir", "keras"):
    flags.declare_key_flag(_flag)

_ROOT = pathlib.Path(__file__).resolve().parent.parent


def main():
    from kure_tf.paper import experiments
    from kure_tf.paper.reproduce import Reproduction

    reproduction = Reproduction(
        _ROOT,
        _absolute(common_flags.WORKDIR.value),
        _SCALE.value,
        data_flags=_passed_on(common_flags.DATA_DIR, _absolute),
        flags=_passed_on(common_flags.KERAS),
    )
    names = _names(experiments.NAMES)
    if not _DRY_RUN.value:
        reproduction.run(names, lambda line: print(line, flush=True))
        return
    chosen = [experiments.get(name, _SCALE.value) for name in names]
    steps = [step for one in chosen for step in reproduction.steps(one)]
    print("\n".join(dict.fromkeys(step.text() for step in steps)))


def _absolute(path):
    return pathlib.Path(path).resolve()


def _names(known):
    chosen = _EXPERIMENT.value
    if not chosen:
        raise ValueError(
            "tools/reproduce.py needs --experiment: one or several of "
            f"{', '.join(known)}; or all."
        )
    return known if chosen == ["all"] else chosen


def _passed_on(flag, convert=str):
    """Returns a flag for the tools that run the steps, if it was given."""
    return (f"--{flag.name}={convert(flag.value)}",) if flag.value else ()


if __name__ == "__main__":
    common_flags.run(main)
