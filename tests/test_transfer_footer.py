"""The footer of what is uploaded: what it takes from the disk, and what inspection says of it."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

from tests.support.build_vhd import Recipe, footer_of
from vhdtools.inspection import Level, inspect
from vhdtools.layout import DiskType, parse_footer
from vhdtools.transfer.footer import MIB, fixed_footer

SIZE = 20 * MIB
UNIX_2026 = 1_767_225_600
NOW = datetime(2026, 6, 1, tzinfo=timezone.utc)


def test_a_time_stamp_from_1970_is_written_as_one_from_2000(tmp_path: Path) -> None:
    source = footer_of(Recipe("A", footer={"creator_application": b"xo  ", "timestamp": UNIX_2026}))
    written = fixed_footer(source, SIZE)
    assert parse_footer(written).created == datetime(2026, 1, 1, tzinfo=timezone.utc)
    path = tmp_path / "disk.vhd"
    path.write_bytes(bytes(SIZE) + written)
    assert [f.code for f in inspect(path, now=NOW).findings if f.level is not Level.INFO] == []


def test_any_other_time_stamp_stays() -> None:
    for creator, stamp in ((b"xo  ", 800_000_000), (b"win ", UNIX_2026), (b"win ", 0)):
        footer = {"creator_application": creator, "timestamp": stamp}
        source = footer_of(Recipe("A", DiskType.FIXED, footer=footer))
        assert parse_footer(fixed_footer(source, SIZE)).timestamp == stamp
