"""What tests of uploads share: quick retries, progress that is recorded, and what must arrive."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.build_vhd import SECTOR, Recipe
from vhdtools.checksums import crc64
from vhdtools.image import open as open_image
from vhdtools.layout import DiskType
from vhdtools.progress import RecoveredEvent, RetryEvent
from vhdtools.ranges import PAGE
from vhdtools.target.destination import open_target
from vhdtools.target.http_connection import Timeouts
from vhdtools.target.page_target import PageTarget
from vhdtools.transfer.footer import fixed_footer, padded_size
from vhdtools.transfer.job import UploadOptions
from vhdtools.transfer.result import UploadResult
from vhdtools.transfer.retry import RetryPolicy
from vhdtools.transfer.upload import upload_image

MIB = 1 << 20
PER_MIB = MIB // SECTOR
"""Letters of a word that make a MiB."""
BLOCK = 2 * MIB
"""The usual block size."""

QUICK = RetryPolicy(first_delay=0.002, max_delay=0.02, patience=20.0)
"""Retries as users have them, a hundred times as fast."""


def fixed(word: str) -> Recipe:
    """A fixed disk of *word*."""
    return Recipe(word, disk_type=DiskType.FIXED)


def dynamic(word: str, **changes: Any) -> Recipe:
    """A dynamic disk of *word* with blocks of the usual size."""
    return Recipe(word, block_size=BLOCK, **changes)


class Stages:
    """A `Progress` that keeps what it is told, and can tell whether it adds up."""

    def __init__(self) -> None:
        self.totals: list[tuple[str, int]] = []
        self.done: list[int] = []
        self.begun: list[int] = []
        self.subjects: list[str] = []
        self.notes: list[str] = []
        self.retries: list[RetryEvent] = []
        self.recoveries: list[RecoveredEvent] = []
        self.open = 0
        self._lock = threading.Lock()

    def task(self, name: str, total: int, done: int = 0, *, subject: str = "") -> Stage:
        with self._lock:
            self.totals.append((name, total))
            self.done.append(done)
            self.begun.append(done)
            self.subjects.append(subject)
            self.open += 1
            return Stage(self, len(self.done) - 1)

    def advance(self, amount: int) -> None:
        """Runs before each advance of a task; may do what something outside would do then."""

    def note(self, text: str) -> None:
        with self._lock:
            self.notes.append(text)

    def retrying(self, event: RetryEvent) -> None:
        with self._lock:
            self.retries.append(event)

    def recovered(self, event: RecoveredEvent) -> None:
        with self._lock:
            self.recoveries.append(event)

    @property
    def names(self) -> list[str]:
        """The stages in their order."""
        return [name for name, _ in self.totals]

    def assert_complete(self) -> None:
        """Every stage came to its total, and was closed."""
        assert self.open == 0
        assert self.done == [total for _, total in self.totals], self.names


class Stage:
    """One task of `Stages`."""

    def __init__(self, stages: Stages, number: int) -> None:
        self._stages = stages
        self._number = number

    def advance(self, amount: int) -> None:
        self._stages.advance(amount)
        with self._stages._lock:
            assert amount >= 0
            self._stages.done[self._number] += amount

    def close(self) -> None:
        with self._stages._lock:
            self._stages.open -= 1


def guest_bytes(disk: Path) -> bytes:
    """What the guest of *disk* sees, as vhdtools reads it."""
    with open_image(disk) as image:
        content = bytearray(image.virtual_size)
        image.read_into(0, content)
    return bytes(content)


def expected_blob(disk: Path, content: bytes | None = None) -> bytes:
    """The whole blob that an upload of *disk* makes; *content* is what its guest sees."""
    with open_image(disk) as image:
        guest = guest_bytes(disk) if content is None else content
        size = padded_size(len(guest))
        return guest.ljust(size, b"\0") + fixed_footer(image.footer, size)


def nonzero_pages(content: bytes) -> list[tuple[int, int]]:
    """The pages of *content* that are not zero, joined, as (offset, length)."""
    runs: list[tuple[int, int]] = []
    zeros = bytes(PAGE)
    for offset in range(0, len(content), PAGE):
        if content[offset : offset + PAGE] == zeros:
            continue
        if runs and sum(runs[-1]) == offset:
            runs[-1] = (runs[-1][0], runs[-1][1] + PAGE)
        else:
            runs.append((offset, PAGE))
    return runs


@contextmanager
def target_at(
    url: str, *, workers: int = 4, timeouts: Timeouts | None = None, managed_disk: bool = False
) -> Iterator[PageTarget]:
    """The target of a URL with its SAS, closed afterwards."""
    target = open_target(url, workers=workers, timeouts=timeouts, managed_disk=managed_disk)
    try:
        yield target
    finally:
        target.close()


def send(
    disk: Path,
    url: str,
    options: UploadOptions | None = None,
    *,
    stop: threading.Event | None = None,
    timeouts: Timeouts | None = None,
    managed_disk: bool = False,
) -> UploadResult:
    """Upload *disk* to the blob or disk at *url*, with quick retries unless *options* say other."""
    options = options or UploadOptions(retry=QUICK, workers=4)
    with (
        open_image(disk) as image,
        target_at(
            url, workers=options.workers, timeouts=timeouts, managed_disk=managed_disk
        ) as target,
    ):
        result = upload_image(image, target, options, stop)
    check_sums(result)
    return result


def check_sums(result: UploadResult) -> None:
    """The numbers of a result add up."""
    parts = result.sent_bytes + result.zero_bytes + result.resumed_bytes
    assert parts == result.blob_size
    assert min(result.sent_bytes, result.zero_bytes, result.resumed_bytes) >= 0
    assert result.blob_size == result.virtual_size + result.padded_bytes + 512
    assert result.retries == sum(result.retry_reasons.values())
    assert result.unconfirmed_requests <= result.requests


def crc_of(content: bytes) -> int:
    """The CRC-64 that a blob of *content* is known by."""
    return crc64(content)
