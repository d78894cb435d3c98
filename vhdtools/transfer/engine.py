"""Workers over a bounded window: the results come in the order of the tasks."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYetError
from typing import TypeVar

__all__ = ["run_ordered"]

T = TypeVar("T")
R = TypeVar("R")

_TASKS_PER_WORKER = 4
_POLL_SECONDS = 0.25


def run_ordered(
    tasks: Iterable[T],
    work: Callable[[T], R],
    *,
    workers: int,
    halt: threading.Event,
) -> Generator[R, None, None]:
    """Results of `work` on each of `tasks`, in order, by `workers` threads.

    At most four tasks a worker are taken from `tasks` ahead of the result that is due, so one slow
    task holds the others up late and memory stays bounded. When `halt` is set no more tasks are
    taken, those in flight end (and should not wait for better times), and the results end early.
    When a task raises, the results before it have been yielded and its exception is raised here;
    then, and when the caller closes the generator, `halt` is set. No thread is left when the
    generator is done.
    """
    pool = ThreadPoolExecutor(workers, thread_name_prefix="vhdtools-worker")
    pending: deque[Future[R]] = deque()

    def due() -> R | None:
        head = pending[0]
        while not head.cancelled():
            try:
                result = head.result(timeout=_POLL_SECONDS)
            except NotYetError as error:
                if head.done() and not head.cancelled() and head.exception() is error:
                    raise  # the task's own
                if halt.is_set():
                    _cancel(pending)
            else:
                pending.popleft()
                return result
        return None

    try:
        for task in tasks:
            if halt.is_set():
                break
            pending.append(pool.submit(work, task))
            while pending and (len(pending) >= workers * _TASKS_PER_WORKER or pending[0].done()):
                result = due()
                if result is None:
                    return
                yield result
        if halt.is_set():
            _cancel(pending)
        while pending:
            result = due()
            if result is None:
                return
            yield result
    except BaseException:
        halt.set()
        raise
    finally:
        _cancel(pending)
        pool.shutdown(wait=True)


def _cancel(pending: Iterable[Future[R]]) -> None:
    for future in pending:
        future.cancel()
