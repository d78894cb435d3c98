"""What a worker does with a step: everything arrives, nothing is made up, and the CRC is right."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.doubles import MemoryImage
from tests.support.uploads import Stages
from vhdtools.checksums import crc64
from vhdtools.errors import SourceReadError
from vhdtools.progress import NoTask
from vhdtools.ranges import PAGE, Extent, PageRange
from vhdtools.target.page_target import MAX_WRITE
from vhdtools.transfer import chunks
from vhdtools.transfer.chunks import ChunkReader, Digester, Sender
from vhdtools.transfer.ledger import Ledger
from vhdtools.transfer.plan import MERGE_GAP, Chunk, plan, work_size

GAP_PAGES = MERGE_GAP // PAGE


@st.composite
def disks(draw: st.DrawFn) -> tuple[bytes, list[Extent]]:
    """Content, and extents that know some of its zeros."""
    kinds = st.sampled_from(["data", "written zeros", "known zeros"])
    lengths = st.one_of(st.integers(1, 6), st.sampled_from([GAP_PAGES - 1, GAP_PAGES + 1]))
    content, extents = bytearray(), []
    for number, (kind, length) in enumerate(
        draw(st.lists(st.tuples(kinds, lengths), min_size=1, max_size=15))
    ):
        extents.append(Extent(len(content), length * PAGE, kind == "known zeros"))
        content += bytes([number + 1 if kind == "data" else 0]) * (length * PAGE)
    return bytes(content), extents


class Written:
    """Where a sender's writes go; each CRC is checked."""

    def __init__(self, size: int, *, confirms: bool = True) -> None:
        self.content = bytearray(size)
        self.ranges: list[PageRange] = []
        self._confirms = confirms

    def __call__(self, offset: int, data: memoryview, crc: int) -> bool:
        assert crc == crc64(data)
        assert 0 < len(data) <= MAX_WRITE
        self.content[offset : offset + len(data)] = data
        self.ranges.append(PageRange(offset, len(data)))
        return self._confirms


@given(disks())
@settings(max_examples=30)
def test_a_sender_sends_all_that_is_not_zero(disk: tuple[bytes, list[Extent]]) -> None:
    content, extents = disk
    written, progress, ledger = Written(len(content)), Stages(), Ledger()
    steps = list(plan(extents, len(content)))
    task = progress.task("uploading", work_size(steps))
    sender = Sender(MemoryImage(content, extents), written, task)
    for step in steps:
        ledger.enter(sender(step))
    assert written.content == content
    assert ledger.crc64 == crc64(content)
    assert list(ledger.written) == written.ranges
    task.close()
    progress.assert_complete()


@given(disks())
@settings(max_examples=30)
def test_a_digester_finds_what_a_sender_would_send(disk: tuple[bytes, list[Extent]]) -> None:
    content, extents = disk
    image = MemoryImage(content, extents)
    sender = Sender(image, Written(len(content)), NoTask())
    digester = Digester(image, NoTask())
    for step in plan(extents, len(content)):
        assert digester(step) == sender(step)


@given(disks())
@settings(max_examples=30)
def test_a_chunk_that_is_not_trimmed_is_written_whole(disk: tuple[bytes, list[Extent]]) -> None:
    content, extents = disk
    written = Written(len(content))
    reads = tuple(PageRange(e.offset, e.length) for e in extents if not e.zero)
    chunk = Chunk(0, len(content), reads, trim=False)
    result = Sender(MemoryImage(content, extents), written, NoTask())(chunk)
    assert written.content == content
    assert written.ranges == [PageRange(0, len(content))] == list(result.writes)
    assert result.crc64 == crc64(content)


def test_a_buffer_holds_nothing_of_the_chunk_before() -> None:
    content = b"\1" * (8 * PAGE) + bytes(8 * PAGE)
    reader = ChunkReader(MemoryImage(content, reads_zeros=True).read_into)
    assert reader.read(Chunk(0, 8 * PAGE, (PageRange(0, 8 * PAGE),))) == content[: 8 * PAGE]
    sparse = Chunk(0, 8 * PAGE, (PageRange(PAGE, PAGE), PageRange(5 * PAGE, PAGE)))
    expected = bytearray(8 * PAGE)
    expected[PAGE : 2 * PAGE] = expected[5 * PAGE : 6 * PAGE] = b"\1" * PAGE
    assert reader.read(sparse) == expected


@given(disks(), st.sampled_from([PAGE, 3 * PAGE, MAX_WRITE]))
@settings(max_examples=50)
def test_reading_unless_zero_gives_the_chunk_or_nothing(
    disk: tuple[bytes, list[Extent]], piece: int
) -> None:
    content, extents = disk
    image = MemoryImage(content, extents)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "_PIECE", piece)
        reader = ChunkReader(image.read_into)
        for first in (0, len(content) // PAGE // 2 * PAGE):
            reads = tuple(PageRange(e.offset, e.length) for e in image.extents(first) if not e.zero)
            chunk = Chunk(first, len(content) - first, reads)
            found = reader.read_unless_zero(chunk)
            if any(content[first:]):
                assert found is not None
                assert found == content[first:]
                assert found.obj is reader.read(chunk).obj, "one buffer for a thread"
            else:
                assert found is None


def test_a_chunk_that_is_too_large_is_no_chunk() -> None:
    with pytest.raises(ValueError, match="at most"):
        ChunkReader(MemoryImage(bytes(PAGE)).read_into).read(Chunk(0, MAX_WRITE + PAGE, ()))


KIB = 1024


@pytest.mark.parametrize(("apart", "requests"), [(120 * KIB, 1), (120 * KIB + PAGE, 2)])
@pytest.mark.parametrize("known", [False, True], ids=["zeros that were read", "known zeros"])
def test_data_up_to_120_kib_apart_is_sent_as_one_request(
    apart: int, requests: int, known: bool
) -> None:
    content = b"\1" * PAGE + bytes(apart) + b"\1" * PAGE
    extents = [
        Extent(0, PAGE, False),
        Extent(PAGE, apart, known),
        Extent(PAGE + apart, PAGE, False),
    ]
    written = Written(len(content))
    sender = Sender(MemoryImage(content, extents), written, NoTask())
    for step in plan(extents, len(content)):
        assert sender(step).unconfirmed == 0
    assert len(written.ranges) == requests
    assert written.content == content


def test_unconfirmed_writes_are_counted() -> None:
    content = b"\1" * PAGE + bytes(MERGE_GAP + PAGE) + b"\1" * PAGE
    sender = Sender(
        MemoryImage(content, [Extent(0, len(content), False)]),
        Written(len(content), confirms=False),
        NoTask(),
    )
    result = sender(Chunk(0, len(content), (PageRange(0, len(content)),)))
    assert result.unconfirmed == len(result.writes) == 2


def test_nothing_is_written_of_a_chunk_that_cannot_be_read() -> None:
    def broken(_offset: int, _length: int) -> None:
        raise SourceReadError("memory.vhd", "I/O error")

    written, progress = Written(2 * PAGE), Stages()
    task = progress.task("uploading", 2 * PAGE)
    sender = Sender(MemoryImage(b"\1" * 2 * PAGE, before_read=broken), written, task)
    with pytest.raises(SourceReadError):
        sender(Chunk(0, 2 * PAGE, (PageRange(0, PAGE), PageRange(PAGE, PAGE))))
    assert not written.ranges
    assert progress.done == [0]
