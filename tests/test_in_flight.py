"""Work a few items at a time: in order, bounded, and nothing that went wrong is lost."""

import threading

import pytest

from gpuaudit.collect.in_flight import in_flight


def test_what_comes_empty_takes_no_place_in_the_line() -> None:
    """Every tenth item counts. The first waits for the fourth of them, which nothing between may keep from its turn."""
    fourth, started = threading.Event(), list[int]()

    def work(item: int) -> int:
        started.append(item)
        if item == 0:
            assert fourth.wait(20)
        elif item == 30:
            fourth.set()
        return item

    results = in_flight(work, range(100), at_once=2, empty=lambda item: item % 10 != 0)
    assert next(results) == 0
    assert max(started) == 30  # four that count are in line: no more is begun
    assert list(results) == list(range(1, 100))


def test_no_more_are_worked_on_than_may_be() -> None:
    lock, now, most = threading.Lock(), 0, 0

    def work(_: int) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        threading.Event().wait(0.01)
        with lock:
            now -= 1

    assert len(list(in_flight(work, range(20), at_once=3))) == 20
    assert most == 3


def test_what_goes_wrong_with_one_item_is_raised_in_its_turn() -> None:
    results = in_flight(lambda item: 60 // item, (30, 20, 0, 10), at_once=2, empty=lambda item: item > 2)
    assert [next(results), next(results)] == [2, 3]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_nothing_to_do() -> None:
    assert list(in_flight(int, (), at_once=2)) == []
