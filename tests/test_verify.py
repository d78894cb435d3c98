"""Reading a target back: what is equal, what is not, and where the first difference lies."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.doubles import DISK, MemoryImage, MemoryTarget
from tests.support.uploads import QUICK, Stages
from vhdtools.checksums import crc64
from vhdtools.errors import (
    SourceChangedError,
    SourceReadError,
    TargetMissingError,
    TransferInterruptedError,
    UnavailableError,
    UsageError,
    VerificationError,
)
from vhdtools.layout import DiskType, build_footer, parse_footer
from vhdtools.ranges import PAGE, PageRange, RangeList, coalesce
from vhdtools.transfer.checkpoint import Checkpoint, finished_metadata, unfinished_metadata
from vhdtools.transfer.differences import ranges_text
from vhdtools.transfer.footer import fixed_footer
from vhdtools.transfer.owner import Owner
from vhdtools.transfer.result import VerifyResult
from vhdtools.transfer.verify import verify_image

MIB = 1 << 20
RUNS = [(0, 4096), (MIB, 8192), (5 * MIB - 512, 1024), (9 * MIB - 512, 512)]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) == before


def disk() -> bytes:
    content = bytearray(9 * MIB)
    for offset, length in RUNS:
        content[offset : offset + length] = b"\7" * length
    return bytes(content)


CONTENT = disk()


def holding(content: bytes = CONTENT, footer: bytes | None = None) -> MemoryTarget:
    """A target with *content*'s runs as its page ranges, and a footer."""
    target = MemoryTarget()
    pages = [(offset, content[offset : offset + length]) for offset, length in RUNS]
    if footer is None:
        footer = fixed_footer(None, len(content))
    target.exists_with(len(content) + PAGE, *pages, (len(content), footer))
    return target


def verify(target: MemoryTarget, content: bytes = CONTENT, **changes: Any) -> VerifyResult:
    progress = Stages()
    image = changes.pop("image", None) or MemoryImage(content)
    found = verify_image(
        image, target, **{"workers": 3, "retry": QUICK, "progress": progress, **changes}
    )
    progress.assert_complete()
    assert progress.names == ["verifying"]
    return found


def test_an_equal_target_is_equal() -> None:
    target = holding()
    found = verify(target)
    assert found.crc64 == crc64(target.held())
    assert found.footer_rebuilt
    assert found.blob_size == len(target.held())
    assert found.virtual_size == len(CONTENT)
    assert found.read_bytes == sum(length for _, length in RUNS) + PAGE


def test_the_time_it_took_lies_between_call_and_return() -> None:
    before = time.monotonic()
    found = verify(holding())
    assert 0 < found.elapsed_seconds <= time.monotonic() - before


def test_nothing_is_changed() -> None:
    target = holding()
    verify(target)
    assert set(target.calls) == {"state", "page_ranges", "read_into"}


