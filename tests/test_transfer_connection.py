"""A target behind its retries."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from tests.support.doubles import MemoryTarget
from vhdtools.errors import UnavailableError
from vhdtools.ranges import PAGE, PageRange
from vhdtools.target.page_target import PageTarget
from vhdtools.transfer.connection import Connection
from vhdtools.transfer.pacing import Pacer
from vhdtools.transfer.retry import RetryPolicy

AT_ONCE = RetryPolicy(first_delay=0.0)


class BreaksOff(MemoryTarget):
    """Lists its pages one by one; after each, the next request of the list fails once."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.exists_with(size)
        self.asked: list[int] = []

    def page_ranges(self, offset: int, length: int) -> Iterator[PageRange]:
        assert length > 0, "a range without a page"
        self.asked.append(offset)
        yield PageRange(offset, PAGE)
        raise UnavailableError(self.name, "cut off")


def test_a_list_of_page_ranges_goes_on_where_it_was_cut_and_ends_at_its_end() -> None:
    target: PageTarget = (broken := BreaksOff(4 * PAGE))
    connection = Connection(target, AT_ONCE, Pacer(1), threading.Event())
    found = connection.page_ranges(PAGE, 3 * PAGE)
    assert found.end == 4 * PAGE
    assert sum(item.length for item in found) == 3 * PAGE
    assert broken.asked == [PAGE, 2 * PAGE, 3 * PAGE]
