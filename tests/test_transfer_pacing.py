"""The pace: the user's rate, requests in flight, and finding out what a service takes.

The service is the strict server's token bucket, asked in virtual time: what is asserted follows
from the rules alone, on a machine of any speed.
"""

from __future__ import annotations

import heapq
import random
import threading
from dataclasses import dataclass
from itertools import count, pairwise

import pytest

from tests.pageblob_server.options import BlobLimits
from tests.pageblob_server.pacing import BlobPace
from vhdtools.transfer.pacing import Pacer, ServicePace
from vhdtools.transfer.plan import MERGE_GAP

MIB = 1024 * 1024
LATENCY = 0.02


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an upload in virtual time went: seconds, refusals, and when they came."""

    seconds: float
    refused: tuple[float, ...]


def simulate(sizes: list[int], limits: BlobLimits, *, workers: int = 8, seed: int = 1) -> Outcome:
    """Requests of `sizes` by so many workers, sent as `ServicePace` lets them."""
    rng = random.Random(seed)
    service, pace = BlobPace(limits, 0.0), ServicePace()
    order = count()
    events: list[tuple[float, int, str, int, float, int]] = []
    waiting: list[tuple[int, int]] = []
    todo = sizes[::-1]
    refused: list[float] = []
    turns: set[float] = set()
    in_flight = 0
    now = 0.0

    def after(delay: float, kind: str, size: int, issued: float, tries: int) -> None:
        heapq.heappush(events, (now + delay, next(order), kind, size, issued, tries))

    def go() -> None:
        nonlocal in_flight
        while waiting and in_flight < workers:
            if pace.free_at > now + 1e-9:
                if pace.free_at not in turns:
                    turns.add(pace.free_at)
                    after(pace.free_at - now, "turn", 0, 0.0, 0)
                return
            size, tries = waiting.pop(0)
            in_flight += 1
            pace.sent(now, max(size, MERGE_GAP))
            after(LATENCY / 2, "arrives", size, now, tries)

    def take_another() -> None:
        if todo:
            waiting.append((todo.pop(), 0))

    for _ in range(workers):
        take_another()
    go()
    while events:
        now, _, kind, size, issued, tries = heapq.heappop(events)
        if kind == "arrives":
            wait = service.admit(size, now)
            answer = "refused" if wait is None else "taken"
            after((wait or 0) + LATENCY / 2 + rng.random() / 250, answer, size, issued, tries)
        elif kind == "taken":
            in_flight -= 1
            take_another()
        elif kind == "refused":
            in_flight -= 1
            refused.append(now)
            pace.throttled(now, issued)
            after(0.5 * 2**tries * (1 - rng.random() / 2), "again", size, 0.0, tries + 1)
        elif kind == "again":
            waiting.append((size, tries))
        go()
    return Outcome(now, tuple(refused))


def mixed(total: int) -> list[int]:
    rng = random.Random(7)
    sizes: list[int] = []
    while sum(sizes) < total:
        sizes.append(rng.choice([4 * MIB, 4 * MIB, 2 * MIB, 512 * 1024, 64 * 1024]))
    return sizes


@pytest.mark.parametrize("sizes", [[4 * MIB] * 250, mixed(1000 * MIB)], ids=["large", "mixed"])
@pytest.mark.parametrize("workers", [4, 8, 32])
def test_a_throttling_service_is_used_to_its_limit(sizes: list[int], workers: int) -> None:
    outcome = simulate(sizes, BlobLimits(), workers=workers)
    assert outcome.seconds <= 1.05 * sum(sizes) / (60 * MIB)


@pytest.mark.parametrize("rate", [8, 20, 200])
def test_services_of_other_speeds_are_found_out(rate: int) -> None:
    sizes = mixed(30 * rate * MIB)
    outcome = simulate(sizes, BlobLimits(rate * MIB, float("inf")))
    assert outcome.seconds <= 1.2 * sum(sizes) / (rate * MIB)


def test_refusals_are_few_once_the_rate_is_known() -> None:
    outcome = simulate([4 * MIB] * 1000, BlobLimits())
    later = [at for at in outcome.refused if at > 5]
    assert len(later) <= outcome.seconds / 3, "at most one in three seconds"


def test_small_requests_count_for_more_than_their_bytes() -> None:
    outcome = simulate([8192] * 6000, BlobLimits(), workers=32)
    assert outcome.seconds <= 1.1 * 6000 / 500
    assert len(outcome.refused) < 300


def test_there_is_no_limit_until_the_service_throttles() -> None:
    pace = ServicePace()
    for at in range(100):
        pace.sent(float(at), 4 * MIB)
    assert pace.rate(100.0) is None
    assert pace.free_at <= 100.0


def test_refusals_of_one_burst_are_one_piece_of_news() -> None:
    pace = ServicePace()
    assert pace.throttled(1.0, issued=0.9)
    rate = pace.rate(1.0)
    assert not pace.throttled(1.1, issued=0.95)
    assert pace.rate(1.0) == rate
    assert pace.throttled(1.2, issued=1.1)


def test_the_rate_falls_when_throttled_and_comes_back() -> None:
    pace = ServicePace()
    pace.throttled(0.0, issued=-1.0)
    pace.throttled(1.0, issued=0.5)
    before = pace.rate(10.0)
    pace.throttled(10.0, issued=9.0)
    after, much_later = pace.rate(10.0), pace.rate(60.0)
    assert before is not None
    assert after is not None
    assert much_later is not None
    assert after < before < much_later


def test_an_outage_does_not_slow_down_what_comes_after_it() -> None:
    """Minutes of refusals of everything; the next request waits for seconds, not for hours."""
    pace = ServicePace()
    now = 0.0
    for _ in range(1000):
        now += 0.5
        pace.throttled(now, issued=now - 0.01)
    pace.sent(now, 4 * MIB)
    assert pace.free_at - now < 5.0


def test_the_users_rate_holds_for_all_workers_together() -> None:
    pacer = Pacer(8, max_rate=64 * MIB)
    issued: list[float] = []

    def work() -> None:
        for _ in range(3):
            permit = pacer.wait_turn(MIB, threading.Event())
            issued.append(permit.issued)
            pacer.took()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    issued.sort()
    gaps = [later - earlier for earlier, later in pairwise(issued)]
    # Each waits out the bytes of the one before it, so none are bunched.
    assert min(gaps) >= 1 / 64 - 1e-6


def test_requests_in_flight_fall_when_throttled_and_recover() -> None:
    pacer = Pacer(8)
    calm = threading.Event()
    first = [pacer.wait_turn(512, calm) for _ in range(8)]
    for permit in first:
        pacer.failed(permit, throttled=True)
    assert pacer.throttled == 8
    assert pacer.in_flight_limit == 5, "one burst of refusals is one step down"
    for _ in range(100):
        pacer.wait_turn(512, calm)
        pacer.took()
        if pacer.in_flight_limit == 8:
            break
    assert pacer.in_flight_limit == 8


def test_failures_that_are_no_throttling_change_nothing() -> None:
    pacer = Pacer(4)
    pacer.failed(pacer.wait_turn(512, threading.Event()), throttled=False)
    assert pacer.in_flight_limit == 4
    assert pacer.throttled == 0


def test_nobody_waits_after_a_halt() -> None:
    pacer = Pacer(1, max_rate=1.0)
    halt = threading.Event()
    halt.set()
    for _ in range(3):
        pacer.wait_turn(4 * MIB, halt)
