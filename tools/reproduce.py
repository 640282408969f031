"""Repeats the paper's tables and figures and sets them beside its numbers.

python tools/reproduce.py --experiment=fig3b --scale=digits \\
    --workdir=runs/reproduce

Trains and measures what the experiment needs, each step by another tool and
the flagfiles of configs/reproduce, then writes WORKDIR/SCALE/NAME.html. Steps
that several experiments share run once; killed and started again, it goes on
where it was. --experiment=all takes all of them, --dry_run shows the commands.
"""

import hashlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

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
_CONFIGS = pathlib.Path("configs/reproduce")
_RECORD = "reproduce.json"


def main():
    from kure_tf.paper import experiments as reproduction

    folder = _folder()
    experiments = [
        reproduction.get(name, _SCALE.value)
        for name in _names(reproduction.NAMES)
    ]
    plan = {e.name: _steps(e, folder) for e in experiments}
    if _DRY_RUN.value:
        for step in _each_once(plan):
            print(step.text())
        return
    # Ended from outside, it ends the step that is running, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    outcomes = []
    for experiment in experiments:
        for step in plan[experiment.name]:
            step.run()
        outcome = reproduction.collect(
            experiment,
            _SCALE.value,
            folder,
            [step.record() for step in plan[experiment.name]],
        )
        page = reproduction.save(outcome, folder)
        outcomes.append(outcome)
        print(f"{experiment.title}. {outcome.sentence}")
        print(f"Page: {page.resolve().as_uri()}", flush=True)
    if len(outcomes) > 1:
        page = reproduction.save_index(outcomes, folder)
        print(f"All: {page.resolve().as_uri()}")


def _folder():
    if not common_flags.WORKDIR.value:
        raise ValueError(
            "tools/reproduce.py needs --workdir, the folder for models and "
            "results. For instance: --workdir=runs/reproduce."
        )
    return pathlib.Path(common_flags.WORKDIR.value).resolve() / _SCALE.value


def _names(known):
    chosen = _EXPERIMENT.value
    if not chosen:
        raise ValueError(
            "tools/reproduce.py needs --experiment: one or several of "
            f"{', '.join(known)}; or all."
        )
    return known if chosen == ["all"] else chosen


def _each_once(plan):
    return list(
        dict.fromkeys(step for steps in plan.values() for step in steps)
    )


def _steps(experiment, folder):
    """Returns the steps of an experiment: models before what needs them."""
    steps = []
    for model, sweep in experiment.measurements():
        if sweep == "theory":
            steps.append(_theory(folder))
            continue
        steps += _training(model, folder)
        if sweep == "weights":
            steps.append(_Weights(folder / model))
        else:
            steps.append(_sweep(model, sweep, folder))
    return list(dict.fromkeys(steps))


def _theory(folder):
    return _Command("theory", "theory", folder / "theory", ())


def _training(model, folder):
    """Returns the steps that train a model, its start among them."""
    name, _, seed = model.partition("_seed")
    more, before = [f"--seed={seed or 0}"], []
    if _SCALE.value == "digits" and name.startswith(("lsq_", "dorefa_")):
        # There are no published weights to start from.
        before = _training("plain", folder)
        more.append(f"--model={folder / 'plain' / 'model.keras'}")
    files = (_CONFIGS / _SCALE.value / f"{name}.cfg",)
    return [*before, _Command(model, "train", folder / model, files, more)]


def _sweep(model, sweep, folder):
    own = _CONFIGS / _SCALE.value / f"sweep_{sweep}.cfg"
    files = [
        _CONFIGS / _SCALE.value / "data.cfg",
        _CONFIGS / "sweeps" / f"{sweep}.cfg",
        *([own] if (_ROOT / own).is_file() else []),
    ]
    more = [
        f"--model={folder / model / 'model.keras'}",
        f"--name={model}",
    ]
    return _Command(
        f"{model}/{sweep}", "sweep", folder / model / sweep, files, more
    )


