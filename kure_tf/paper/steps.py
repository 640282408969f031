"""What an experiment needs before its page: each step once, to its end."""

import abc
import contextlib
import dataclasses
import functools
import hashlib
import os
import pathlib
import signal
import subprocess
import sys
import time

from kure_tf.files import read_json, write_json
from kure_tf.paper.weight_shape import weight_shape
from kure_tf.runs import load_saved_model

_RECORD = "reproduce.json"


@dataclasses.dataclass(frozen=True)
class Step(abc.ABC):
    """Something to be done in a folder; steps of equal fields are the same.

    Attributes:
        name: What tables call it.
        folder: Where its results go.
    """

    name: str
    folder: pathlib.Path

    @abc.abstractmethod
    def text(self) -> str:
        """Returns what is done, as one would type it."""

    @abc.abstractmethod
    def run(self):
        """Does it, unless it has been done to its end."""

    def record(self) -> dict:
        """Returns what an outcome keeps of the step; None: not known."""
        return {
            "step": self.name,
            "flagfiles": [],
            "seconds": None,
            "processor_seconds": None,
        }


@dataclasses.dataclass(frozen=True)
class ToolStep(Step):
    """A step that a tool does, in a process of its own.

    What it took is noted beside its results, also if it is interrupted: the
    next attempt adds to it.

    Attributes:
        root: The repository: where tools/ and configs/ are.
        tool: Name of the tool.
        flagfiles: Paths from the root.
        flags: Further flags.
    """

    root: pathlib.Path
    tool: str
    flagfiles: tuple[str, ...]
    flags: tuple[str, ...]

    def text(self):
        return " ".join(["python", *self._arguments])

    def run(self):
        known = self._known
        if known.get("finished"):
            return
        print(f"{self.name}: {self.text()}", file=sys.stderr, flush=True)
        start, code = _clocks(), None
        try:
            code = self._call()
        finally:
            self._note(known, start, finished=code == 0)
        if code:
            raise ValueError(
                f"The step {self.name!r} failed (exit code {code}); its "
                "message is above. Mend what it names; the same command goes "
                "on from here."
            )

    def record(self):
        known = self._known
        return {
            "step": self.name,
            "flagfiles": list(self.flagfiles),
            "seconds": known.get("seconds"),
            "processor_seconds": known.get("processor_seconds"),
        }

    @property
    def _arguments(self):
        return (
            f"tools/{self.tool}.py",
            *(f"--flagfile={path}" for path in self.flagfiles),
            *self.flags,
            f"--workdir={self.folder}",
        )

    @property
    def _identity(self):
        return {"command": self.text(), "flagfiles_hash": self._hash}

    @property
    def _known(self):
        """What earlier attempts have noted, if they were of this step."""
        path = self.folder / _RECORD
        known = read_json(path) if path.is_file() else {}
        return known if self._identity.items() <= known.items() else {}

    def _call(self):
        """Returns the exit code of the tool; log.txt has what it printed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / "log.txt", "a") as log:
            command = [sys.executable, *self._arguments]
            return subprocess.call(command, cwd=self.root, stdout=log)

    def _note(self, known, start, finished):
        now = _clocks()
        times = {
            name: round(known.get(name, 0.0) + now[name] - start[name], 1)
            for name in now
        }
        content = {**self._identity, **times, "finished": finished}
        write_json(self.folder / _RECORD, content)

    @functools.cached_property
    def _hash(self):
        """A hash of the flags in the flagfiles, of nested ones too."""
        lines, waiting = [], list(self.flagfiles)
        while waiting:
            for line in (self.root / waiting.pop(0)).read_text().splitlines():
                if line.startswith("--flagfile="):
                    waiting.append(line.partition("=")[2])
                elif line.startswith("--"):
                    lines.append(line.strip())
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@dataclasses.dataclass(frozen=True)
class WeightsStep(Step):
    """Looks at the kernel in the middle of the trained model in a folder."""

    def text(self):
        return f"# the weights of {self.folder / 'model.keras'}"

    def run(self):
        path = self.folder / "weights.json"
        record = read_json(self.folder / "training.json")
        checkpoint = {"checkpoint_hash": record["checkpoint_hash"]}
        if path.is_file() and checkpoint.items() <= read_json(path).items():
            return
        layers = record["chosen_layers"]
        kernel = next(
            path
            for path in record["kurtosis"]
            if path.rpartition("/")[0] == layers[len(layers) // 2]
        )
        model = load_saved_model(self.folder / "model.keras")
        write_json(path, {**weight_shape(model, kernel), **checkpoint})


@contextlib.contextmanager
def ending_with_this_process():
    """While open, SIGTERM ends the step that runs, and then this process."""

    def end(*_):
        sys.exit(128 + signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _clocks():
    """Returns the time, and the processor time of all tools until now."""
    times = os.times()
    return {
        "seconds": time.monotonic(),
        "processor_seconds": times.children_user + times.children_system,
    }
