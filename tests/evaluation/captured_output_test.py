import logging
import os
import subprocess
import sys
import warnings

import tensorflow as tf
from absl.testing import absltest

from kure_tf.evaluation.captured_output import captured_output

# What runs in a process of its own, whose descriptors can be watched (by
# pipes) or closed without disturbing the test runner.
_NOISE = """
import ctypes, os, runpy, sys, warnings
captured_output = runpy.run_path(sys.argv[1])["captured_output"]

def noise():
    os.write(1, b"raw one;")
    os.write(2, b"raw two;")
    ctypes.CDLL(None).printf(b"buffered by C;")
    print("printed", file=sys.stdout)
    print("printed too", file=sys.stderr)
    warnings.warn("warned")
"""


def _run(script):
    # The file on its own, because importing TensorFlow takes seconds.
    path = sys.modules[captured_output.__module__].__file__
    return subprocess.run(
        [sys.executable, "-c", _NOISE + script, path],
        capture_output=True,
        text=True,
        timeout=120,
    )


class CapturedOutputTest(absltest.TestCase):
    def test_descriptors_and_streams_are_silent_while_open(self):
        done = _run(
            "with captured_output() as text: noise(); seen = text()\n"
            "missing = [w for w in ('raw one', 'raw two', 'buffered by C',\n"
            "    'printed', 'printed too') if w not in seen]\n"
            "print('missing', missing)\n"
        )

        self.assertEqual(done.stdout, "missing []\n")
        self.assertEqual(done.stderr, "")

    def test_what_was_buffered_before_comes_out_afterwards(self):
        done = _run(
            "sys.stdout.write('before;')\n"
            "with captured_output(): noise()\n"
            "print('after')\n"
        )

        self.assertEqual(done.stdout, "before;after\n")

    def test_loggers_keep_no_handler_of_the_file(self):
        done = _run(
            "import logging\n"
            "mine = logging.getLogger('mine')\n"
            "with captured_output():\n"
            "    logging.warning('to the root, which had no handler')\n"
            "    mine.addHandler(logging.StreamHandler())\n"
            "mine.warning('after')\n"
            "print(logging.getLogger().handlers)\n"
        )

        self.assertEqual(done.stdout, "[]\n")
        self.assertEqual(done.stderr, "after\n")

    def test_a_closed_standard_output_stays_closed(self):
        done = _run(
            "os.close(1)\n"
            "with captured_output() as text: noise(); seen = text()\n"
            "try: os.fstat(1); state = 'open'\n"
            "except OSError: state = 'closed'\n"
            "os.write(2, f'1 is {state}: {\"raw one\" in seen}'.encode())\n"
            "os._exit(0)\n"
        )

        self.assertEqual(done.stderr, "1 is closed: True")

    def test_all_standard_descriptors_may_be_closed(self):
        done = _run(
            "keep = os.dup(2)\n"
            "for fd in (0, 1, 2): os.close(fd)\n"
            "with captured_output() as text: noise(); seen = text()\n"
            "left = os.listdir('/proc/self/fd') if os.path.isdir(\n"
            "    '/proc/self/fd') else []\n"
            'os.write(keep, f\'{"raw two" in seen} {"1" in left}\'.encode())\n'
            "os._exit(0)\n"
        )

        # /proc lists the descriptor of its own listing as number 0.
        self.assertEqual(done.stderr, "True False")

    def test_streams_and_descriptors_are_restored_after_an_error(self):
        streams = sys.stdout, sys.stderr
        before = [os.fstat(fd).st_ino for fd in (1, 2)]

        with self.assertRaisesRegex(ZeroDivisionError, "by zero"):
            with captured_output():
                1 / 0  # noqa: B018

        self.assertEqual((sys.stdout, sys.stderr), streams)
        self.assertEqual([os.fstat(fd).st_ino for fd in (1, 2)], before)

    def test_no_descriptor_is_leaked(self):
        def lowest_free():
            fd = os.open(os.devnull, os.O_RDONLY)
            os.close(fd)
            return fd

        before = lowest_free()
        for _ in range(3):
            with captured_output():
                os.write(1, b"x")

        self.assertEqual(lowest_free(), before)

    def test_text_is_read_while_open_and_in_any_encoding(self):
        with captured_output() as text:
            os.write(2, b"\xff error: a\n")
            self.assertIn("error: a", text())
            print("ü")
            self.assertIn("ü", text())

    def test_warning_filters_are_restored(self):
        before = list(warnings.filters)
        with captured_output():
            logging.getLogger("nobody").debug("x")
        self.assertEqual(list(warnings.filters), before)


if __name__ == "__main__":
    tf.test.main()
