"""Progress bars on a terminal; elsewhere a line now and then."""

import sys
import time

from tqdm import tqdm

_SECONDS = 10.0  # Between two lines of a log.


class ProgressBar(tqdm):
    """A bar on standard error.

    Where that is no terminal, such as the log of a job, the bar is one whole
    line every ten seconds, and none if all is done before.

    Args:
        things: What to go through; None where `update` says what is done.
        what: What is done, before the bar.
        total: How many there are; None: as many as `things` has.
        unit: What one of them is called.
        leave: Whether the bar stays when all is done.
        progress: Whether to show it at all.

    Attributes:
        watched: Whether standard error is a terminal.
    """

    def __init__(
        self,
        things=None,
        what=None,
        total=None,
        *,
        unit="it",
        leave=False,
        progress=True,
    ):
        self.watched = sys.stderr.isatty()
        self._shown_at = time.monotonic()
        super().__init__(
            things,
            what,
            total,
            unit=unit,
            leave=leave,
            disable=not progress,
            file=sys.stderr if self.watched else _Lines(sys.stderr),
        )

    @property
    def due(self) -> bool:
        """Whether it may be shown again."""
        return self.watched or time.monotonic() - self._shown_at >= _SECONDS

    def refresh(self, *args, **kwargs):
        """Shows the bar as it is now, if it is due."""
        if self.due:
            self._shown_at = time.monotonic()
            super().refresh(*args, **kwargs)

    def close(self):
        """Ends the bar; in a log it stays only where a line is due."""
        self.leave = self.leave and self.due
        super().close()


class _Lines:
    """Writes each state of a bar as a line, not over the last one."""

    def __init__(self, stream):
        self._stream = stream

    def write(self, text):
        text = text.replace("\x1b[A", "").strip()
        if text:
            self._stream.write(f"{text}\n")

    def flush(self):
        self._stream.flush()
