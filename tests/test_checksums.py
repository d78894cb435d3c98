"""Azure's CRC-64, and the checksum of a VHD's structures."""

from __future__ import annotations

import base64
import sys
from collections.abc import Callable, Iterator

import crcmod
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vhdtools import checksums
from vhdtools.checksums import (
    crc64,
    crc64_base64,
    crc64_combine,
    crc64_from_base64,
    crc64_zeros,
    polynomial_combine,
    vhd_checksum,
)

CHECK = 0xAE8B_1486_0A79_9888

# As the catalogue of CRCs gives CRC-64/NVME: an implementation that shares nothing with awscrt.
reference: Callable[[bytes], int] = crcmod.mkCrcFun(
    0x1_AD93_D235_94C9_3659, initCrc=0, rev=True, xorOut=(1 << 64) - 1
)


@pytest.fixture
def without_awscrt(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The module as it is where awscrt has no build."""

    def forget() -> None:
        for cached in (checksums._engine, checksums._crc64_of_zero_byte, crc64_zeros):
            cached.cache_clear()

    monkeypatch.setitem(sys.modules, "awscrt", None)
    forget()
    yield
    forget()


def test_check_value() -> None:
    assert crc64(b"123456789") == CHECK
    assert reference(b"123456789") == CHECK


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", 0),
        (bytes(4096), 0x6482_D367_EB22_B64E),
        (b"\xff" * 4096, 0xC0DD_BA73_02EC_A3AC),
        (bytes(range(256)) * 16, 0x3E72_9F5F_6750_449C),
        (bytes(range(255, -1, -1)) * 16, 0x9A2D_F64B_8E9E_517E),
    ],
)
def test_published_vectors(data: bytes, expected: int) -> None:
    """As the NVM Express specification prints them for blocks of 4 KiB."""
    assert crc64(data) == expected


@given(st.binary(max_size=3000))
def test_equals_the_bytewise_definition(data: bytes) -> None:
    assert crc64(data) == reference(data)
    assert crc64(memoryview(data)) == crc64(bytearray(data)) == crc64(data)


@given(st.lists(st.binary(max_size=500), max_size=8))
def test_combined_pieces_are_the_whole(pieces: list[bytes]) -> None:
    whole = reference(b"".join(pieces))
    combined = continued = 0
    for piece in pieces:
        combined = crc64_combine(combined, crc64(piece), len(piece))
        continued = crc64(piece, continued)
    assert combined == continued == whole


@given(st.integers(0, (1 << 64) - 1), st.integers(0, (1 << 64) - 1), st.integers(1, (1 << 48) - 1))
def test_both_ways_to_combine_agree(first: int, second: int, length: int) -> None:
    assert polynomial_combine(first, second, length) == crc64_combine(first, second, length)


@given(st.integers(0, 20_000))
def test_zeros_need_no_reading(length: int) -> None:
    assert crc64_zeros(length) == reference(bytes(length))


@given(st.integers(0, 1 << 44), st.integers(0, 1 << 44))
def test_long_runs_of_zeros_add_up(one: int, other: int) -> None:
    assert crc64_combine(crc64_zeros(one), crc64_zeros(other), other) == crc64_zeros(one + other)


@pytest.mark.usefixtures("without_awscrt")
def test_without_awscrt_the_values_are_the_same() -> None:
    assert checksums._engine()[1] is polynomial_combine
    assert crc64(b"123456789") == CHECK
    assert crc64(memoryview(b"6789"), crc64(bytearray(b"12345"))) == CHECK
    assert crc64_combine(crc64(b"12345"), crc64(b"6789"), 4) == CHECK
    assert crc64_zeros(100_000) == reference(bytes(100_000))


@given(st.integers(0, (1 << 64) - 1))
def test_header_value_survives(crc: int) -> None:
    text = crc64_base64(crc)
    assert base64.b64decode(text) == crc.to_bytes(8, "little")
    assert crc64_from_base64(text) == crc


@pytest.mark.parametrize("text", ["", "AAAA", "AAAAAAAAAAAAAA==", "no base64!", "ü"])
def test_other_header_values_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        crc64_from_base64(text)


@given(st.binary(min_size=4, max_size=600), st.data())
def test_vhd_checksum_leaves_its_own_field_out(data: bytes, draw: st.DataObject) -> None:
    at = draw.draw(st.integers(0, len(data) - 4))
    blank = data[:at] + bytes(4) + data[at + 4 :]
    assert vhd_checksum(data, at) == vhd_checksum(blank, at) == 0xFFFF_FFFF - sum(blank)
