"""What an upload sends, found by taking its steps without a target."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

from benchmarks.push import Write
from vhdtools.checksums import crc64
from vhdtools.image import open as open_image
from vhdtools.progress import NoTask
from vhdtools.ranges import PageRange
from vhdtools.transfer.chunks import Sender
from vhdtools.transfer.footer import fixed_footer, padded_size
from vhdtools.transfer.plan import plan


def recorded_writes(disk: Path) -> list[Write]:
    """The page writes that an upload of *disk* makes, in disk order, with their data."""
    writes = list[Write]()
    _record(disk, lambda offset, data, crc: writes.append(Write(offset, bytes(data), crc)))
    return writes


@cache
def recorded_places(disk: Path) -> tuple[PageRange, ...]:
    """Where these page writes go, in disk order."""
    places = list[PageRange]()
    _record(disk, lambda offset, data, _crc: places.append(PageRange(offset, len(data))))
    return tuple(places)


def _record(disk: Path, take: Callable[[int, memoryview, int], None]) -> None:
    def write(offset: int, data: memoryview, crc: int) -> bool:
        take(offset, data, crc)
        return True

    with open_image(disk) as image:
        size = padded_size(image.virtual_size)
        send = Sender(image, write, NoTask())
        for step in plan(image.extents(), size):
            send(step)
        footer = fixed_footer(image.footer, size)
    write(size, memoryview(footer), crc64(footer))
