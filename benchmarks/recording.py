"""What an upload sends, found by letting one run against memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TypeAlias

from benchmarks.push import Write
from vhdtools.image import open as open_image
from vhdtools.ranges import PageRange, coalesce
from vhdtools.target.page_target import TargetCapabilities, TargetState
from vhdtools.transfer import UploadOptions
from vhdtools.transfer.upload import upload_image


def recorded_writes(disk: Path) -> list[Write]:
    """The page writes that an upload of *disk* makes, in disk order, with their data."""
    writes = list[Write]()
    _record(disk, lambda place, data, crc: writes.append(Write(place.offset, bytes(data), crc)))
    return sorted(writes, key=lambda write: write.offset)


@cache
def recorded_places(disk: Path) -> tuple[PageRange, ...]:
    """Where these page writes go, in disk order."""
    places = list[PageRange]()
    _record(disk, lambda place, _data, _crc: places.append(place))
    return tuple(sorted(places, key=lambda place: place.offset))


_Take: TypeAlias = Callable[[PageRange, memoryview, int], None]


def _record(disk: Path, take: _Take) -> None:
    with open_image(disk) as image:
        upload_image(image, _Recorder(take), UploadOptions(workers=2))


class _Recorder:
    """A `PageTarget` that hands on the writes, and remembers their places."""

    name = "memory"
    capabilities = TargetCapabilities(
        creates=True, metadata=False, lease=False, reads=False, clears=False
    )

    def __init__(self, take: _Take) -> None:
        self._take = take
        self._places = list[PageRange]()
        self._lock = threading.Lock()

    def state(self) -> TargetState | None:
        return None

    def create(self, size: int, metadata: Mapping[str, str], *, replace: bool) -> None:
        pass

    def write(self, offset: int, data: memoryview, crc64: int) -> bool:
        place = PageRange(offset, len(data))
        with self._lock:
            self._take(place, data, crc64)
            self._places.append(place)
        return True

    def page_ranges(self, offset: int, length: int) -> Iterator[PageRange]:
        return coalesce(sorted(self._places, key=lambda place: place.offset))

    def acquire_lease(self, lease_id: str, previous: str | None = None) -> None:
        raise NotImplementedError

    def renew_lease(self) -> None:
        raise NotImplementedError

    def release_lease(self) -> None:
        pass

    def clear(self, offset: int, length: int) -> None:
        raise NotImplementedError

    def read_into(self, offset: int, buffer: bytearray | memoryview) -> None:
        raise NotImplementedError

    def set_metadata(self, metadata: Mapping[str, str]) -> None:
        raise NotImplementedError

    def set_content_md5(self, digest: bytes) -> None:
        raise NotImplementedError

    def finish(self) -> None:
        pass

    def refresh_access(self) -> bool:
        return False

    def close(self) -> None:
        pass
