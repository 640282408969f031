"""What Arm's compiler Vela makes of a file for an Ethos-U NPU."""

import csv
import dataclasses
import importlib.util
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile


@dataclasses.dataclass(frozen=True)
class VelaReport:
    """A file as Vela compiles it.

    Attributes:
        accelerator: The NPU, such as "ethos-u55-128".
        npu_operators: How many operators run on the NPU.
        cpu_operators: Those that do not, as Vela names them.
        weight_bytes: Bytes of the weights in the file.
        npu_weight_bytes: Bytes of the weights as the NPU reads them: few
            distinct codes are encoded in few bits.
        milliseconds: Vela's estimate for one example.
    """

    accelerator: str
    npu_operators: int
    cpu_operators: tuple[str, ...]
    weight_bytes: int
    npu_weight_bytes: int
    milliseconds: float

    def __str__(self):
        return (
            f"{self.accelerator}: {self.npu_operators} operators on the NPU, "
            f"{len(self.cpu_operators)} on the CPU, weights of "
            f"{self.weight_bytes:,} bytes in {self.npu_weight_bytes:,}, "
            f"{self.milliseconds:.3f} ms for one example by Vela's estimate"
        )


def vela_report(content, accelerator="ethos-u55-128") -> VelaReport:
    """Compiles a file with Vela and returns what it says.

    Args:
        content: The bytes of a .tflite file.
        accelerator: One of Vela's --accelerator-config.

    Raises:
        ImportError: If Vela is not installed.
        ValueError: If Vela does not compile the file; its last lines are in
            the message.
    """
    command = vela_command()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "file.tflite").write_bytes(content)
        run = subprocess.run(
            [
                *(*command, "file.tflite", "--show-cpu-operations"),
                *("--output-dir", "."),
                *("--accelerator-config", accelerator),
            ],
            cwd=folder,
            capture_output=True,
            text=True,
        )
        summaries = list(folder.glob("*_summary_*.csv"))
        if run.returncode or not summaries:
            raise ValueError(
                f"Expected a file that Vela compiles for {accelerator}: int8 "
                "codes (container=8) and operators that it knows. It ended "
                f"with {run.returncode} and says:\n{_last_lines(run)}"
            )
        with open(summaries[0], newline="", encoding="utf-8") as file:
            summary = next(csv.DictReader(file))
    return _report(accelerator, run.stdout, summary)


def vela_command() -> list[str]:
    """Returns how to call Vela.

    Raises:
        ImportError: If it is not installed.
    """
    if _is_importable("ethosu.vela"):
        return [sys.executable, "-m", "ethosu.vela"]
    if path := shutil.which("vela"):
        return [path]
    raise ImportError(
        "Expected Arm's compiler Vela, to say which operators run on an NPU. "
        "It is not installed: pip install ethos-u-vela."
    )


def _is_importable(module):
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # Nor is the package that it is in.
        return False


def _report(accelerator, text, summary):
    return VelaReport(
        accelerator=accelerator,
        npu_operators=int(re.search(r"NPU operators = (\d+)", text)[1]),
        cpu_operators=tuple(re.findall(r"^ *CPU: (.*)$", text, re.M)),
        weight_bytes=int(summary["total_original_weights"]),
        npu_weight_bytes=int(summary["total_npu_encoded_weights"]),
        milliseconds=1e3 * float(summary["inference_time"]),
    )


def _last_lines(run, limit=5):
    lines = f"{run.stdout}\n{run.stderr}".strip().splitlines()
    return "\n".join(lines[-limit:])
