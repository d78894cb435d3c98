"""What a disk or a blob holds, in a few words that can be compared.

Both are read independently of the code under test: a disk from the raw file that it was made of, a
blob's page ranges through Microsoft's SDK, and its bytes by plain requests, as the SDK lists all
page ranges anew for every piece that it downloads.
"""

from __future__ import annotations

import hashlib
import os
import urllib.request
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from azure.storage.blob import BlobClient

from vhdtools.checksums import crc64, crc64_combine, crc64_zeros
from vhdtools.ranges import align_down, align_up

PAGE = 4096
"""The unit of "data" here: what a guest's file system writes at the least."""

_PIECE = 4 * 1024 * 1024
_ZEROS = bytes(_PIECE)


@dataclass(frozen=True, slots=True)
class Content:
    """What the bytes [0, size) are: where they are not zero, and what stands there.

    `data_bytes` counts whole 4 KiB pages that are not zero. `digest` is the SHA-256 of those pages
    and of their offsets, `crc64` that of all bytes.
    """

    size: int
    data_bytes: int
    digest: str
    crc64: str


def content_of_pieces(pieces: Iterable[tuple[int, bytes]], size: int) -> Content:
    """The content where ascending *pieces* (offset, data), in whole pages, are not zero."""
    pages, places = hashlib.sha256(), array("Q")
    crc = position = 0
    for offset, data in pieces:
        crc = _and_zeros(crc, offset - position)
        crc = crc64(data, crc)
        position = offset + len(data)
        if data == _ZEROS[: len(data)]:
            continue
        for start in range(0, len(data), PAGE):
            page = data[start : start + PAGE]
            if page != _ZEROS[: len(page)]:
                pages.update(page)
                places.append(offset + start)
    crc = _and_zeros(crc, size - position)
    pages.update(places.tobytes())
    return Content(size, len(places) * PAGE, pages.hexdigest(), f"{crc:016x}")


def content_of_file(path: Path, size: int) -> Content:
    """The content of the first *size* bytes of a file; holes are not read."""
    return content_of_pieces(_file_pieces(path, size), size)


def content_of_blob(blob: BlobClient, size: int) -> Content:
    """The content of the first *size* bytes of a page blob; only its page ranges are read."""
    return content_of_pieces(_blob_pieces(blob, size), size)


def data_runs(path: Path, size: int) -> Iterator[tuple[int, int]]:
    """Where a file's first *size* bytes are no hole: (offset, length) in whole pages."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        position = 0
        while position < size:
            try:
                start = os.lseek(descriptor, position, os.SEEK_DATA)
            except OSError:
                return  # no data from here on
            end = min(os.lseek(descriptor, start, os.SEEK_HOLE), size)
            start -= start % PAGE
            if start >= size:
                return
            yield start, end - start
            position = end
    finally:
        os.close(descriptor)


def _file_pieces(path: Path, size: int) -> Iterator[tuple[int, bytes]]:
    with path.open("rb", buffering=0) as file:
        for offset, length in data_runs(path, size):
            for start in range(offset, offset + length, _PIECE):
                file.seek(start)
                yield start, file.read(min(_PIECE, offset + length - start))


def _blob_pieces(blob: BlobClient, size: int) -> Iterator[tuple[int, bytes]]:
    for start, end in _whole_pages(blob, size):
        for offset in range(start, end, _PIECE):
            length = min(_PIECE, end - offset)
            yield offset, _get(blob.url, offset, length)


def _get(url: str, offset: int, length: int) -> bytes:
    """Bytes of the blob at *url*, which has a SAS."""
    place = {"Range": f"bytes={offset}-{offset + length - 1}"}
    with urllib.request.urlopen(urllib.request.Request(url, headers=place)) as answer:
        data: bytes = answer.read()
    return data


def _whole_pages(blob: BlobClient, size: int) -> Iterator[tuple[int, int]]:
    """The blob's page ranges in whole 4 KiB pages, neighbours joined, as (start, end)."""
    start = end = 0
    for item in blob.list_page_ranges():
        written, last_written = item.start or 0, item.end or 0  # an inclusive end
        if written >= size:
            break
        first = align_down(written, PAGE)
        last = min(align_up(last_written + 1, PAGE), size)
        if first > end:
            if end > start:
                yield start, end
            start = first
        end = max(end, last)
    if end > start:
        yield start, end


def _and_zeros(crc: int, length: int) -> int:
    return crc64_combine(crc, crc64_zeros(length), length) if length else crc
