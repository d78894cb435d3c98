"""A request and its answer, apart from the HTTP library that carries them."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from . import errors
from .checksums import crc64
from .errors import RefusedError


class Operation(str, Enum):
    """The operations of the blob service that the server tells apart."""

    ACCOUNT_INFORMATION = "get-account-information"
    CREATE_CONTAINER = "create-container"
    DELETE_CONTAINER = "delete-container"
    GET_CONTAINER = "get-container-properties"
    LIST_BLOBS = "list-blobs"
    PUT_BLOB = "put-blob"
    DELETE_BLOB = "delete-blob"
    GET_PROPERTIES = "get-blob-properties"
    GET_BLOB = "get-blob"
    SET_METADATA = "set-blob-metadata"
    SET_PROPERTIES = "set-blob-properties"
    PUT_PAGE = "put-page"
    CLEAR_PAGES = "clear-pages"
    GET_PAGE_RANGES = "get-page-ranges"
    ACQUIRE_LEASE = "acquire-lease"
    RENEW_LEASE = "renew-lease"
    CHANGE_LEASE = "change-lease"
    RELEASE_LEASE = "release-lease"
    BREAK_LEASE = "break-lease"
    UNKNOWN = "unknown"


LEASE_OPERATIONS = {
    "acquire": Operation.ACQUIRE_LEASE,
    "renew": Operation.RENEW_LEASE,
    "change": Operation.CHANGE_LEASE,
    "release": Operation.RELEASE_LEASE,
    "break": Operation.BREAK_LEASE,
}


class Body:
    """A request's body in the pieces in which it arrived, never joined."""

    __slots__ = ("length", "pieces")

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces
        self.length = sum(map(len, pieces))

    def crc64(self) -> int:
        """Its CRC-64/NVME."""
        value = 0
        for piece in self.pieces:
            value = crc64(piece, value)
        return value

    def md5(self) -> str:
        """Its MD5 in base64, as in Content-MD5."""
        digest = hashlib.md5(usedforsecurity=False)
        for piece in self.pieces:
            digest.update(piece)
        return base64.b64encode(digest.digest()).decode("ascii")

    def flipped(self, position: int) -> Body:
        """The same with one bit changed in the byte at `position`, or in the last one."""
        pieces = list(self.pieces)
        left = min(position, self.length - 1)
        for index, piece in enumerate(pieces):
            if left < len(piece):
                changed = bytearray(piece)
                changed[left] ^= 0x10
                pieces[index] = bytes(changed)
                break
            left -= len(piece)
        return Body(pieces)


@dataclass(frozen=True, slots=True)
class Call:
    """One request. `name` is "container/blob", `span` the (offset, length) it speaks of.

    `stored` is what reaches the blob where that differs from the body that was checked: damage
    behind the checksum.
    """

    operation: Operation
    method: str
    account: str
    container: str
    blob: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    managed: bool
    span: tuple[int, int] | None
    now: float
    body: Body = field(default_factory=lambda: Body([]))
    stored: Body | None = None

    @property
    def name(self) -> str:
        """The blob's or the container's name within its account."""
        return f"{self.container}/{self.blob}" if self.blob else self.container

    def integer(self, header: str) -> int | None:
        """A header's value as a number that is not negative; refused when it is none."""
        value = self.headers.get(header)
        if value is None:
            return None
        if not value.isdecimal():
            raise RefusedError(errors.invalid_header(header, value))
        return int(value)


@dataclass(slots=True)
class Reply:
    """An answer: `body` comes in pieces, `length` bytes in all."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: Iterable[bytes] = ()
    length: int = 0


def operation_of(
    method: str, container: str, blob: str, headers: Mapping[str, str], query: Mapping[str, str]
) -> Operation:
    """Which operation a request asks for."""
    comp = query.get("comp", "")
    if not blob:
        return _outer_operation(method, container, comp, query.get("restype", ""))
    if comp == "page" and method == "PUT":
        clears = headers.get("x-ms-page-write", "").lower() == "clear"
        return Operation.CLEAR_PAGES if clears else Operation.PUT_PAGE
    if comp == "lease" and method == "PUT":
        action = headers.get("x-ms-lease-action", "").lower()
        return LEASE_OPERATIONS.get(action, Operation.UNKNOWN)
    return {
        ("PUT", ""): Operation.PUT_BLOB,
        ("DELETE", ""): Operation.DELETE_BLOB,
        ("HEAD", ""): Operation.GET_PROPERTIES,
        ("GET", ""): Operation.GET_BLOB,
        ("PUT", "metadata"): Operation.SET_METADATA,
        ("PUT", "properties"): Operation.SET_PROPERTIES,
        ("GET", "pagelist"): Operation.GET_PAGE_RANGES,
    }.get((method, comp), Operation.UNKNOWN)


def _outer_operation(method: str, container: str, comp: str, restype: str) -> Operation:
    if restype == "account" and comp == "properties":
        return Operation.ACCOUNT_INFORMATION
    if not container or restype != "container":
        return Operation.UNKNOWN
    return {
        ("PUT", ""): Operation.CREATE_CONTAINER,
        ("DELETE", ""): Operation.DELETE_CONTAINER,
        ("GET", ""): Operation.GET_CONTAINER,
        ("HEAD", ""): Operation.GET_CONTAINER,
        ("GET", "list"): Operation.LIST_BLOBS,
    }.get((method, comp), Operation.UNKNOWN)


def span_of(headers: Mapping[str, str]) -> tuple[int, int | None] | None:
    """The range a request's headers name: (first byte, length), None for "to the end".

    `x-ms-range` goes before `Range`. A range that cannot be read counts as none, as the service
    has it for reads; writes need one.
    """
    value = headers.get("x-ms-range") or headers.get("Range")
    if value is None:
        return None
    unit, _, bounds = value.partition("=")
    first, dash, last = bounds.partition("-")
    if unit.strip() != "bytes" or not dash or not first.isdecimal():
        return None
    if not last:
        return int(first), None
    if not last.isdecimal() or int(last) < int(first):
        return None
    return int(first), int(last) - int(first) + 1
