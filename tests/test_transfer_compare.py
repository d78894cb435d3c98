"""Comparing both sides: how the work is cut, the first difference, and the last look at ranges."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.doubles import DISK, MemoryImage, MemoryTarget
from vhdtools.checksums import crc64
from vhdtools.errors import VerificationError
from vhdtools.progress import NoTask
from vhdtools.ranges import PAGE, PageRange, coalesce, subtract
from vhdtools.target.page_target import MAX_WRITE
from vhdtools.transfer.compare import Comparer, Comparison, comparisons
from vhdtools.transfer.connection import Connection
from vhdtools.transfer.coverage import check_coverage
from vhdtools.transfer.footer import fixed_footer
from vhdtools.transfer.job import Job, UploadOptions
from vhdtools.transfer.ledger import Ledger, StepResult
from vhdtools.transfer.pacing import Pacer
from vhdtools.transfer.plan import Zeros
from vhdtools.transfer.retry import RetryPolicy

MIB = 1 << 20


@st.composite
def range_lists(draw: st.DrawFn, unit: int = PAGE) -> list[PageRange]:
    """Ascending ranges that do not overlap, near each other and far apart."""
    gaps = st.one_of(st.integers(0, 300), st.sampled_from([8192, 20_000]))
    lengths = st.one_of(st.integers(1, 20), st.sampled_from([8191, 8192, 8193, 17_000]))
    position, ranges = 0, []
    for gap, length in draw(st.lists(st.tuples(gaps, lengths), max_size=10)):
        ranges.append(PageRange(position + gap * unit, length * unit))
        position = ranges[-1].end
    return ranges


def size_of(*lists: list[PageRange]) -> int:
    return max([item.end for ranges in lists for item in ranges] + [0]) + MAX_WRITE


@given(range_lists(), range_lists())
def test_comparisons_tile_both_sides(ours: list[PageRange], theirs: list[PageRange]) -> None:
    size = size_of(ours, theirs)
    position = 0
    for item in comparisons(ours, theirs, size):
        assert item.offset == position
        assert item.length > 0
        assert isinstance(item, Zeros) or item.length <= MAX_WRITE
        position += item.length
    assert position == size


@given(range_lists(), range_lists())
def test_comparisons_leave_nothing_out(ours: list[PageRange], theirs: list[PageRange]) -> None:
    found = list(comparisons(ours, theirs, size_of(ours, theirs)))
    compared = [item for item in found if isinstance(item, Comparison)]
    assert list(coalesce(p for item in compared for p in item.source)) == list(coalesce(ours))
    assert list(coalesce(p for item in compared for p in item.target)) == list(coalesce(theirs))
    for item in compared:
        assert item.source or item.target
        for part in item.source + item.target:
            assert item.offset <= part.offset
            assert part.end <= item.offset + item.length


@given(range_lists())
def test_ranges_far_apart_are_not_read_in_one_go(theirs: list[PageRange]) -> None:
    for item in comparisons([], theirs, size_of(theirs)):
        if isinstance(item, Comparison):
            covered = [PageRange(item.offset, item.length)]
            assert all(hole.length <= 64 * 1024 for hole in subtract(covered, item.target))


@pytest.mark.parametrize(("apart", "number"), [(64 * 1024, 1), (64 * 1024 + PAGE, 2)])
def test_ranges_up_to_64_kib_apart_are_one_comparison(apart: int, number: int) -> None:
    """Whichever side they are on."""
    one, other = PageRange(0, PAGE), PageRange(PAGE + apart, PAGE)
    for source, target in (([one, other], []), ([one], [other]), ([], [one, other])):
        found = comparisons(source, target, MAX_WRITE)
        assert sum(isinstance(item, Comparison) for item in found) == number


def test_a_disk_that_does_not_end_at_a_page_is_compared_by_whole_pages() -> None:
    [item, rest] = comparisons([PageRange(0, 700)], [PageRange(512, 512)], 2048)
    assert item == Comparison(0, 1024, (PageRange(0, 700),), (PageRange(512, 512),))
    assert rest == Zeros(1024, 1024)


def test_no_list_is_read_far_ahead() -> None:
    taken = 0

    def ranges() -> Iterator[PageRange]:
        nonlocal taken
        for number in range(1_000_000):
            taken += 1
            yield PageRange(number * 1024, PAGE)

    found = comparisons(ranges(), ranges(), 1 << 30)
    for _ in range(3):
        next(found)
    assert taken <= 2 * 5 * MAX_WRITE // 1024


def connection_to(target: MemoryTarget) -> Connection:
    policy = RetryPolicy(first_delay=0.001, max_delay=0.001, patience=0.1)
    return Connection(target, policy, Pacer(1), threading.Event())


@given(st.integers(0, 8 * PAGE - 1), st.integers(0, 8 * PAGE - 1))
def test_the_first_byte_and_all_pages_that_differ_are_named(one: int, other: int) -> None:
    image = MemoryImage(b"\1" * 8 * PAGE)
    target = MemoryTarget()
    content = bytearray(image.content)
    content[one] ^= 1
    content[other] ^= 2
    target.exists_with(len(content), (0, bytes(content)))
    comparer = Comparer(image, connection_to(target), NoTask())
    whole = (PageRange(0, 8 * PAGE),)
    found = comparer(Comparison(0, 8 * PAGE, whole, whole))
    assert found.first == min(one, other)
    pages = [at for item in found.differs for at in range(item.offset, item.end, PAGE)]
    assert pages == sorted({one // PAGE * PAGE, other // PAGE * PAGE})
    assert found.source_crc64 == crc64(image.content)
    assert found.target_crc64 == crc64(content)


class Uploaded:
    """A disk, and a target that holds it as an upload that is nearly done would have left it."""

    def __init__(self, content: bytes, *, disk: bool = False) -> None:
        self.image = MemoryImage(content, reads_zeros=True)
        self.target = MemoryTarget(DISK) if disk else MemoryTarget()
        halt = threading.Event()
        self.job = Job(self.image, connection_to(self.target), UploadOptions(), halt)
        self.target.exists_with(self.job.blob_size)
        self.ledger = Ledger()
        self.ledger.enter(StepResult(0, self.job.disk_size, crc64(content), (PageRange(0, MIB),)))
        self.ledger.enter(self.job.footer_step())
        self.footer = fixed_footer(None, self.job.disk_size)

    def holds(self, *pages: tuple[int, bytes]) -> Uploaded:
        self.target.exists_with(self.job.blob_size, *pages)
        return self

    def check(self) -> None:
        check_coverage(self.job, self.ledger)


DATA = b"\7" * MIB + bytes(MIB)


def test_what_was_planned_is_there() -> None:
    found = Uploaded(DATA)
    found.holds((0, DATA[:MIB]), (2 * MIB, found.footer)).check()
    assert "read_into" not in found.target.calls


def test_more_ranges_with_the_same_content_are_fine() -> None:
    found = Uploaded(DATA)
    found.holds((0, DATA[: MIB + 4096]), (2 * MIB, found.footer)).check()


def test_a_page_that_is_not_there_but_zero_in_the_disk_is_fine() -> None:
    content = bytes(PAGE) + DATA[PAGE:]
    found = Uploaded(content)
    found.holds((PAGE, content[PAGE:MIB]), (2 * MIB, found.footer)).check()


@pytest.mark.parametrize(
    ("pages", "offset"),
    [
        pytest.param([(PAGE, DATA[PAGE:MIB])], 0, id="the first page lost"),
        pytest.param([(0, DATA[: MIB - PAGE])], MIB - PAGE, id="the last page lost"),
        pytest.param([], 0, id="all pages lost"),
        pytest.param([(0, DATA[:MIB]), (MIB, b"\1" * PAGE)], MIB, id="a strange page"),
        pytest.param(
            [(0, DATA[:MIB]), (2 * MIB - PAGE, b"\0" * 511 + b"\1")],
            2 * MIB - 1,
            id="a strange page before the footer",
        ),
    ],
)
def test_a_hole_or_a_strange_page_is_an_error(pages: list[tuple[int, bytes]], offset: int) -> None:
    found = Uploaded(DATA)
    with pytest.raises(VerificationError) as caught:
        found.holds(*pages, (2 * MIB, found.footer)).check()
    assert caught.value.offset == offset


def test_a_lost_footer_is_an_error() -> None:
    found = Uploaded(DATA)
    with pytest.raises(VerificationError, match="footer") as caught:
        found.holds((0, DATA[:MIB])).check()
    assert caught.value.offset == 2 * MIB


def test_a_footer_that_is_there_though_not_listed_is_fine() -> None:
    found = Uploaded(DATA).holds((0, DATA[:MIB]), (2 * MIB, fixed_footer(None, 2 * MIB)))
    found.target.pages.discard(2 * MIB // PAGE)
    found.check()


def test_all_ranges_that_differ_are_named() -> None:
    found = Uploaded(DATA)
    found.holds((PAGE, DATA[PAGE:MIB]), (2 * MIB - PAGE, b"\1" * PAGE), (2 * MIB, found.footer))
    with pytest.raises(VerificationError) as caught:
        found.check()
    assert list(caught.value.ranges) == [PageRange(0, PAGE), PageRange(2 * MIB - PAGE, PAGE)]
    assert "(0, 512), (2,096,640, 512)" in str(caught.value)


def test_everything_lost_is_an_error_on_a_disk_of_one_request() -> None:
    found = Uploaded(b"\7" * MIB)
    with pytest.raises(VerificationError):
        found.holds().check()


class TestManagedDisk:
    """It cannot be read, so the ranges alone decide."""

    def test_what_was_planned_is_there(self) -> None:
        found = Uploaded(DATA, disk=True)
        found.holds((0, DATA[:MIB]), (2 * MIB, found.footer)).check()
        assert "read_into" not in found.target.calls

    @pytest.mark.parametrize(
        ("pages", "said"),
        [
            ([(PAGE, DATA[PAGE:MIB])], r"lacks the range \(0, 512\)"),
            ([(0, DATA[: MIB + PAGE])], r"against the plan, the range \(1,048,576, 512\)"),
        ],
    )
    def test_anything_else_is_an_error(self, pages: list[tuple[int, bytes]], said: str) -> None:
        found = Uploaded(DATA, disk=True)
        with pytest.raises(VerificationError, match=said):
            found.holds(*pages, (2 * MIB, found.footer)).check()

    def test_a_lost_footer_is_an_error(self) -> None:
        found = Uploaded(DATA, disk=True)
        with pytest.raises(VerificationError, match="lacks"):
            found.holds((0, DATA[:MIB])).check()
