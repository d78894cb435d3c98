"""Failures of many requests, as one stream of events."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from tests.support.clock import FakeClock, FakeEvent
from tests.support.uploads import Stages
from vhdtools.errors import TargetRefusedError, TransferInterruptedError, UnavailableError
from vhdtools.transfer.outage import Failure, Outage
from vhdtools.transfer.retry import Retrier, RetryPolicy

URL = "https://account.blob.core.windows.net/c/b"


class Bench:
    def __init__(self) -> None:
        self.clock, self.stages = FakeClock(), Stages()
        self.outage = Outage(self.stages, self.clock)

    def fail(self, call: str, attempts: int, *, next_in: float = 4.0, left: float = 60.0) -> None:
        now = self.clock.now
        failure = Failure(
            "writing", URL, f"reason {call}", "503", attempts, now, now + next_in, now + left
        )
        self.outage.failed(call, failure)

    @property
    def attempts(self) -> list[int]:
        return [event.attempts for event in self.stages.retries]


def test_eight_workers_make_one_stream() -> None:
    bench = Bench()
    for attempt in (1, 2, 3):
        for worker in range(8):
            bench.fail(f"worker {worker}", attempt)
    assert bench.attempts == [1, 2, 3]
    for worker in range(8):
        assert not bench.stages.recoveries
        bench.outage.succeeded(f"worker {worker}")
    bench.clock.now += 5
    (recovery,) = bench.stages.recoveries
    assert recovery.subject == URL
    assert bench.outage.unresolved is None


def test_times_are_the_earliest_of_all() -> None:
    bench = Bench()
    bench.fail("a", 1, next_in=9.0, left=50.0)
    bench.clock.now += 2
    bench.fail("b", 2, next_in=20.0, left=70.0)
    event = bench.stages.retries[-1]
    assert (event.next_seconds, event.give_up_seconds, event.failing_seconds) == (7.0, 48.0, 2.0)
    assert (event.operation, event.reason, event.cause) == ("writing", "reason b", "503")
    bench.clock.now += 3
    bench.outage.succeeded("a")
    bench.outage.succeeded("b")
    assert bench.stages.recoveries[0].failing_seconds == 5.0


def test_a_second_outage_is_another_one() -> None:
    bench = Bench()
    bench.fail("a", 1)
    bench.fail("a", 2)
    bench.outage.succeeded("a")
    bench.fail("b", 1)
    assert bench.attempts == [1, 2, 1]


def test_what_never_failed_changes_nothing() -> None:
    bench = Bench()
    bench.fail("a", 1)
    bench.outage.succeeded("b")
    assert not bench.stages.recoveries


def test_what_was_given_up_is_not_recovered() -> None:
    bench = Bench()
    bench.fail("a", 1)
    bench.outage.abandoned("a")
    assert not bench.stages.recoveries
    assert bench.outage.unresolved is not None
    assert bench.outage.unresolved.reason == "reason a"


def calls(*outcomes: Exception | None) -> Callable[[], str]:
    pending = iter(outcomes)

    def operation() -> str:
        error = next(pending)
        if error is not None:
            raise error
        return "done"

    return operation


def retrier(bench: Bench, *, set_at: float | None = None, patience: float = 60.0) -> Retrier:
    halt = FakeEvent(bench.clock, None if set_at is None else bench.clock.now + set_at)
    policy = RetryPolicy(first_delay=1.0, max_delay=8.0, patience=patience)
    return Retrier(policy, halt, lambda _e: False, lambda: 0.0, bench.clock, bench.outage)


BUSY = UnavailableError(URL, "busy", status=503)


def test_a_retrier_reports_what_it_waits_for() -> None:
    bench = Bench()
    assert retrier(bench).call(calls(BUSY, BUSY, None), "listing") == "done"
    events = bench.stages.retries
    assert [(e.operation, e.subject, e.reason, e.cause) for e in events] == [
        ("listing", URL, "busy", "503")
    ] * 2
    assert [(e.attempts, e.next_seconds, e.give_up_seconds, e.failing_seconds) for e in events] == [
        (1, 1.0, 60.0, 0.0),
        (2, 2.0, 59.0, 1.0),
    ]
    assert [e.failing_seconds for e in bench.stages.recoveries] == [3.0]


def test_a_refusal_is_an_answer() -> None:
    bench = Bench()
    with pytest.raises(TargetRefusedError):
        retrier(bench).call(calls(BUSY, TargetRefusedError(URL, "no")))
    assert len(bench.stages.recoveries) == 1


@pytest.mark.parametrize(("set_at", "patience"), [(0.5, 60.0), (None, 2.5)])
def test_an_end_without_an_answer_leaves_the_reason(set_at: float | None, patience: float) -> None:
    bench = Bench()
    with pytest.raises((TransferInterruptedError, UnavailableError)):
        retrier(bench, set_at=set_at, patience=patience).call(calls(BUSY, BUSY, BUSY, BUSY))
    assert not bench.stages.recoveries
    assert bench.outage.unresolved is not None


def test_threads_may_fail_together() -> None:
    bench = Bench()
    start = threading.Barrier(8)

    def work(name: str) -> None:
        start.wait()
        for attempt in range(1, 200):
            bench.fail(name, attempt)
        bench.outage.succeeded(name)

    threads = [threading.Thread(target=work, args=(str(n),)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(bench.stages.recoveries) >= 1
    assert bench.outage.unresolved is None
