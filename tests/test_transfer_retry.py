"""Retries: what is tried again, after how long, for how long, and what ends the waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from tests.support.clock import FakeClock, FakeEvent
from vhdtools.errors import (
    AccessError,
    ChecksumError,
    TargetBusyError,
    TargetError,
    TargetExistsError,
    TargetMissingError,
    TargetRefusedError,
    TransferInterruptedError,
    UnavailableError,
    VhdToolsError,
)
from vhdtools.transfer.retry import Retrier, RetryPolicy

URL = "https://account.blob.core.windows.net/c/b"


def unavailable(retry_after: float | None = None, status: int | None = 503) -> UnavailableError:
    return UnavailableError(URL, "busy", status=status, retry_after=retry_after)


class Bench:
    """A retrier on a fake clock, and an operation that fails as told."""

    def __init__(
        self,
        policy: RetryPolicy,
        *,
        recover: Callable[[TargetError], bool] = lambda _error: False,
        set_at: float | None = None,
        fraction: float = 0.0,
    ) -> None:
        self.clock = FakeClock()
        self.halt = FakeEvent(self.clock, None if set_at is None else self.clock.now + set_at)
        self.retrier = Retrier(policy, self.halt, recover, lambda: fraction, self.clock)
        self.calls = 0

    def call(self, failures: Iterable[Exception]) -> str:
        pending = iter(failures)

        def operation() -> str:
            self.calls += 1
            for error in pending:
                raise error
            return "done"

        return self.retrier.call(operation)


def forever(make: Callable[[], Exception]) -> Iterable[Exception]:
    while True:
        yield make()


POLICY = RetryPolicy(first_delay=1.0, max_delay=8.0, patience=60.0)


def test_what_works_is_called_once() -> None:
    bench = Bench(POLICY)
    assert bench.call([]) == "done"
    assert bench.calls == 1
    assert not bench.halt.waits
    assert not bench.retrier.retries


def test_pauses_double_up_to_the_cap() -> None:
    bench = Bench(POLICY)
    assert bench.call([unavailable() for _ in range(6)]) == "done"
    assert bench.halt.waits == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
    assert bench.retrier.retries == {"503": 6}


def test_pauses_are_shortened_at_random_by_half_at_the_most() -> None:
    bench = Bench(POLICY, fraction=0.999999)
    bench.call([unavailable() for _ in range(5)])
    assert bench.halt.waits == pytest.approx([0.5, 1.0, 2.0, 4.0, 4.0], rel=1e-5)


def test_a_thousand_failures_overflow_nothing() -> None:
    policy = RetryPolicy(first_delay=0.1, max_delay=0.1, patience=1e9)
    assert Bench(policy).call([unavailable() for _ in range(3000)]) == "done"


def test_patience_ends_with_the_error_itself() -> None:
    bench = Bench(POLICY)
    with pytest.raises(UnavailableError) as caught:
        bench.call(forever(unavailable))
    assert caught.value.status == 503
    assert bench.clock.now - 1000.0 <= POLICY.patience
    assert bench.clock.now - 1000.0 > POLICY.patience - POLICY.max_delay


def test_no_patience_is_one_try() -> None:
    bench = Bench(RetryPolicy(first_delay=1.0, max_delay=8.0, patience=0.0))
    with pytest.raises(UnavailableError):
        bench.call(forever(unavailable))
    assert bench.calls == 1


def test_retry_after_is_kept_where_it_is_longer() -> None:
    bench = Bench(POLICY)
    bench.call([unavailable(retry_after=20.0), unavailable(retry_after=0.1)])
    assert bench.halt.waits == [20.0, 2.0]


def test_retry_after_beyond_patience_gives_up_at_once() -> None:
    bench = Bench(POLICY)
    with pytest.raises(UnavailableError):
        bench.call([unavailable(retry_after=3600.0)])
    assert not bench.halt.waits


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (unavailable(status=429), "429"),
        (unavailable(status=500), "500"),
        (unavailable(status=None), "connection"),
        (ChecksumError(URL, "another CRC-64", status=400, code="Crc64Mismatch"), "checksum"),
        (ChecksumError(URL, "another CRC-64"), "checksum"),
    ],
)
def test_what_is_tried_again_is_counted_by_reason(error: TargetError, reason: str) -> None:
    bench = Bench(POLICY)
    assert bench.call([error]) == "done"
    assert bench.retrier.retries == {reason: 1}


@pytest.mark.parametrize(
    "error",
    [
        TargetRefusedError(URL, "no"),
        TargetExistsError(URL, "there"),
        TargetMissingError(URL, "not there"),
        TargetBusyError(URL, "leased"),
        AccessError(URL, "expired"),
        TransferInterruptedError(URL, "stopped"),
        ValueError("a bug"),
    ],
)
def test_what_is_hopeless_is_raised_at_once(error: Exception) -> None:
    bench = Bench(POLICY)
    with pytest.raises(type(error)) as caught:
        bench.call([error])
    assert caught.value is error
    assert bench.calls == 1
    assert not bench.halt.waits


def test_a_halt_ends_the_pause_with_the_reason_said() -> None:
    bench = Bench(POLICY, set_at=5.0)
    with pytest.raises(TransferInterruptedError, match="busy") as caught:
        bench.call(forever(unavailable))
    assert bench.clock.now == 1005.0
    assert isinstance(caught.value.__cause__, UnavailableError)


def test_no_pause_begins_after_a_halt() -> None:
    bench = Bench(POLICY)
    bench.halt.set()
    with pytest.raises(TransferInterruptedError):
        bench.call(forever(unavailable))
    assert bench.calls == 1


@pytest.mark.parametrize(
    ("error", "reason"),
    [(AccessError(URL, "expired"), "access"), (TargetBusyError(URL, "lost"), "lease")],
)
def test_what_was_mended_is_tried_again_without_a_pause(error: TargetError, reason: str) -> None:
    bench = Bench(POLICY, recover=lambda _error: True)
    assert bench.call([error]) == "done"
    assert not bench.halt.waits
    assert bench.retrier.retries == {reason: 1}


def test_mending_that_does_not_help_ends() -> None:
    bench = Bench(POLICY, recover=lambda _error: True)
    with pytest.raises(AccessError):
        bench.call(forever(lambda: AccessError(URL, "expired")))
    assert bench.calls == 4


def test_a_mender_that_gets_no_answer_is_asked_again() -> None:
    answers: list[bool | TargetError] = [unavailable(), unavailable(), True]

    def recover(_error: TargetError) -> bool:
        answer = answers.pop(0)
        if isinstance(answer, TargetError):
            raise answer
        return answer

    bench = Bench(POLICY, recover=recover)
    assert bench.call([TargetBusyError(URL, "lost") for _ in range(3)]) == "done"
    assert bench.retrier.retries == {"503": 2, "lease": 1}
    assert bench.halt.waits == [1.0, 2.0]


def test_what_a_mender_raises_for_good_is_raised() -> None:
    def recover(_error: TargetError) -> bool:
        raise TargetMissingError(URL, "the blob is gone")

    with pytest.raises(VhdToolsError, match="gone"):
        Bench(POLICY, recover=recover).call([TargetBusyError(URL, "lost")])
