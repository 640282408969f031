"""Repeats experiments of the paper: what they need, then their pages."""

import dataclasses
import pathlib

from kure_tf.paper import experiments
from kure_tf.paper.steps import (
    Step,
    ToolStep,
    WeightsStep,
    ending_with_this_process,
)

_CONFIGS = pathlib.Path("configs/reproduce")


@dataclasses.dataclass(frozen=True)
class Reproduction:
    """A folder for the experiments at one scale.

    Attributes:
        root: The repository: where tools/ and configs/ are.
        folder: Where models and results go: `<folder>/<scale>`.
        scale: One of `experiments.SCALES`.
        data_flags: Flags of every tool that reads data.
        flags: Flags of every tool.
    """

    root: pathlib.Path
    folder: pathlib.Path
    scale: str
    data_flags: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()

    def steps(self, experiment) -> tuple[Step, ...]:
        """Returns its steps, each once: models before what needs them."""
        steps = []
        for model, sweep in experiment.sweeps():
            if sweep == "theory":
                steps.append(self._step("theory", "theory"))
                continue
            steps += self._training(model)
            if sweep == "weights":
                folder = self._path / model
                steps.append(WeightsStep(f"{model}/weights", folder))
            else:
                steps.append(self._sweep(model, sweep))
        return tuple(dict.fromkeys(steps))

    def run(self, names, say=print):
        """Runs experiments and writes their pages, and their index.

        Steps that several share run once. Interrupted and called again, it
        goes on where it was.

        Args:
            names: Of `experiments.NAMES`.
            say: Called with a line for each outcome and each page.

        Raises:
            ValueError: If a name is unknown, or a step fails.
        """
        chosen = [experiments.get(name, self.scale) for name in names]
        with ending_with_this_process():
            outcomes = [self._run(experiment, say) for experiment in chosen]
        if len(outcomes) > 1:
            page = experiments.save_index(outcomes, self._path)
            say(f"All: {page.resolve().as_uri()}")

    def _run(self, experiment, say):
        steps = self.steps(experiment)
        for step in steps:
            step.run()
        outcome = experiments.collect(
            experiment, self.scale, self._path, [s.record() for s in steps]
        )
        page = experiments.save(outcome, self._path)
        say(f"{experiment.title}. {outcome.sentence}")
        say(f"Page: {page.resolve().as_uri()}")
        return outcome

    def _training(self, model):
        """Returns the steps that train a model, its start among them."""
        name, _, seed = model.partition("_seed")
        more, before = [f"--seed={seed or 0}"], []
        if self.scale == "digits" and name.startswith(("lsq_", "dorefa_")):
            # There are no published weights to start from.
            before = self._training("plain")
            more.append(f"--model={self._path / 'plain' / 'model.keras'}")
        files = [_CONFIGS / self.scale / f"{name}.cfg"]
        return [*before, self._step(model, "train", files, more)]

    def _sweep(self, model, sweep):
        # --points add up: a scale that measures less has a whole file.
        points = _CONFIGS / self.scale / f"sweep_{sweep}.cfg"
        if not (self.root / points).is_file():
            points = _CONFIGS / "sweeps" / f"{sweep}.cfg"
        files = [_CONFIGS / self.scale / "data.cfg", points]
        saved = self._path / model / "model.keras"
        more = (f"--model={saved}", f"--name={model}")
        return self._step(f"{model}/{sweep}", "sweep", files, more)

    def _step(self, name, tool, flagfiles=(), more=()):
        data = () if tool == "theory" else self.data_flags
        return ToolStep(
            name,
            self._path / name,
            root=self.root,
            tool=tool,
            flagfiles=tuple(map(str, flagfiles)),
            flags=(*more, *data, *self.flags),
        )

    @property
    def _path(self):
        return self.folder / self.scale
