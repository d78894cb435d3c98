"""The parts of the page-blob service that need no HTTP, against plain models of them."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pageblob_server import leases
from tests.pageblob_server.calls import Body, span_of
from tests.pageblob_server.checksums import crc64, crc64_combine, crc64_of_zeros
from tests.pageblob_server.errors import RefusedError
from tests.pageblob_server.leases import Lease
from tests.pageblob_server.rangeset import RangeSet
from tests.pageblob_server.storage import PAGE, PageStore

CHUNK = 64 * 1024
SIZE = 4 * CHUNK

Span = tuple[int, int]


@st.composite
def spans(draw: st.DrawFn, size: int, unit: int = 1) -> Span:
    """A range inside `size`, in whole units."""
    offset = draw(st.integers(0, size // unit - 1))
    length = draw(st.integers(1, size // unit - offset))
    return offset * unit, length * unit


@given(st.lists(st.tuples(st.booleans(), spans(40))), spans(40))
def test_range_set_is_a_set_of_bytes(changes: list[tuple[bool, Span]], asked: Span) -> None:
    ours, model = RangeSet(), set[int]()
    for adds, (offset, length) in changes:
        if adds:
            ours.add(offset, length)
            model |= set(range(offset, offset + length))
        else:
            ours.remove(offset, length)
            model -= set(range(offset, offset + length))
    found = list(ours)
    assert {byte for offset, length in found for byte in range(offset, offset + length)} == model
    gaps = [after[0] - before[0] - before[1] for before, after in pairwise(found)]
    assert all(gap > 0 for gap in gaps)
    assert (len(ours), ours.total) == (len(found), len(model))
    part = ours.overlapping(*asked)
    expected = model & set(range(asked[0], sum(asked)))
    assert {byte for offset, length in part for byte in range(offset, offset + length)} == expected
    assert ours.count(*asked) == len(part)


@given(st.lists(st.tuples(st.integers(0, 255), spans(SIZE, PAGE)), max_size=8))
def test_page_store_is_an_array(changes: list[tuple[int, Span]]) -> None:
    """Byte 0 clears."""
    store, ranges, model = PageStore(), RangeSet(), bytearray(SIZE)
    for value, (offset, length) in changes:
        data = bytes([value]) * length
        model[offset : offset + length] = data
        if value:
            half = length // 2
            store.write(offset, [data[:half], data[half:]], crc64(data), length)
            ranges.add(offset, length)
        else:
            store.clear(offset, length)
            ranges.remove(offset, length)
    assert store.read(0, SIZE) == model
    assert store.read(100, SIZE - 300) == model[100:-200]
    assert store.crc64(SIZE, ranges) == crc64(model)


def test_discarding_store_knows_the_checksum_or_that_it_does_not() -> None:
    store, ranges = PageStore(discard=True), RangeSet()
    for offset in (3 * PAGE, PAGE):
        store.write(offset, [], crc64(b"x" * PAGE), PAGE)
    assert store.crc64(4 * PAGE, ranges) == crc64((bytes(PAGE) + b"x" * PAGE) * 2)
    store.clear(2 * PAGE, 2 * PAGE)
    assert store.crc64(4 * PAGE, ranges) == crc64(bytes(PAGE) + b"x" * PAGE + bytes(2 * PAGE))
    store.write(0, [], crc64(b"y" * 4 * PAGE), 4 * PAGE)
    with pytest.raises(ValueError, match="overlap"):
        store.crc64(4 * PAGE, ranges)
    store.clear(PAGE, PAGE)
    with pytest.raises(ValueError, match="overlap"):
        store.crc64(4 * PAGE, ranges)


def test_discarding_store_notices_a_shorter_write_over_a_longer_one() -> None:
    store = PageStore(discard=True)
    store.write(0, [], crc64(b"x" * 2 * PAGE), 2 * PAGE)
    store.write(0, [], crc64(b"y" * PAGE), PAGE)
    with pytest.raises(ValueError, match="overlap"):
        store.crc64(4 * PAGE, RangeSet())


def test_checksums_of_known_data() -> None:
    assert crc64(b"123456789") == 0xAE8B14860A799888
    assert crc64_combine(crc64(b"12345"), crc64(b"6789"), 4) == 0xAE8B14860A799888
    for length in (0, 1, 511, 4096, 100_000):
        assert crc64_of_zeros(length) == crc64(bytes(length))


@given(st.lists(st.binary(min_size=1, max_size=5), min_size=1), st.integers(0, 40))
def test_flipping_changes_one_bit(pieces: list[bytes], position: int) -> None:
    body = Body(pieces)
    before, after = b"".join(body.pieces), b"".join(body.flipped(position).pieces)
    differing = [
        index for index, pair in enumerate(zip(before, after, strict=True)) if len({*pair}) > 1
    ]
    assert differing == [min(position, len(before) - 1)]
    assert bin(before[differing[0]] ^ after[differing[0]]).count("1") == 1
    assert (body.length, body.crc64()) == (len(before), crc64(before))


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"Range": "bytes=0-511"}, (0, 512)),
        ({"x-ms-range": "bytes=512-1023", "Range": "bytes=0-511"}, (512, 512)),
        ({"Range": "bytes=512-"}, (512, None)),
        ({"Range": "bytes=-512"}, None),
        ({"Range": "bytes=2-1"}, None),
        ({"Range": "pages=0-1"}, None),
        ({"Range": "bytes=0-x"}, None),
    ],
)
def test_range_headers(headers: dict[str, str], expected: tuple[int, int | None] | None) -> None:
    assert span_of(headers) == expected


class TestLeases:
    """The outcomes of "Lease Blob" by state, each at the second 100."""

    ID, OTHER = str(uuid.UUID(int=1)), str(uuid.UUID(int=2))
    NOW = 100.0

    LEASED = Lease(ID, 15, 110.0)
    INFINITE = Lease(ID, leases.INFINITE, None)
    BREAKING = Lease(ID, 15, None, broken_at=105.0)
    BROKEN = Lease(ID, 15, None, broken_at=95.0)
    EXPIRED = Lease(ID, 15, 90.0)

    def refused(self, call: Callable[..., object], *arguments: object) -> str:
        with pytest.raises(RefusedError) as caught:
            call(*arguments)
        return caught.value.error.code

    @pytest.mark.parametrize("lease", [None, BROKEN, EXPIRED])
    def test_acquire(self, lease: Lease | None) -> None:
        assert leases.acquire(lease, "15", self.OTHER, self.NOW) == Lease(self.OTHER, 15, 115.0)
        assert leases.acquire(lease, "-1", self.OTHER, self.NOW).expires_at is None

    def test_acquire_what_is_wrong(self) -> None:
        for duration in (None, "x", "14"):
            code = self.refused(leases.acquire, None, duration, None, 0)
            assert code in ("MissingRequiredHeader", "InvalidHeaderValue")
        assert self.refused(leases.acquire, None, "15", "no id", 0) == "InvalidHeaderValue"

    def test_renew(self) -> None:
        for lease in (self.LEASED, self.EXPIRED):
            assert leases.renew(lease, self.ID, self.NOW) == Lease(self.ID, 15, 115.0)
        assert leases.renew(self.INFINITE, self.ID.upper(), self.NOW) == self.INFINITE
        stale = leases.check_write(self.EXPIRED, None, self.NOW)
        refused = "LeaseIdMismatchWithLeaseOperation"
        assert self.refused(leases.renew, stale, self.ID, self.NOW) == refused
        assert self.refused(leases.renew, None, self.ID, self.NOW) == refused
        assert self.refused(leases.renew, self.LEASED, None, self.NOW) == ("MissingRequiredHeader")

    def test_break(self) -> None:
        def broken_at(lease: Lease, period: str | None) -> float | None:
            return leases.break_(lease, period, self.NOW).broken_at

        assert broken_at(self.LEASED, None) == 110.0
        assert broken_at(self.LEASED, "5") == 105.0
        assert broken_at(self.LEASED, "60") == 110.0
        assert broken_at(self.INFINITE, None) == 100.0
        assert broken_at(self.INFINITE, "60") == 160.0
        assert broken_at(self.BREAKING, None) == 105.0
        assert broken_at(self.BREAKING, "1") == 101.0
        assert broken_at(self.BROKEN, "5") == 95.0
        assert broken_at(self.EXPIRED, None) == 100.0
        assert leases.remaining_seconds(self.BREAKING, self.NOW) == 5
        assert leases.remaining_seconds(self.BROKEN, self.NOW) == 0

    def test_change(self) -> None:
        changed = leases.change(self.LEASED, self.ID, self.OTHER, self.NOW)
        assert changed == Lease(self.OTHER, 15, 110.0)
        assert leases.change(changed, self.ID, self.OTHER, self.NOW) == changed
        for lease in (None, self.BROKEN, self.EXPIRED):
            code = self.refused(leases.change, lease, self.ID, self.OTHER, self.NOW)
            assert code == "LeaseNotPresentWithLeaseOperation"
        assert self.refused(leases.change, self.LEASED, self.ID, None, self.NOW) == (
            "MissingRequiredHeader"
        )
        strange = str(uuid.UUID(int=3))
        assert self.refused(leases.change, self.LEASED, strange, self.OTHER, self.NOW) == (
            "LeaseIdMismatchWithLeaseOperation"
        )

    def test_release(self) -> None:
        for lease in (self.LEASED, self.BREAKING, self.BROKEN, self.EXPIRED):
            leases.release(lease, self.ID)
            code = self.refused(leases.release, lease, self.OTHER)
            assert code == "LeaseIdMismatchWithLeaseOperation"

    def test_reads_and_writes(self) -> None:
        outcomes = {
            None: (None, "LeaseNotPresentWithBlobOperation"),
            self.LEASED: ("LeaseIdMissing", None),
            self.BREAKING: ("LeaseIdMissing", None),
            self.BROKEN: (None, "LeaseLost"),
            self.EXPIRED: (None, "LeaseLost"),
        }
        for lease, (without, with_id) in outcomes.items():
            leases.check_read(lease, None, self.NOW)
            for check, lease_id, expected in (
                (leases.check_write, None, without),
                (leases.check_write, self.ID, with_id),
                (leases.check_read, self.ID, with_id),
            ):
                if expected is None:
                    check(lease, lease_id, self.NOW)
                else:
                    refused = self.refused(check, lease, lease_id, self.NOW)
                    assert refused == expected
        assert leases.check_write(self.BROKEN, None, self.NOW) is None