class _Command:
    """A step that another tool runs; it knows whether it is done.

    Args:
        name: What tables call it.
        tool: Name of the tool.
        folder: Its --workdir.
        flagfiles: Paths from the root of the repository.
        more: Further flags.
    """

    def __init__(self, name, tool, folder, flagfiles, more=()):
        self.name, self._folder = name, folder
        self._flagfiles = [str(path) for path in flagfiles]
        shared = []
        if common_flags.DATA_DIR.value and tool != "theory":
            data_dir = pathlib.Path(common_flags.DATA_DIR.value).resolve()
            shared.append(f"--data_dir={data_dir}")
        if common_flags.KERAS.value:
            shared.append(f"--keras={common_flags.KERAS.value}")
        self._arguments = [
            f"tools/{tool}.py",
            *(f"--flagfile={path}" for path in self._flagfiles),
            *more,
            *shared,
            f"--workdir={folder}",
        ]

    def __eq__(self, other):
        return type(self) is type(other) and self.text() == other.text()

    def __hash__(self):
        return hash(self.text())

    def text(self) -> str:
        """Returns the command as one would type it."""
        return " ".join(["python", *self._arguments])

    def run(self):
        """Runs the command, unless it has been run to its end."""
        from kure_tf.files import write_json

        known = self._known()
        if known.get("finished"):
            return
        print(f"{self.name}: {self.text()}", file=sys.stderr, flush=True)
        self._folder.mkdir(parents=True, exist_ok=True)
        start, cpu_start = time.monotonic(), _processor_seconds()
        finished = False
        try:
            with open(self._folder / "log.txt", "a") as log:
                result = subprocess.run(
                    [sys.executable, *self._arguments],
                    cwd=_ROOT,
                    stdout=log,
                    check=False,
                )
            finished = result.returncode == 0
        finally:
            seconds = known.get("seconds", 0.0) + time.monotonic() - start
            cpu = known.get("processor_seconds", 0.0)
            cpu += _processor_seconds() - cpu_start
            write_json(
                self._folder / _RECORD,
                {
                    "command": self.text(),
                    "flagfiles_hash": self._hash(),
                    "seconds": round(seconds, 1),
                    "processor_seconds": round(cpu, 1),
                    "finished": finished,
                },
            )
        if not finished:
            raise ValueError(
                f"The step {self.name!r} failed (exit code "
                f"{result.returncode}); its message is above. Mend what it "
                "names; the same command goes on from here."
            )

    def record(self) -> dict:
        """Returns what an outcome keeps of the step."""
        return {
            "step": self.name,
            "flagfiles": self._flagfiles,
            "seconds": self._known().get("seconds"),
            "processor_seconds": self._known().get("processor_seconds"),
        }

    def _known(self):
        path = self._folder / _RECORD
        known = json.loads(path.read_text()) if path.is_file() else {}
        same = (
            known.get("command") == self.text()
            and known.get("flagfiles_hash") == self._hash()
        )
        return known if same else {}

    def _hash(self):
        """Returns a hash of the flags in the flagfiles, of nested ones too."""
        lines, waiting = [], list(self._flagfiles)
        while waiting:
            for line in (_ROOT / waiting.pop(0)).read_text().splitlines():
                if line.startswith("--flagfile="):
                    waiting.append(line.partition("=")[2])
                elif line.startswith("--"):
                    lines.append(line.strip())
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _processor_seconds():
    """Returns the processor time of all tools that have run so far."""
    times = os.times()
    return times.children_user + times.children_system


def _content(path):
    return json.loads(path.read_text())


class _Weights:
    """The step that looks at a kernel of a trained model."""

    def __init__(self, folder):
        self.name, self._folder = f"{folder.name}/weights", folder

    def __eq__(self, other):
        return type(self) is type(other) and self._folder == other._folder

    def __hash__(self):
        return hash(self._folder)

    def text(self) -> str:
        """Returns what is done, for --dry_run."""
        return f"# the weights of {self._folder / 'model.keras'}"

    def run(self):
        """Writes weights.json of the kernel in the middle of the model."""
        from kure_tf import runs
        from kure_tf.files import write_json
        from kure_tf.paper import weight_shape

        path = self._folder / "weights.json"
        record = json.loads((self._folder / "training.json").read_text())
        checkpoint = {"checkpoint_hash": record["checkpoint_hash"]}
        if path.is_file() and checkpoint.items() <= _content(path).items():
            return
        layers = record["chosen_layers"]
        kernels = [
            kernel
            for kernel in record["kurtosis"]
            if kernel.rpartition("/")[0] == layers[len(layers) // 2]
        ]
        model = runs.load_saved_model(self._folder / "model.keras")
        shape = weight_shape(model, kernels[0])
        write_json(path, {**shape, **checkpoint})

    def record(self) -> dict:
        """Returns what an outcome keeps of the step."""
        return {
            "step": self.name,
            "flagfiles": [],
            "seconds": None,
            "processor_seconds": None,
        }


if __name__ == "__main__":
    common_flags.run(main)
