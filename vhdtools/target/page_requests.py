"""The requests that every kind of page blob takes, a managed disk's upload SAS included.

Get Blob Properties, Put Page, Get Page Ranges and Get Blob (REST reference, "Blob service
operations"). The service's ranges have inclusive ends; they stay in here.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Iterator
from typing import cast
from urllib.parse import quote

from azure.storage.blob import BlobType

from vhdtools.checksums import crc64 as crc64_of
from vhdtools.checksums import crc64_base64
from vhdtools.errors import ChecksumError, TargetMissingError, TargetRefusedError, UnavailableError
from vhdtools.ranges import PAGE, PageRange, align_down
from vhdtools.target.blob_session import BlobSession
from vhdtools.target.page_list import parse_page_list
from vhdtools.target.page_target import MAX_WRITE, TargetState
from vhdtools.target.remedies import PAGE_BLOB_OF_IT
from vhdtools.target.service_errors import command_names

__all__ = ["PageRangeLister", "PageReader", "get_state", "put_page"]

_CRC64 = "x-ms-content-crc64"
_MD5 = "Content-MD5"
_KINDS = {BlobType.BLOCKBLOB: "a block blob", BlobType.APPENDBLOB: "an append blob"}
_MIN_SEGMENT = 4 * 1024 * 1024


def get_state(session: BlobSession) -> TargetState | None:
    """Get Blob Properties; None where there is no such blob. Metadata names in lower case.

    Raises TargetRefusedError for a blob of another kind.
    """
    try:
        found = session.ask(lambda client: client.get_blob_properties())
    except TargetMissingError as error:
        if error.status != 404 or error.code == "ContainerNotFound":
            raise
        return None
    if found.blob_type != BlobType.PAGEBLOB:
        raise TargetRefusedError(
            session.name,
            f"the blob there is {_KINDS.get(found.blob_type, 'of another type')}, not a page blob",
            PAGE_BLOB_OF_IT.format(**command_names(session.address)),
            code="InvalidBlobType",
        )
    md5 = found.content_settings.content_md5
    size = cast("int | None", found.size)
    return TargetState(
        size=_listed_size(session) if size is None else size,
        metadata={name.lower(): value for name, value in (found.metadata or {}).items()},
        leased=found.lease.state in ("leased", "breaking"),
        leased_forever=found.lease.duration == "infinite",
        content_md5=None if md5 is None else bytes(md5),
        last_modified=found.last_modified,
    )


def _listed_size(session: BlobSession) -> int:
    """The blob's size where a proxy took it from the answer to HEAD, as those in chunks may."""
    headers = {"x-ms-range": f"bytes=0-{PAGE - 1}"}
    reply = session.send("GET", "?comp=pagelist", headers, 200, offset=0)
    size = reply.headers.get("x-ms-blob-content-length", "")
    if not (size.isascii() and size.isdecimal()):
        raise session.garbled(None)
    return int(size)


def put_page(
    session: BlobSession, offset: int, data: memoryview, crc64: int, lease_id: str | None
) -> bool:
    """Put Page with the data's CRC-64; whether the service confirmed it. Raises ChecksumError.

    To a service whose version of the API has no CRC-64, an MD5 is sent in its place.
    """
    length = len(data)
    headers = {
        "Content-Length": str(length),
        "Content-Type": "application/octet-stream",
        "x-ms-page-write": "update",
        "x-ms-range": f"bytes={offset}-{offset + length - 1}",
    }
    name, checksum = _checksum(session, data, crc64)
    headers[name] = checksum
    if lease_id is not None:
        headers["x-ms-lease-id"] = lease_id
    reply = session.send("PUT", "?comp=page", headers, 201, offset=offset, body=data)
    return _confirmed(session, reply.headers.get(name), checksum, offset)


