"""How long collecting may take, whether somebody asked to stop, and work that is not waited for longer."""

import queue
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import NoReturn, TypeVar

T = TypeVar("T")

GRACE_SECONDS = 1.0  # for work that looks at the time itself, and can say more


class TimeIsUpError(Exception):
    """Work was not done in time, and is left alone."""


def begun(work: Callable[[], T]) -> Callable[[float | None], T]:
    """Begin work in a thread that ends with the process; return what waits for its result, so many seconds or for ever.

    That returns what `work` returns, or raises what it raises; TimeIsUpError when it is not done by then.
    """
    done: queue.SimpleQueue[Callable[[], T]] = queue.SimpleQueue()

    def run() -> None:
        try:
            value = work()
        except BaseException as error:
            done.put(partial(_raised, error))
        else:
            done.put(lambda: value)

    def result(seconds: float | None) -> T:
        try:
            return done.get(timeout=seconds)()
        except queue.Empty:
            raise TimeIsUpError from None

    threading.Thread(target=run, daemon=True).start()
    return result


def _raised(error: BaseException) -> NoReturn:
    raise error


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
        return begun(work)(self.remaining + GRACE_SECONDS)

    def sleep(self, seconds: float) -> None:
        """Wait, but never past the end."""
        self._stop.wait(min(seconds, self.remaining))
