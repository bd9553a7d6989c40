"""How long collecting may take, and whether somebody asked to stop."""

import threading
import time


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

    def sleep(self, seconds: float) -> None:
        """Wait, but never past the end."""
        self._stop.wait(min(seconds, self.remaining))
