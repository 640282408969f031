"""The examples as modules."""

import importlib.util
import pathlib
import sys
from unittest import mock

_EXAMPLES = pathlib.Path(__file__).parents[1] / "examples"


def example_module(name):
    """Returns the example of that name, imported."""
    path = _EXAMPLES / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    # One may import another, which lies beside it.
    with mock.patch.object(sys, "path", [str(_EXAMPLES), *sys.path]):
        spec.loader.exec_module(module)
    return module