class PageReader:
    """Get Blob, a range at a time, checked by CRC-64, or MD5 where the API's version is older.

    The service computes one for ranges of up to 4 MiB. An emulator that cannot says so at the
    first request, and is not asked again.
    """

    def __init__(self, session: BlobSession) -> None:
        self._session = session
        self._checked = True

    def __call__(self, offset: int, buffer: memoryview) -> None:
        """Fill all of `buffer`. Raises ChecksumError where what came is not what was sent."""
        checked = self._checked and len(buffer) <= MAX_WRITE
        try:
            self._read(offset, buffer, checked=checked)
        except UnavailableError as error:
            if not checked or error.code != "FeatureNotSupported":
                raise
            self._checked = False
            self._read(offset, buffer, checked=False)

    def _read(self, offset: int, buffer: memoryview, *, checked: bool) -> None:
        headers = {"x-ms-range": f"bytes={offset}-{offset + len(buffer) - 1}"}
        if checked:
            kind = "crc64" if self._session.version.has_crc64 else "md5"
            headers[f"x-ms-range-get-content-{kind}"] = "true"
        reply = self._session.send("GET", "", headers, 206, offset=offset, into=buffer).headers
        length = reply.get("Content-Length", "an unknown number of")
        if length != str(len(buffer)):
            raise UnavailableError(
                self._session.name,
                f"the service answered with {length} bytes, and {len(buffer)} were asked for",
                "",
                offset,
            )
        if _CRC64 in reply:
            _confirmed(self._session, reply[_CRC64], crc64_base64(crc64_of(buffer)), offset)
        elif checked and _MD5 in reply:
            _confirmed(self._session, reply[_MD5], _md5(buffer), offset)


class PageRangeLister:
    """Get Page Ranges, in segments as large as the service can list in time.

    It starts with all that is asked for. A badly fragmented part makes it answer 500
    OperationTimedOut, or too late; then segments are halved, down to 4 MiB, and stay so.
    """

    def __init__(self, session: BlobSession) -> None:
        self._session = session
        self._segment: int | None = None

    def __call__(self, offset: int, end: int) -> Iterator[PageRange]:
        """The written ranges from `offset` to `end`, ascending, clipped; neighbours may touch."""
        while offset < end:
            stop = end if self._segment is None else min(end, offset + self._segment)
            try:
                for item in self._list(offset, stop):
                    yield item
                    offset = item.end
            except UnavailableError as error:
                timed_out = error.code == "OperationTimedOut"
                if stop - offset <= _MIN_SEGMENT or not (timed_out or _stalled(error)):
                    raise
                self._segment = max(_MIN_SEGMENT, align_down((stop - offset) // 2, PAGE))
                if not timed_out:
                    raise
            else:
                offset = stop

    def _list(self, offset: int, end: int) -> Iterator[PageRange]:
        headers = {"x-ms-range": f"bytes={offset}-{end - 1}"}
        marker = ""
        while True:  # each part of the list is one request, made when it is wanted
            query = "?comp=pagelist" + (f"&marker={quote(marker, safe='')}" if marker else "")
            reply = self._session.send("GET", query, headers, 200, offset=offset)
            try:
                found, marker = parse_page_list(reply.body())
            except ValueError:
                raise self._session.garbled(offset) from None
            for item in found:
                start, stop = max(item.offset, offset), min(item.end, end)
                if start < stop:
                    yield PageRange(start, stop - start)
            if not marker:
                return


def _checksum(session: BlobSession, data: memoryview, crc64: int) -> tuple[str, str]:
    """The header that carries the checksum of `data`, and its value."""
    if session.version.has_crc64:
        return _CRC64, crc64_base64(crc64)
    return _MD5, _md5(data)


def _md5(data: memoryview) -> str:
    return b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode("ascii")


def _confirmed(session: BlobSession, reply: str | None, sent: str, offset: int) -> bool:
    if reply is None:
        return False
    if reply.strip() != sent:
        raise ChecksumError(
            session.name, "the checksum in the service's answer is not that of the data", "", offset
        )
    return True


def _stalled(error: UnavailableError) -> bool:
    return isinstance(error.__cause__, TimeoutError)
