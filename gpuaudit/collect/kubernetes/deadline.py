"""How long collecting may take, and whether somebody asked to stop."""

import queue
import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

GRACE_SECONDS = 1.0  # for work that looks at the time itself, and can say more


class TimeIsUpError(Exception):
    """Work was not done in time, and is left alone."""


class Deadline:
    """The end of a run. `stop` ends it at once, from any thread."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self._stop = threading.Event()

    def stop(self) -> None:
        """End the run now."""
        self._stop.set()

    @property
    def stopped(self) -> bool:
        """Whether somebody asked to stop."""
        return self._stop.is_set()

    @property
    def over(self) -> bool:
        """Whether there is no time left."""
        return self.remaining <= 0

    @property
    def remaining(self) -> float:
        """Seconds left, 0 when over or stopped."""
        return 0.0 if self._stop.is_set() else max(0.0, self._end - time.monotonic())

    def bounded(self, work: Callable[[], T]) -> T:
        """Return what `work` returns, or raise what it raises; TimeIsUpError when it goes on past the end.

        A socket's own timeout begins anew with each byte: a server that trickles would be listened to for ever.
        """
        done: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()

        def run() -> None:
            try:
                done.put((work(), None))
            except BaseException as error:
                done.put((None, error))

        threading.Thread(target=run, daemon=True).start()
        try:
            value, error = done.get(timeout=self.remaining + GRACE_SECONDS)
        except queue.Empty:
            raise TimeIsUpError from None
        if error is not None:
            raise error
        return value  # type: ignore[return-value]

    def sleep(self, seconds: float) -> None:
        """Wait, but never past the end."""
        self._stop.wait(min(seconds, self.remaining))
