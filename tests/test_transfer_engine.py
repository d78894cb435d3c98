"""The engine: results in order, a bounded window, and orderly ends of every kind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from typing import TypeVar

import pytest

from vhdtools.transfer import engine
from vhdtools.transfer.engine import run_ordered
from vhdtools.transfer.halt import Halt

R = TypeVar("R")

WINDOW_PER_WORKER = 4


def run(
    tasks: Iterable[int],
    work: Callable[[int], R],
    *,
    workers: int = 4,
    halt: threading.Event | None = None,
) -> Generator[R, None, None]:
    return run_ordered(
        tasks,
        work,
        workers=workers,
        halt=halt or threading.Event(),
    )


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) == before


def test_results_come_in_the_order_of_the_tasks() -> None:
    def work(number: int) -> int:
        time.sleep((number % 5) * 0.001)
        return number * number

    assert list(run(range(100), work)) == [number * number for number in range(100)]


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_so_many_tasks_run_at_once(workers: int) -> None:
    running, most = 0, 0
    lock = threading.Lock()
    all_there = threading.Barrier(workers, timeout=30)

    def work(number: int) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        all_there.wait()
        with lock:
            running -= 1
        return number

    assert list(run(range(workers * 6), work, workers=workers)) == list(range(workers * 6))
    assert most == workers


def test_no_more_than_a_window_is_taken_ahead() -> None:
    taken = 0
    gate = threading.Event()

    def tasks() -> Iterator[int]:
        nonlocal taken
        for number in range(1000):
            taken += 1
            yield number

    def work(number: int) -> int:
        if number == 10:
            assert gate.wait(30)
        return number

    results = run(tasks(), work, workers=2)
    with closing(results):
        for number in range(10):
            assert next(results) == number
        # Task 10 does not end: the window fills, and no more is taken.
        opener = threading.Timer(0.2, gate.set)
        opener.start()
        assert next(results) == 10
        assert taken <= 11 + 2 * WINDOW_PER_WORKER
        opener.join()


def test_an_unused_iterator_takes_nothing() -> None:
    def tasks() -> Iterator[int]:
        taken.append(0)
        yield 0

    taken: list[int] = []
    run(tasks(), lambda number: number)
    assert not taken


def test_a_failure_comes_after_the_results_before_it() -> None:
    halt = threading.Event()

    def work(number: int) -> int:
        if number == 20:
            raise LookupError(number)
        return number

    seen: list[int] = []
    with pytest.raises(LookupError):
        seen.extend(run(range(1000), work, halt=halt))
    assert seen == list(range(20))
    assert halt.is_set()


def test_a_failure_of_the_tasks_themselves_is_raised() -> None:
    halt = threading.Event()

    def tasks() -> Iterator[int]:
        yield 1
        raise LookupError("the plan")

    with pytest.raises(LookupError, match="the plan"):
        list(run(tasks(), lambda number: number, halt=halt))
    assert halt.is_set()


def test_a_task_may_raise_a_timeout_of_its_own() -> None:
    def work(_number: int) -> int:
        raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match="mine"):
        list(run(range(3), work))


def test_a_task_that_ends_as_the_waiting_does_has_not_timed_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine, "_POLL_SECONDS", 0.0)
    assert list(run(range(5000), lambda number: number, workers=2)) == list(range(5000))


def test_after_a_halt_no_task_begins_and_those_in_flight_end() -> None:
    halt = threading.Event()
    began: list[int] = []
    ended: list[int] = []

    def work(number: int) -> int:
        began.append(number)
        if number == 5:
            halt.set()
        time.sleep(0.01)
        ended.append(number)
        return number

    seen = list(run(range(10_000), work, workers=3, halt=halt))
    assert seen == list(range(len(seen)))
    assert sorted(began) == sorted(ended)
    assert len(began) <= 6 + 3 * WINDOW_PER_WORKER


def test_a_halt_is_noticed_while_the_next_result_is_due() -> None:
    halt = threading.Event()

    def work(number: int) -> int:
        if number == 0:
            halt.set()
            time.sleep(0.3)
        return number

    assert list(run(range(100), work, workers=1, halt=halt)) == [0]


def test_halted_before_it_began_it_does_nothing() -> None:
    halt = threading.Event()
    halt.set()
    assert list(run(range(10), lambda number: number, halt=halt)) == []


def test_an_iterator_that_is_let_go_of_ends_its_threads() -> None:
    halt = threading.Event()
    began: list[int] = []

    def work(number: int) -> int:
        began.append(number)
        if number > 2:
            assert halt.wait(30)
        return number

    with closing(run(range(1000), work, workers=2, halt=halt)) as results:
        assert next(results) == 0
    assert halt.is_set()
    assert len(began) <= 4 + 2 * WINDOW_PER_WORKER


class TestHalt:
    def test_it_is_set_with_stop(self) -> None:
        stop = threading.Event()
        halt = Halt(stop)
        assert not halt.is_set()
        assert not halt.wait(0.0)
        stop.set()
        assert halt.is_set()
        assert halt.wait(30)

    def test_it_is_set_by_itself_and_leaves_stop_alone(self) -> None:
        stop = threading.Event()
        halt = Halt(stop)
        halt.set()
        assert halt.is_set()
        assert halt.wait()
        assert not stop.is_set()

    @pytest.mark.parametrize("which", ["stop", "halt"])
    def test_whoever_waits_is_woken(self, which: str) -> None:
        stop = threading.Event()
        halt = Halt(stop)
        timer = threading.Timer(0.05, (stop if which == "stop" else halt).set)
        timer.start()
        assert halt.wait(30)
        timer.join()

    def test_a_wait_ends_by_itself(self) -> None:
        assert not Halt(threading.Event()).wait(0.01)
