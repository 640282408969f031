"""Files of every kind, damaged: refused clearly, or read as they were."""

import collections
import os
import pathlib
import tempfile

import pytest
from absl.testing import absltest
from clear_refusal import error_fault
from damage import damaged
from files_of_each_kind import DIFFERS, make_kinds

pytestmark = pytest.mark.torture


class DamageTest(absltest.TestCase):
    def test_damage_is_refused_or_does_no_harm(self):
        with tempfile.TemporaryDirectory() as folder:
            kinds = make_kinds(pathlib.Path(folder))
            counts = collections.Counter()
            faults = {}
            for name, kind in kinds.items():
                for how, outcome in _outcomes(kind):
                    counts[name, outcome] += 1
                    if outcome not in ("refused", "equal"):
                        faults[f"{name}, {how}"] = outcome
        count = sum(counts.values())
        print(f"\n{count - len(faults)} of {count} refused or equal.")
        for (name, outcome), number in sorted(counts.items()):
            print(f"  {name}: {outcome} {number}")
        self.assertEqual(faults, {})


def _outcomes(kind):
    """Yields `(how it was damaged, what came of it)`."""
    whole = kind.path.read_bytes()
    expected = kind.read(kind.path)
    for how, content in damaged(whole):
        kind.path.write_bytes(content)
        if kind.read_by_c:
            yield how, _in_a_child(kind, expected)
        else:
            yield how, _outcome(kind, expected)
    kind.path.write_bytes(whole)


def _outcome(kind, expected):
    try:
        found = kind.read(kind.path)
    except Exception as error:
        fault = error_fault(error)
        return f"{fault}: {error!r}"[:200] if fault else "refused"
    if found == DIFFERS:
        return "refused"
    return "equal" if found == expected else "another value"


def _in_a_child(kind, expected):
    """Returns the outcome in a process of its own, which may crash."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        os.write(writing, _outcome(kind, expected).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        text = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    return text or f"ended with {os.waitstatus_to_exitcode(status)}"


if __name__ == "__main__":
    absltest.main()
