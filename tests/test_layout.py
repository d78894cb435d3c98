"""Footers, headers, tables and bitmaps: bytes to values and back."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields, replace
from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.build_vhd import Recipe, footer_of, header_of
from vhdtools.layout import (
    DYNAMIC_HEADER_FIELDS,
    DYNAMIC_HEADER_SIZE,
    FOOTER_FIELDS,
    FOOTER_SIZE,
    UNALLOCATED,
    DynamicHeader,
    FieldPlace,
    Footer,
    Geometry,
    ParentLocator,
    allocated_blocks,
    allocated_entries,
    bitmap_size,
    build_bat,
    build_dynamic_header,
    build_footer,
    geometry_for,
    parse_bat,
    parse_dynamic_header,
    parse_footer,
)
from vhdtools.layout.batmap import (
    BATMAP_HEADER_FIELDS,
    BATMAP_HEADER_SIZE,
    BatmapHeader,
    batmap_checksum,
    build_batmap_header,
    parse_batmap_header,
)
from vhdtools.layout.bitmap import runs

uint8 = st.integers(0, 0xFF)
uint16 = st.integers(0, 0xFFFF)
uint32 = st.integers(0, 0xFFFF_FFFF)
uint64 = st.integers(0, 0xFFFF_FFFF_FFFF_FFFF)


def raw(size: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=size, max_size=size)


footers = st.builds(
    Footer,
    cookie=raw(8),
    features=uint32,
    version=uint32,
    data_offset=uint64,
    timestamp=uint32,
    creator_application=raw(4),
    creator_version=uint32,
    creator_host_os=raw(4),
    original_size=uint64,
    current_size=uint64,
    cylinders=uint16,
    heads=uint8,
    sectors_per_track=uint8,
    disk_type=uint32,
    checksum=uint32,
    unique_id=raw(16),
    saved_state=uint8,
    reserved=raw(427),
)
locators = st.builds(
    ParentLocator,
    platform_code=raw(4),
    data_space=uint32,
    data_length=uint32,
    reserved=uint32,
    data_offset=uint64,
)
headers = st.builds(
    DynamicHeader,
    cookie=raw(8),
    data_offset=uint64,
    table_offset=uint64,
    version=uint32,
    max_table_entries=uint32,
    block_size=uint32,
    checksum=uint32,
    parent_unique_id=raw(16),
    parent_timestamp=uint32,
    reserved=uint32,
    parent_name=raw(512),
    parent_locators=st.lists(locators, min_size=8, max_size=8).map(tuple),
    reserved_tail=raw(256),
)
batmaps = st.builds(
    BatmapHeader,
    cookie=raw(8),
    map_offset=uint64,
    map_sectors=uint32,
    version=uint32,
    checksum=uint32,
    marker=uint8,
    key_hash=raw(65),
    reserved=raw(418),
)


@given(footers)
def test_footer_survives_building_and_parsing(footer: Footer) -> None:
    data = build_footer(footer)
    assert len(data) == FOOTER_SIZE
    assert parse_footer(data) == footer


@given(raw(FOOTER_SIZE))
def test_any_512_bytes_are_a_footer(data: bytes) -> None:
    assert build_footer(parse_footer(data)) == data


@given(headers)
def test_dynamic_header_survives_building_and_parsing(header: DynamicHeader) -> None:
    data = build_dynamic_header(header)
    assert len(data) == DYNAMIC_HEADER_SIZE
    assert parse_dynamic_header(data) == header


@given(raw(DYNAMIC_HEADER_SIZE))
def test_any_1024_bytes_are_a_dynamic_header(data: bytes) -> None:
    assert build_dynamic_header(parse_dynamic_header(data)) == data


@given(batmaps)
def test_batmap_header_survives_building_and_parsing(header: BatmapHeader) -> None:
    data = build_batmap_header(header)
    assert len(data) == BATMAP_HEADER_SIZE
    assert parse_batmap_header(data) == header
    assert header.encrypted is any(header.key_hash)


@given(st.lists(uint32, max_size=300))
def test_bat_survives_building_and_parsing(entries: list[int]) -> None:
    data = build_bat(array("I", entries))
    assert data == b"".join(entry.to_bytes(4, "big") for entry in entries)
    table = parse_bat(memoryview(data))
    assert list(table) == entries
    assert table.itemsize == 4


def test_bat_is_whole_entries() -> None:
    with pytest.raises(ValueError, match="multiple of 4 bytes, not 7"):
        parse_bat(bytes(7))


@pytest.mark.parametrize(
    ("parse", "size"),
    [
        (parse_footer, FOOTER_SIZE),
        (parse_dynamic_header, DYNAMIC_HEADER_SIZE),
        (parse_batmap_header, BATMAP_HEADER_SIZE),
    ],
)
@pytest.mark.parametrize("off", [-1, 1])
def test_other_sizes_are_refused(parse: Callable[[bytes], object], size: int, off: int) -> None:
    with pytest.raises(ValueError, match=f"{size} bytes, not {size + off}"):
        parse(bytes(size + off))


def test_values_that_do_not_fit_are_refused() -> None:
    footer = footer_of(Recipe("A"))
    for changed in (
        replace(footer, current_size=1 << 64),
        replace(footer, heads=256),
        replace(footer, unique_id=bytes(17)),
        replace(footer, disk_type=-1),
    ):
        with pytest.raises(ValueError, match="footer"):
            build_footer(changed)
    header = header_of(Recipe("A"))
    for broken in (
        replace(header, block_size=1 << 32),
        replace(header, parent_locators=header.parent_locators[:7]),
    ):
        with pytest.raises(ValueError, match="dynamic disk header"):
            build_dynamic_header(broken)


@given(footers)
def test_sealing_a_footer_makes_its_checksum_right(footer: Footer) -> None:
    sealed = footer.sealed()
    assert sealed.checksum_ok
    assert replace(sealed, checksum=footer.checksum) == footer
    assert not replace(sealed, checksum=sealed.checksum ^ 1).checksum_ok
    data = build_footer(sealed)
    assert sealed.checksum == ~sum(data[:64] + data[68:]) & 0xFFFF_FFFF


@given(headers)
def test_sealing_a_header_makes_its_checksum_right(header: DynamicHeader) -> None:
    sealed = header.sealed()
    assert sealed.checksum_ok
    assert replace(sealed, checksum=header.checksum) == header
    assert not replace(sealed, checksum=sealed.checksum ^ 1).checksum_ok
    data = build_dynamic_header(sealed)
    assert sealed.checksum == ~sum(data[:36] + data[40:]) & 0xFFFF_FFFF


def test_batmap_checksum_is_that_of_the_map() -> None:
    assert batmap_checksum(bytes([1, 2, 255])) == ~258 & 0xFFFF_FFFF


def test_fields_have_the_places_that_the_specification_gives() -> None:
    places = {place.name: place.offset for place in FOOTER_FIELDS}
    assert (places["current_size"], places["checksum"], places["reserved"]) == (48, 64, 85)
    places = {place.name: place.offset for place in DYNAMIC_HEADER_FIELDS}
    assert (places["table_offset"], places["parent_name"]) == (16, 64)
    assert places["parent_locators[7].data_offset"] == 576 + 7 * 24 + 16
    places = {place.name: place.offset for place in BATMAP_HEADER_FIELDS}
    assert (places["map_offset"], places["key_hash"]) == (8, 29)


@pytest.mark.parametrize(
    ("places", "size"),
    [
        (FOOTER_FIELDS, FOOTER_SIZE),
        (DYNAMIC_HEADER_FIELDS, DYNAMIC_HEADER_SIZE),
        (BATMAP_HEADER_FIELDS, BATMAP_HEADER_SIZE),
    ],
)
def test_fields_leave_no_gap(places: tuple[FieldPlace, ...], size: int) -> None:
    end = 0
    for place in places:
        assert place.offset == end
        end += place.size
    assert end == size


def test_time_stamps_count_from_2000() -> None:
    footer = replace(footer_of(Recipe("A")), timestamp=86400)
    assert footer.created == datetime(2000, 1, 2, tzinfo=timezone.utc)


def test_they_are_frozen() -> None:
    footer = footer_of(Recipe("A"))
    with pytest.raises(FrozenInstanceError):
        footer.checksum = 1  # type: ignore[misc]
    assert not hasattr(footer, "__dict__")
    assert [f.name for f in fields(Footer)][:2] == ["cookie", "features"]


@pytest.mark.parametrize(
    ("size", "shape"),
    [
        (0, (0, 4, 17)),
        (34_816, (1, 4, 17)),
        (40 << 20, (963, 5, 17)),
        (1 << 30, (2080, 16, 63)),
        (65535 * 16 * 63 * 512, (16191, 16, 255)),
        (65535 * 16 * 255 * 512, (65535, 16, 255)),
        (2040 << 30, (65535, 16, 255)),
    ],
)
def test_geometry_by_the_specification(size: int, shape: tuple[int, int, int]) -> None:
    assert geometry_for(size) == Geometry(*shape)


@pytest.mark.parametrize(
    ("size", "by_geometry"),
    [
        (104_448, 104_448),  # qemu
        (4 << 20, 4_177_920),  # blktap
        (5 << 20, 5_222_400),  # VirtualBox
        (10 << 20, 10_479_616),  # blktap
        (40 << 20, 41_909_760),  # Windows 8
        (200 << 20, 209_510_400),  # Windows 7
        (1 << 30, 1_073_479_680),  # blktap
    ],
)
def test_geometry_as_producers_have_it(size: int, by_geometry: int) -> None:
    assert geometry_for(size).size == by_geometry


@given(st.integers(0, 2040 << 30))
def test_geometry_stays_below_the_size(size: int) -> None:
    geometry = geometry_for(size)
    assert geometry.size <= size
    assert geometry.cylinders <= 65535
    assert geometry.heads <= 16
    assert geometry.is_maximal is (geometry.size >= 65535 * 16 * 255 * 512)
    if not geometry.is_maximal:
        assert size - geometry.size < geometry.heads * geometry.sectors_per_track * 512 * 2


@pytest.mark.parametrize(
    ("block_size", "size"),
    [(512, 512), (4096, 512), (512 << 10, 512), (2 << 20, 512), (4 << 20, 1024), (2 << 30, 524288)],
)
def test_bitmaps_take_whole_sectors(block_size: int, size: int) -> None:
    assert bitmap_size(block_size) == size


def runs_one_by_one(bitmap: bytes, first: int, count: int) -> list[tuple[int, int, bool]]:
    found: list[tuple[int, int, bool]] = []
    for number in range(first, first + count):
        bit = bool(bitmap[number // 8] >> (7 - number % 8) & 1)
        if found and found[-1][2] is bit:
            start, length, _ = found[-1]
            found[-1] = (start, length + 1, bit)
        else:
            found.append((number, 1, bit))
    return found


@given(
    st.lists(
        st.one_of(st.binary(max_size=40), st.integers(0, 1200).map(bytes), st.just(b"\xff" * 700)),
        max_size=4,
    ).map(b"".join),
    st.data(),
)
def test_runs_are_those_found_bit_by_bit(bitmap: bytes, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(bitmap) * 8))
    count = data.draw(st.integers(0, len(bitmap) * 8 - first))
    assert list(runs(bitmap, first, count)) == runs_one_by_one(bitmap, first, count)


def test_runs_of_a_huge_bitmap_are_few() -> None:
    size = bitmap_size(2 << 30)
    bits = size * 8
    assert list(runs(b"\xff" * size, 0, bits)) == [(0, bits, True)]
    assert list(runs(bytes(size), 5, bits - 5)) == [(5, bits - 5, False)]
    halves = bytes(size // 2) + b"\xff" * (size // 2)
    assert list(runs(memoryview(halves), 0, bits)) == [
        (0, bits // 2, False),
        (bits // 2, bits // 2, True),
    ]


@pytest.mark.parametrize(("first", "count"), [(-1, 2), (0, 9), (8, 1)])
def test_runs_past_the_bitmap_are_refused(first: int, count: int) -> None:
    with pytest.raises(ValueError, match="are not in a bitmap of 1 bytes"):
        list(runs(b"\xff", first, count))


@given(
    st.lists(st.tuples(st.integers(1, 6000), st.booleans()), max_size=5),
    st.integers(0, 9000),
)
def test_allocated_blocks_are_those_with_an_entry(
    runs_of_entries: list[tuple[int, bool]], first: int
) -> None:
    bat = array("I")
    for length, held in runs_of_entries:
        bat.extend(range(1, length + 1) if held else [UNALLOCATED] * length)
    expected = [number for number, entry in enumerate(bat) if entry != UNALLOCATED]
    assert list(allocated_blocks(bat)) == expected
    assert list(allocated_blocks(bat, first)) == [n for n in expected if n >= first]
    assert list(allocated_entries(bat)) == [bat[number] for number in expected]
