"""Each flagfile that sweeps measures what it always did, row by row."""

import itertools
import json
import os
import pathlib
import subprocess
import sys

import pytest
from absl.testing import absltest

pytestmark = pytest.mark.one_keras

_ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
_EXPECTED = pathlib.Path(__file__).with_name("flagfile_points.txt")
# Reads flagfiles one after the other, by the flags of the two tools that do.
_PROBE = """
import json, sys
sys.path.insert(0, "tools")
import compare, parity_flag, quantization_flags, sweep
from absl import flags
from kure_tf.settings import all_points

def rows(flagfile):
    flags.FLAGS.unparse_flags()
    flags.FLAGS(["probe", f"--flagfile={flagfile}"])
    for plan in quantization_flags.plans():
        for again in plan.batch_norm_ways:
            for sweep in plan.sweeps:
                for point in sweep.points:
                    placement = f"{plan.placement}{' again' if again else ''}"
                    yield placement, sweep.kind, sweep.method or "-", str(point)
    for point in all_points(parity_flag.PARITY_POINTS.value):
        yield "reference", "reference_parity", "DoReFa, zero moves", str(point)

print(json.dumps({path: list(rows(path)) for path in sys.argv[1:]}))
"""


def _expected():
    """Returns `{flagfile: its lines}`."""
    found, waiting = {}, []
    for line in _EXPECTED.read_text().splitlines():
        if line.startswith("["):
            waiting.append(line.strip("[]"))
        elif "|" in line:
            for path in waiting:
                found.setdefault(path, []).append(line)
        else:
            waiting = []
    return found


class FlagfilePointsTest(absltest.TestCase):
    def test_rows_are_those_of_before(self):
        expected = _expected()
        printed = subprocess.run(
            [sys.executable, "-c", _PROBE, *expected],
            cwd=_ROOT,
            env={**os.environ, "PYTHONPATH": str(_ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(printed.returncode, 0, printed.stderr[-2000:])
        found = json.loads(printed.stdout.splitlines()[-1])
        for path, rows in found.items():
            lines = [
                f"{' | '.join(key)} | {', '.join(row[3] for row in group)}"
                for key, group in itertools.groupby(rows, lambda row: row[:3])
            ]
            self.assertEqual(lines, expected[path], path)

    def test_no_flagfile_with_points_is_left_out(self):
        there = {
            str(path.relative_to(_ROOT))
            for path in (_ROOT / "configs").rglob("*.cfg")
            if "--points=" in path.read_text()
        }
        self.assertLessEqual(there, set(_expected()))


if __name__ == "__main__":
    absltest.main()
