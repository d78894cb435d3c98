"""The two checksums of the trade: Azure's CRC-64 and the VHD's one's complement.

Azure Storage's CRC-64 is CRC-64/NVME: polynomial 0xAD93D23594C93659, reflected, initial value
and final inversion all ones; its check value is 0xAE8B14860A799888 for b"123456789". awscrt
computes it with SIMD instructions and the GIL released. Where awscrt has no build for the
platform, crcmod computes the same values, more slowly.

CRCs of neighbouring runs combine into the CRC of the whole without reading it again, and a run
of zeros needs no reading at all; both rest on the CRC being linear (Mark Adler's crc32_combine).
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import cache, lru_cache
from typing import TypeAlias

__all__ = [
    "crc64",
    "crc64_base64",
    "crc64_combine",
    "crc64_from_base64",
    "crc64_zeros",
    "vhd_checksum",
]

Buffer: TypeAlias = bytes | bytearray | memoryview

_POLYNOMIAL = 0x1_AD93_D235_94C9_3659
_REFLECTED = 0x9A6C_9329_AC4B_C9B5
_ONE = 1 << 63  # the polynomial 1, reflected
_ZERO_RUNS_CACHED = 1024


def crc64(data: Buffer, crc: int = 0) -> int:
    """CRC-64/NVME of `data`, going on from `crc`, the CRC-64 of the bytes before it."""
    return _engine()[0](data, crc)


def crc64_combine(first: int, second: int, second_length: int) -> int:
    """CRC-64 of two runs one after the other; `second_length` is the second run's, in bytes."""
    return _engine()[1](first, second, second_length)


@lru_cache(maxsize=_ZERO_RUNS_CACHED)
def crc64_zeros(length: int) -> int:
    """CRC-64 of `length` zero bytes."""
    crc, power, remaining = 0, _crc64_of_zero_byte(), length
    size = 1
    while remaining:
        if remaining & 1:
            crc = crc64_combine(crc, power, size)
        power = crc64_combine(power, power, size)
        size *= 2
        remaining >>= 1
    return crc


def crc64_base64(crc: int) -> str:
    """The value of the header x-ms-content-crc64: base64 of the eight little-endian bytes."""
    return base64.b64encode(crc.to_bytes(8, "little")).decode("ascii")


def crc64_from_base64(text: str) -> int:
    """Inverse of `crc64_base64`. Raises ValueError for anything but eight bytes in base64."""
    raw = base64.b64decode(text, validate=True)
    if len(raw) != 8:
        raise ValueError(f"a CRC-64 has 8 bytes, not {len(raw)}")
    return int.from_bytes(raw, "little")


def vhd_checksum(data: Buffer, field_offset: int) -> int:
    """One's complement of the sum of all bytes, the checksum's own 4 at `field_offset` left out.

    Microsoft VHD specification 1.0, "Hard Disk Footer Format", field Checksum.
    """
    view = memoryview(data)
    return ~(sum(view) - sum(view[field_offset : field_offset + 4])) & 0xFFFFFFFF


Crc64: TypeAlias = Callable[[Buffer, int], int]
Crc64Combine: TypeAlias = Callable[[int, int, int], int]


@cache
def _engine() -> tuple[Crc64, Crc64Combine]:
    # Loaded at the first checksum: inspection of a small disk needs none, and awscrt takes 50 ms.
    try:
        from awscrt import checksums
    except ImportError:
        return _crcmod_crc64(), polynomial_combine
    return checksums.crc64nvme, checksums.combine_crc64nvme


@cache
def _crcmod_crc64() -> Crc64:
    import crcmod

    function: Crc64 = crcmod.mkCrcFun(_POLYNOMIAL, initCrc=0, rev=True, xorOut=(1 << 64) - 1)
    return function


@cache
def _crc64_of_zero_byte() -> int:
    return crc64(b"\0")


def polynomial_combine(first: int, second: int, second_length: int) -> int:
    """`crc64_combine` by arithmetic on polynomials over GF(2), for where awscrt is missing.

    Appending n bytes multiplies the first CRC by x^(8n) modulo the polynomial.
    """
    factor, power, remaining = _ONE, _ONE >> 8, second_length
    while remaining:
        if remaining & 1:
            factor = _multiply(factor, power)
        power = _multiply(power, power)
        remaining >>= 1
    return _multiply(factor, first) ^ second


def _multiply(a: int, b: int) -> int:
    """Product of two reflected polynomials modulo the CRC's."""
    product = 0
    while a:
        if a & _ONE:
            product ^= b
        a = (a << 1) & 0xFFFF_FFFF_FFFF_FFFF
        b = (b >> 1) ^ _REFLECTED if b & 1 else b >> 1
    return product