@given(
    st.sets(
        st.sampled_from([offset + at for offset, length in RUNS for at in (0, 7, length - 1)]),
        min_size=1,
        max_size=4,
    )
)
def test_all_ranges_that_differ_are_named(flips: set[int]) -> None:
    target = holding()
    assert target.content is not None
    for offset in flips:
        target.content[offset] ^= 1
    with pytest.raises(VerificationError) as caught:
        verify(target)
    assert caught.value.offset == min(flips)
    pages = sorted({offset // PAGE * PAGE for offset in flips})
    assert list(caught.value.ranges) == list(coalesce(PageRange(at, PAGE) for at in pages))
    first = caught.value.ranges[0]
    assert f"({first.offset:,}, {first.length:,})" in caught.value.problem
    assert f"{PAGE * len(pages):,} bytes" in caught.value.problem
    assert caught.value.changed is None


@pytest.mark.parametrize(
    ("number", "end"), [(1, "(0, 512)"), (8, "(7,168, 512)"), (9, "(7,168, 512), and 1 more")]
)
def test_eight_ranges_are_shown(number: int, end: str) -> None:
    text = ranges_text(RangeList(PageRange(1024 * i, PAGE) for i in range(number)))
    assert text.endswith(end)
    assert text.startswith("(0, 512)")
    assert text.count("(") == min(number, 8)


class TestWhichChanged:
    def finished(self) -> MemoryTarget:
        target = holding()
        target.metadata = finished_metadata({}, crc64(target.held()))
        return target

    def error(self, target: MemoryTarget, content: bytes = CONTENT) -> VerificationError:
        with pytest.raises(VerificationError) as caught:
            verify(target, image=MemoryImage(content, reads_zeros=True))
        return caught.value

    def test_the_target(self) -> None:
        target = self.finished()
        target.store(0, b"\1" * PAGE)
        error = self.error(target)
        assert error.changed == "target"
        assert "was written to since (last modified 2026-01-02 00:00:00 UTC)" in error.problem
        assert "If the disk is right" in error.remedy
        assert "If what is there is right" in error.remedy

    def test_the_disk(self) -> None:
        error = self.error(self.finished(), b"\1" + CONTENT[1:])
        assert error.changed == "disk"
        assert "the disk was changed since" in error.problem

    def test_both(self) -> None:
        target = self.finished()
        target.store(0, b"\1" * PAGE)
        assert self.error(target, b"\2" + CONTENT[1:]).changed == "both"

    def test_a_footer_that_is_none_is_among_the_ranges(self) -> None:
        target = self.finished()
        target.store(0, b"\1" * PAGE)
        target.store(len(CONTENT), bytes(PAGE))
        assert list(self.error(target).ranges) == [
            PageRange(0, PAGE),
            PageRange(len(CONTENT), PAGE),
        ]


class TestUnfinished:
    def unfinished(self, owner: str) -> MemoryTarget:
        target = holding()
        target.metadata = unfinished_metadata({}, Checkpoint(MIB, 1), owner)
        return target

    def test_it_is_to_be_resumed(self) -> None:
        target = self.unfinished("x")
        with pytest.raises(VerificationError, match="unfinished upload: 1,048,576 of") as caught:
            verify(target)
        assert caught.value.unfinished_at == MIB
        assert "resumes" in caught.value.remedy
        assert "read_into" not in target.calls

    def test_one_that_runs_is_to_be_waited_for(self) -> None:
        target = self.unfinished(Owner.current().encode())
        target.lease_id = "somebody's"
        with pytest.raises(VerificationError, match="is running") as caught:
            verify(target)
        assert caught.value.unfinished_at == MIB
        assert "Wait" in caught.value.remedy

    def test_the_lease_of_a_dead_one_means_nothing(self) -> None:
        target = self.unfinished(replace(Owner.current(), pid=9_999_999_999).encode())
        target.lease_id = "a dead one's"
        # Only Linux tells that a process is dead.
        told = "unfinished upload" if sys.platform.startswith("linux") else "is running"
        with pytest.raises(VerificationError, match=told):
            verify(target)


@pytest.mark.parametrize("offset", [3 * MIB, 9 * MIB - 1024])
def test_a_page_that_the_disk_has_not_is_a_difference(offset: int) -> None:
    target = holding()
    target.store(offset, bytes(100) + b"\1" + bytes(411))
    with pytest.raises(VerificationError) as caught:
        verify(target, image=MemoryImage(CONTENT, reads_zeros=True))
    assert caught.value.offset == offset + 100


def test_a_page_of_zeros_is_none() -> None:
    target = holding()
    target.store(3 * MIB, bytes(PAGE))
    assert verify(target, image=MemoryImage(CONTENT, reads_zeros=True)).footer_rebuilt


@pytest.mark.parametrize("run", RUNS)
def test_a_run_that_the_target_lacks_is_a_difference(run: tuple[int, int]) -> None:
    target = holding()
    target.clear(*run)
    with pytest.raises(VerificationError) as caught:
        verify(target)
    assert caught.value.offset == run[0]


class TestFooter:
    ours = parse_footer(fixed_footer(None, len(CONTENT)))

    @pytest.mark.parametrize(
        "changes", [{"unique_id": b"u" * 16}, {"creator_application": b"win "}, {"timestamp": 7}]
    )
    def test_another_valid_one_is_fine_and_told(self, changes: dict[str, Any]) -> None:
        other = build_footer(replace(self.ours, **changes).sealed())
        assert not verify(holding(footer=other)).footer_rebuilt

    @pytest.mark.parametrize(
        "footer",
        [
            bytes(PAGE),
            build_footer(replace(ours, checksum=1)),
            build_footer(replace(ours, cookie=b"conectis").sealed()),
            build_footer(replace(ours, disk_type=DiskType.DYNAMIC).sealed()),
            build_footer(replace(ours, current_size=len(CONTENT) - MIB).sealed()),
        ],
        ids=["none", "checksum", "cookie", "type", "size"],
    )
    def test_no_valid_one_is_a_difference(self, footer: bytes) -> None:
        with pytest.raises(VerificationError, match="footer") as caught:
            verify(holding(footer=footer))
        assert caught.value.offset == len(CONTENT)


class TestSize:
    def test_a_target_of_another_size_is_another_disk(self) -> None:
        with pytest.raises(VerificationError, match="not this disk"):
            verify(holding(), CONTENT + bytes(MIB))

    def test_a_target_smaller_than_a_footer_is_another_disk(self) -> None:
        target = MemoryTarget()
        target.exists_with(0)
        with pytest.raises(VerificationError, match="not this disk"):
            verify(target)

    def test_padding_to_a_mib_is_fine(self) -> None:
        content = CONTENT[:-1024]
        target = MemoryTarget()
        target.exists_with(len(CONTENT) + PAGE, *((o, content[o : o + n]) for o, n in RUNS[:3]))
        target.store(len(CONTENT), fixed_footer(None, len(CONTENT)))
        assert verify(target, content).crc64 == crc64(target.held())

    def test_no_padding_is_fine_too(self) -> None:
        content = CONTENT[:-1024]
        target = MemoryTarget()
        target.exists_with(len(content) + PAGE, *((o, content[o : o + n]) for o, n in RUNS[:3]))
        target.store(len(content), fixed_footer(None, len(content)))
        assert verify(target, content).crc64 == crc64(target.held())

    def test_data_in_the_padding_is_a_difference(self) -> None:
        content = CONTENT[:-1024]
        target = MemoryTarget()
        target.exists_with(len(CONTENT) + PAGE, *((o, content[o : o + n]) for o, n in RUNS[:3]))
        target.store(len(CONTENT), fixed_footer(None, len(CONTENT)))
        target.store(len(CONTENT) - PAGE, b"\1" * PAGE)
        with pytest.raises(VerificationError) as caught:
            verify(target, content)
        assert caught.value.offset == len(CONTENT) - PAGE


def test_nothing_there_is_an_error() -> None:
    with pytest.raises(TargetMissingError):
        verify(MemoryTarget())


@pytest.mark.parametrize(
    ("code", "remedy"), [("ContainerNotFound", "Check the destination"), ("", "Create it.")]
)
def test_a_missing_container_is_not_to_be_made(code: str, remedy: str) -> None:
    def missing(_operation: str, _offset: int) -> None:
        raise TargetMissingError("memory://target", "is missing", "Create it.", code=code)

    target = MemoryTarget()
    target.before = missing
    with pytest.raises(TargetMissingError) as caught:
        verify(target)
    assert caught.value.remedy.startswith(remedy)


def test_what_cannot_be_read_cannot_be_verified() -> None:
    target = MemoryTarget(DISK)
    target.exists_with(len(CONTENT) + PAGE)
    with pytest.raises(UsageError, match="cannot be read back"):
        verify(target)


def test_reads_are_tried_again() -> None:
    target = holding()
    failed = threading.Event()

    def fail(operation: str, _offset: int) -> None:
        if operation == "read_into" and not failed.is_set():
            failed.set()
            raise UnavailableError("memory://target", "no answer")

    target.before = fail
    assert verify(target).retries == 1


@pytest.mark.parametrize("operation", ["state", "page_ranges", "read_into"])
def test_it_can_be_stopped_anywhere(operation: str) -> None:
    target = holding()
    stop = threading.Event()

    def stop_there(now: str, _offset: int) -> None:
        if now == operation:
            stop.set()
            raise UnavailableError("memory://target", "no answer")

    target.before = stop_there
    with pytest.raises(TransferInterruptedError):
        verify(target, stop=stop)


@pytest.mark.parametrize("operation", ["page_ranges", "read_into"])
def test_stopped_while_all_goes_well_it_says_so_and_no_more(operation: str) -> None:
    target = holding()
    stop = threading.Event()
    target.before = lambda now, _offset: stop.set() if now == operation else None
    with pytest.raises(TransferInterruptedError) as caught:
        verify(target, stop=stop, workers=1)
    assert caught.value.problem == "verification was stopped"


def test_a_disk_that_cannot_be_read_is_no_difference() -> None:
    def broken(offset: int, _length: int) -> None:
        raise SourceReadError("memory.vhd", "I/O error", offset=offset)

    with pytest.raises(SourceReadError):
        verify(holding(), image=MemoryImage(CONTENT, before_read=broken))


def test_a_disk_that_changed_meanwhile_proves_nothing() -> None:
    image = MemoryImage(CONTENT)
    image.changed = SourceChangedError("memory.vhd", "the file was changed")
    with pytest.raises(SourceChangedError):
        verify(holding(), image=image)
