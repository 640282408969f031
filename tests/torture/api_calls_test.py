"""Public functions, given right arguments and one wrong one."""

import pathlib
import tempfile

import pytest
from absl.testing import absltest
from api_mistakes import doors
from clear_refusal import error_fault

pytestmark = pytest.mark.torture


class ApiCallsTest(absltest.TestCase):
    def test_right_arguments_are_taken_and_wrong_ones_refused_clearly(self):
        with tempfile.TemporaryDirectory() as folder:
            found = {
                name: fault
                for door_name, door in doors(pathlib.Path(folder)).items()
                for name, fault in _faults(door_name, door)
            }

        faults = {name: fault for name, fault in found.items() if fault}
        right = len(found) - len(faults)
        print(f"\n{right} of {len(found)} calls clear or rightly accepted.")
        for name, fault in faults.items():
            print(f"  {name}: {fault}")
        self.assertEqual(faults, {})


def _faults(name, door):
    """Yields `(what was called, what is wrong with how it ended)`."""
    if door.good:
        yield f"{name} as it should be called", _refusal(door)
    for argument, values in door.wrong.items():
        for number, value in enumerate(values):
            shown = f"{name}({argument}={str(value)[:40]!r}) {number}"
            yield shown, _fault(door.call, {**door.good, argument: value})


def _refusal(door):
    try:
        door.call(**door.good)
    except Exception as error:
        return f"refused: {error!r}"[:200]
    return None


def _fault(call, arguments):
    try:
        call(**arguments)
    except Exception as error:
        fault = error_fault(error)
        return fault and f"{fault}: {error!r}"[:200]
    return "accepted"


if __name__ == "__main__":
    absltest.main()
