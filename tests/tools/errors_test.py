"""Which errors are the user's: those that the project raised itself."""

from absl.testing import absltest, parameterized
from errors import is_for_the_user

import kure_materialize
from kure_tf import files
from kure_tf.settings.operating_point import OperatingPoint


def _ours(source):
    """Runs source text as if it stood in a module of kure_tf."""
    exec(compile(source, "somewhere.py", "exec"), {"__name__": "kure_tf.fake"})


def _raise_outside():
    raise ValueError("Expected something else.")


def _raised_by(run):
    try:
        run()
    except BaseException as error:
        return error
    raise AssertionError("It raised nothing.")


class ErrorsTest(parameterized.TestCase):
    @parameterized.named_parameters(
        ("a_rule", lambda: OperatingPoint.parse("4-8")),
        ("of_an_artifact", lambda: kure_materialize.materialize(b"", 8)),
        ("of_a_file", lambda: open("gone.npz")),
        ("with_a_cause", lambda: files.read_json(__file__)),
        ("type", lambda: _ours("raise TypeError('Expected ...')")),
        ("inside_with", lambda: _ours(_IN_A_BLOCK)),
    )
    def test_what_the_project_or_the_system_refuses(self, run):
        self.assertTrue(is_for_the_user(_raised_by(run)))

    @parameterized.named_parameters(
        ("raised_elsewhere", _raise_outside),
        ("by_python", lambda: _ours("int('four')")),
        ("by_an_operator", lambda: _ours("1 + 'a'")),
        ("by_a_call", lambda: _ours("def f(): pass\nf(1)")),
        ("by_a_library", lambda: _ours("import json; json.loads('{')")),
        ("raised_again", lambda: _ours(_RAISED_AGAIN)),
        ("assertion", lambda: _ours("assert False")),
        ("attribute", lambda: _ours("raise AttributeError('no such')")),
        ("missing_module", lambda: _ours("import no_such_module")),
        ("of_no_file", lambda: _ours("import os; os.kill(2**22 + 1, 0)")),
    )
    def test_a_bug_is_not_the_users(self, run):
        self.assertFalse(is_for_the_user(_raised_by(run)))


_RAISED_AGAIN = """
try:
    int('four')
except ValueError:
    raise
"""
_IN_A_BLOCK = """
import contextlib

@contextlib.contextmanager
def block():
    try:
        yield
    finally:
        pass

with block():
    raise ValueError('Expected ...')
"""


if __name__ == "__main__":
    absltest.main()
