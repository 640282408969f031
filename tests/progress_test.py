import io
from unittest import mock

from absl.testing import absltest

from kure_tf.progress import ProgressBar


class _Terminal(io.StringIO):
    def isatty(self):
        return True


def written(stream, seconds_each):
    """Returns what a bar over six things writes, on a clock of its own."""
    now = [100.0]
    with (
        mock.patch("sys.stderr", stream),
        mock.patch("time.monotonic", lambda: now[0]),
        mock.patch("time.time", lambda: now[0]),
    ):
        with ProgressBar(range(6), "Steps", unit="step", leave=True) as bar:
            bar._time = lambda: now[0]
            bar.miniters, bar.mininterval = 0, 0
            for thing in bar:
                now[0] += seconds_each
                bar.set_postfix_str(f"at {thing}")
    return stream.getvalue()


class ProgressBarTest(absltest.TestCase):
    def test_a_log_gets_whole_lines_now_and_then(self):
        lines = written(io.StringIO(), 4.0).splitlines()

        # Ten seconds have passed after the third thing, at 12 s, then at 24 s.
        self.assertLen(lines, 2)
        self.assertIn("at 2", lines[0])
        self.assertIn("at 5", lines[1])
        for line in lines:
            self.assertStartsWith(line, "Steps")
            self.assertNotIn("\r", line)

    def test_what_is_quick_leaves_a_log_empty(self):
        self.assertEmpty(written(io.StringIO(), 0.1))

    def test_a_terminal_sees_one_bar_that_moves(self):
        text = written(_Terminal(), 0.1)

        self.assertGreater(text.count("\r"), 6)
        self.assertEqual(text.count("\n"), 1)  # It stays.

    def test_it_can_be_switched_off(self):
        stream = _Terminal()
        with mock.patch("sys.stderr", stream):
            self.assertLen(list(ProgressBar(range(3), progress=False)), 3)
        self.assertEmpty(stream.getvalue())


if __name__ == "__main__":
    absltest.main()
