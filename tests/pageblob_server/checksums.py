"""The checksums Azure's blob service computes, apart from the code under test."""

from __future__ import annotations

import base64
import binascii
from functools import cache

from awscrt import checksums


def crc64(data: bytes | bytearray | memoryview, previous: int = 0) -> int:
    """CRC-64/NVME of `data`, going on from `previous`."""
    return int(checksums.crc64nvme(data, previous))


def crc64_combine(first: int, second: int, second_length: int) -> int:
    """The CRC-64 of two runs one after the other, from that of each."""
    return int(checksums.combine_crc64nvme(first, second, second_length))


@cache
def _crc64_of_zeros_power(power: int) -> int:
    if power == 0:
        return crc64(b"\0")
    half = _crc64_of_zeros_power(power - 1)
    return crc64_combine(half, half, 1 << (power - 1))


def crc64_of_zeros(length: int) -> int:
    """The CRC-64 of `length` zero bytes, by doubling."""
    value = 0
    for power in range(length.bit_length()):
        if length >> power & 1:
            value = crc64_combine(value, _crc64_of_zeros_power(power), 1 << power)
    return value


def crc64_header(value: int) -> str:
    """The value of `x-ms-content-crc64`: base64 of eight little-endian bytes."""
    return base64.b64encode(value.to_bytes(8, "little")).decode("ascii")


def decoded_length(value: str) -> int:
    """How many bytes a header's base64 stands for; 0 when it is not base64."""
    try:
        return len(base64.b64decode(value, validate=True))
    except binascii.Error:
        return 0


def is_md5(value: str) -> bool:
    """Whether a header's value has the form of an MD5."""
    return decoded_length(value) == 16
