"""Do work of which much is waiting, a few items at a time, and use what comes of it in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def in_flight(
    work: Callable[[T], R], items: Iterable[T], *, at_once: int, empty: Callable[[R], bool] = lambda _: False
) -> Iterator[R]:
    """Do the work of all items, a few at a time, and yield what comes of each in order.

    A few more wait in line, so that the server does not while a result is used; results that are `empty` take no place
    there.
    """

    def takes_place(future: Future[R]) -> bool:
        return not future.done() or future.exception() is not None or not empty(future.result())

    pool = ThreadPoolExecutor(max_workers=at_once)
    waiting: deque[Future[R]] = deque()
    left = deque(items)
    try:
        while left or waiting:
            while left and sum(map(takes_place, waiting)) < 2 * at_once:
                waiting.append(pool.submit(work, left.popleft()))
            if waiting[0].done():
                yield waiting.popleft().result()
            else:
                wait([future for future in waiting if not future.done()], return_when=FIRST_COMPLETED)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # Ctrl-C must not wait for an answer
