"""Progress on stderr: one line that is written over on a terminal, a line now and then elsewhere."""

import os
import shutil
import sys
import time
from types import TracebackType

from gpuaudit.report.plain import printable

_TERMINAL_SECONDS = 0.1
_PLAIN_SECONDS = 5.0


class Progress:
    """Call it with what is being done; leave its `with` block and the line on the terminal is gone."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._next = time.monotonic() + (0.0 if self._terminal else _PLAIN_SECONDS)
        self._shown = False

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def __call__(self, text: str) -> None:
        """Say what is being done, if it is time to."""
        now = time.monotonic()
        if now < self._next:
            return
        plain = " ".join(printable(text).split())
        if self._terminal:
            self._next, self._shown = now + _TERMINAL_SECONDS, True
            width = shutil.get_terminal_size().columns - 1
            sys.stderr.write(f"\r\x1b[K{plain[:width]}")
        else:
            self._next = now + _PLAIN_SECONDS
            sys.stderr.write(plain + "\n")
        sys.stderr.flush()
