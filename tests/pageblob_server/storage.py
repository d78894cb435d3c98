"""What the service holds: containers, blobs, and the pages of a page blob, sparsely.

Nothing here knows of HTTP. All of it is touched under the service's lock alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from .checksums import crc64, crc64_combine, crc64_of_zeros
from .leases import Lease
from .rangeset import RangeSet

PAGE = 512
MIB = 1024 * 1024
MAX_WRITE = 4 * MIB
MAX_BLOB = 8 * 1024 * 1024 * MIB

_CHUNK = 64 * 1024
_ZEROS = bytes(MIB)


class PageStore:
    """The bytes of one blob in chunks of 64 KiB, only where something was written.

    With `discard` the bytes are dropped and only the CRC-64 of each write is kept: enough for the
    checksum of the whole, as long as writes and clears that overlap are equal in range.
    """

    __slots__ = ("_checksums", "_chunks", "_unknown", "discard")

    def __init__(self, *, discard: bool = False) -> None:
        self.discard = discard
        self._chunks: dict[int, bytearray] = {}
        self._checksums: dict[int, tuple[int, int]] = {}
        self._unknown = False

    def write(self, offset: int, pieces: Iterable[bytes], checksum: int, length: int) -> None:
        """Store `pieces`, one after the other, from `offset` on."""
        if self.discard:
            before, _ = self._checksums.get(offset, (0, 0))
            self._unknown |= before > length
            self._checksums[offset] = (length, checksum)
            return
        for piece in pieces:
            self._write_piece(offset, memoryview(piece))
            offset += len(piece)

    def _write_piece(self, offset: int, data: memoryview) -> None:
        position = 0
        while position < len(data):
            index, start = divmod(offset + position, _CHUNK)
            part = data[position : position + _CHUNK - start]
            if len(part) == _CHUNK:
                self._chunks[index] = bytearray(part)
            else:
                chunk = self._chunks.get(index)
                if chunk is None:
                    chunk = self._chunks[index] = bytearray(_CHUNK)
                chunk[start : start + len(part)] = part
            position += len(part)

    def clear(self, offset: int, length: int) -> None:
        """Make the range zeros again, giving its memory back."""
        end = offset + length
        if self.discard:
            for start, (count, _) in list(self._checksums.items()):
                if start < end and offset < start + count:
                    del self._checksums[start]
                    self._unknown |= start < offset or end < start + count
            return
        span = range(offset // _CHUNK, -(-end // _CHUNK))
        for index in [i for i in self._chunks if i in span]:
            first = max(offset - index * _CHUNK, 0)
            last = min(end - index * _CHUNK, _CHUNK)
            if last - first == _CHUNK:
                del self._chunks[index]
            else:
                self._chunks[index][first:last] = bytes(last - first)

    def read(self, offset: int, length: int) -> bytes:
        """The bytes of the range; zeros where nothing was written."""
        if self.discard:
            raise ValueError("the server was told to discard what it is sent")
        parts: list[bytes | memoryview] = []
        end = offset + length
        while offset < end:
            index, start = divmod(offset, _CHUNK)
            count = min(_CHUNK - start, end - offset)
            chunk = self._chunks.get(index)
            parts.append(
                bytes(count) if chunk is None else memoryview(chunk)[start : start + count]
            )
            offset += count
        return b"".join(parts)

    def crc64(self, size: int, ranges: RangeSet) -> int:
        """The CRC-64 of all `size` bytes, zeros included; `ranges` are those that hold data.

        ValueError where discarded data would be needed to tell it.
        """
        value, position = 0, 0
        runs = list(self._runs(ranges))
        ends = [offset + length for offset, length, _ in runs]
        starts = [offset for offset, _, _ in runs[1:]]
        if self._unknown or any(end > start for end, start in zip(ends, starts, strict=False)):
            raise ValueError("discarded writes overlap: there is no checksum of the whole")
        for offset, length, checksum in runs:
            value = crc64_combine(value, crc64_of_zeros(offset - position), offset - position)
            value = crc64_combine(value, checksum, length)
            position = offset + length
        return crc64_combine(value, crc64_of_zeros(size - position), size - position)

    def _runs(self, ranges: RangeSet) -> Iterator[tuple[int, int, int]]:
        if self.discard:
            for offset, (length, checksum) in sorted(self._checksums.items()):
                yield offset, length, checksum
            return
        for start, total in ranges:
            for offset in range(start, start + total, MIB):
                length = min(MIB, start + total - offset)
                yield offset, length, crc64(self.read(offset, length))


@dataclass(slots=True)
class Blob:
    """One blob. `managed` marks a managed disk's, which obeys the `md-` rules."""

    size: int
    kind: str
    etag: str
    modified: float
    created: float
    pages: PageStore
    metadata: dict[str, str] = field(default_factory=dict)
    properties: dict[str, str] = field(default_factory=dict)
    sequence_number: int = 0
    lease: Lease | None = None
    managed: bool = False
    readable: bool = True
    ranges: RangeSet = field(default_factory=RangeSet)
    written: RangeSet = field(default_factory=RangeSet)
    rewritten: RangeSet = field(default_factory=RangeSet)
    written_bytes: int = 0
    rewritten_bytes: int = 0

    def write(self, offset: int, pieces: list[bytes], checksum: int, length: int) -> int:
        """Put Page: the range holds data now, even where the data are zeros.

        Returns how many of these bytes an earlier Put Page had already written.
        """
        repeated = 0
        for start, again in self.written.overlapping(offset, length):
            self.rewritten.add(start, again)
            repeated += again
        self.written.add(offset, length)
        self.written_bytes += length
        self.rewritten_bytes += repeated
        self.pages.write(offset, pieces, checksum, length)
        self.ranges.add(offset, length)
        return repeated

    def preset(self, offset: int, data: bytes) -> None:
        """Put data there that no request brought: not counted as written."""
        self.pages.write(offset, [data], crc64(data), len(data))
        self.ranges.add(offset, len(data))

    def clear(self, offset: int, length: int) -> None:
        """Clear Pages: the range is empty now."""
        self.pages.clear(offset, length)
        self.ranges.remove(offset, length)

    def resize(self, size: int) -> None:
        """Cut off or append; what is appended is empty."""
        if size < self.size:
            self.clear(size, self.size - size)
        self.size = size

    def chunks(self, offset: int, length: int) -> Iterator[bytes]:
        """The bytes of the range in pieces of 1 MiB."""
        for start in range(offset, offset + length, MIB):
            yield self.pages.read(start, min(MIB, offset + length - start))

    def sha256(self) -> str:
        """The SHA-256 of the whole content, in hex."""
        digest = hashlib.sha256()
        position = 0
        for offset, length in self.ranges:
            _update_zeros(digest, offset - position)
            for chunk in self.chunks(offset, length):
                digest.update(chunk)
            position = offset + length
        _update_zeros(digest, self.size - position)
        return digest.hexdigest()


def _update_zeros(digest: hashlib._Hash, count: int) -> None:
    while count > 0:
        part = min(count, len(_ZEROS))
        digest.update(memoryview(_ZEROS)[:part])
        count -= part
