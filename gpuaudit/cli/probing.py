"""`gpuaudit node --every`: read again and again, each reading in lines of the log, until it is told to stop."""

import signal
import sys
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial

from gpuaudit.cluster.node_facts import HostFacts
from gpuaudit.errors import UserError
from gpuaudit.knowledge.probe import probe


def repeat(read: Callable[[], HostFacts], *, every: timedelta, configmap: bool) -> None:
    """Print what `read` returns at once and then at each interval; ends in peace on SIGTERM and Ctrl-C.

    What cannot be written or published is said on stderr, and the next reading is tried all the same.
    """
    from gpuaudit.report.node_lines import node_lines
    from gpuaudit.report.plain import printable

    shortest = probe().limits.shortest_seconds
    if every.total_seconds() < shortest:
        raise UserError("--every is too short", hint=f"the shortest is {shortest}s")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    publish = _publisher() if configmap else None
    while not stop.is_set():
        facts = read()
        try:
            lines = node_lines(facts)
            sys.stdout.write("\n".join(lines) + "\n")
            sys.stdout.flush()
            if publish:
                publish(facts, lines)
        except (UserError, ValueError) as error:
            sys.stderr.write(f"note: {printable(str(error))}\n")
        stop.wait(every.total_seconds())


def _publisher() -> Callable[[HostFacts, Sequence[str]], None]:
    """Return what publishes, with the pod's own service account."""
    from gpuaudit.collect.kubernetes.publishing import own_account, publish

    return partial(publish, own_account())
