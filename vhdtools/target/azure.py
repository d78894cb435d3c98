"""A page blob in Azure Storage, or in its emulator.

The only module that imports azure-storage-blob; `vhdtools.target.destination` imports it late.
The SDK's ranges with inclusive ends stay in here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests
from azure.core import MatchConditions
from azure.core.exceptions import AzureError, HttpResponseError
from azure.core.pipeline.transport import RequestsTransport
from azure.storage.blob import BlobClient, BlobLeaseClient, BlobType, ContentSettings
from requests.adapters import HTTPAdapter

from vhdtools.checksums import crc64_base64, crc64_from_base64
from vhdtools.errors import ChecksumError, TargetBusyError, TargetRefusedError, UnavailableError
from vhdtools.ranges import PAGE, PageRange, coalesce
from vhdtools.target.page_target import MAX_WRITE, TargetCapabilities, TargetState
from vhdtools.target.service_errors import ServiceAnswer, error_from_answer, without_secrets

__all__ = ["AzureBlobTarget"]

_LEASE_SECONDS = 60


class AzureBlobTarget:
    """A page blob, as a `PageTarget`."""

    def __init__(self, url: str, credential: Any = None, *, workers: int = 8) -> None:
        session = requests.Session()
        adapter = HTTPAdapter(pool_maxsize=workers, max_retries=0)
        session.mount("http://", adapter)
        session.mount("https://", adapter)
        self._client = BlobClient.from_blob_url(
            url,
            credential=credential,
            transport=RequestsTransport(session=session),
            retry_total=0,
            connection_timeout=300,
            read_timeout=90,
        )
        self._name = urlunsplit((*urlsplit(url)[:3], "", ""))
        self._lease: BlobLeaseClient | None = None
        self._size: int | None = None

    @property
    def name(self) -> str:
        """The blob's URL without its query."""
        return self._name

    @property
    def capabilities(self) -> TargetCapabilities:
        """All of it."""
        return TargetCapabilities(creates=True, metadata=True, lease=True, reads=True, clears=True)

    def state(self) -> TargetState | None:
        """Get Blob Properties."""
        try:
            with self._errors():
                found = self._client.get_blob_properties(lease=self._lease)
        except Exception as error:
            if getattr(error, "code", "") == "BlobNotFound":
                return None
            raise
        if found.blob_type != BlobType.PAGEBLOB:
            raise TargetRefusedError(self._name, "this is not a page blob")
        self._size = found.size
        md5 = found.content_settings.content_md5
        return TargetState(
            size=found.size,
            metadata={key.lower(): value for key, value in (found.metadata or {}).items()},
            leased=found.lease.state == "leased",
            content_md5=None if md5 is None else bytes(md5),
        )

    def create(self, size: int, metadata: Mapping[str, str], *, replace: bool) -> None:
        """Put Blob."""
        conditions: dict[str, Any] = {}
        if not replace:
            conditions = {"match_condition": MatchConditions.IfMissing}
        with self._errors():
            self._client.create_page_blob(
                size, metadata=dict(metadata), lease=self._lease, **conditions
            )
        self._size = size

    def acquire_lease(self, lease_id: str, previous: str | None = None) -> None:
        """Lease Blob."""
        if previous is not None:
            lease = BlobLeaseClient(self._client, previous)
            try:
                with self._errors():
                    lease.change(lease_id)
                    lease.renew()
            except TargetBusyError:
                pass
            else:
                self._lease = lease
                return
        lease = BlobLeaseClient(self._client, lease_id)
        with self._errors():
            lease.acquire(_LEASE_SECONDS)
        self._lease = lease

    def renew_lease(self) -> None:
        """Lease Blob, renew."""
        if self._lease is None:
            raise TargetBusyError(self._name, "no lease is held")
        with self._errors():
            self._lease.renew()

    def release_lease(self) -> None:
        """Lease Blob, release."""
        lease, self._lease = self._lease, None
        if lease is not None:
            with self._errors():
                lease.release()

    def write(self, offset: int, data: memoryview, crc64: int) -> bool:
        """Put Page with its CRC-64."""
        length = len(data)
        _check_alignment(offset, length)
        if length > MAX_WRITE:
            raise ValueError(f"{length} bytes are more than {MAX_WRITE}")
        with self._errors(offset):
            reply = self._client.upload_page(
                data,  # type: ignore[arg-type]
                offset=offset,
                length=length,
                lease=self._lease,
                headers={"x-ms-content-crc64": crc64_base64(crc64)},
            )
        returned: Any = reply.get("content_crc64")
        if returned is None:
            return False
        value = (
            int.from_bytes(returned, "little")
            if isinstance(returned, (bytes, bytearray))
            else crc64_from_base64(returned)
        )
        if value != crc64:
            raise ChecksumError(self._name, "the service stored other bytes than were sent")
        return True

    def clear(self, offset: int, length: int) -> None:
        """Clear Pages."""
        _check_alignment(offset, length)
        with self._errors(offset):
            self._client.clear_page(offset=offset, length=length, lease=self._lease)

    def page_ranges(self, offset: int, length: int) -> Iterator[PageRange]:
        """Get Page Ranges, page after page."""
        _check_alignment(offset, length)
        return coalesce(self._listed(offset, length))

    def _listed(self, offset: int, length: int) -> Iterator[PageRange]:
        end = offset + length
        with self._errors(offset):
            for item in self._client.list_page_ranges(
                offset=offset, length=length, lease=self._lease
            ):
                start, stop = max(item.start, offset), min(item.end + 1, end)
                if start < stop and not item.cleared:
                    yield PageRange(start, stop - start)

    def read_into(self, offset: int, buffer: bytearray | memoryview) -> None:
        """Get Blob, one range."""
        length = len(buffer)
        _check_alignment(offset, length)
        with self._errors(offset):
            data = self._client.download_blob(
                offset=offset, length=length, lease=self._lease, max_concurrency=1
            ).readall()
        if len(data) != length:
            raise UnavailableError(self._name, "the service returned too few bytes", "", offset)
        memoryview(buffer)[:] = data

    def set_metadata(self, metadata: Mapping[str, str]) -> None:
        """Set Blob Metadata."""
        with self._errors():
            self._client.set_blob_metadata(dict(metadata), lease=self._lease)

    def set_content_md5(self, digest: bytes) -> None:
        """Set Blob Properties, the other headers kept."""
        with self._errors():
            settings = self._client.get_blob_properties(lease=self._lease).content_settings
            self._client.set_http_headers(
                ContentSettings(
                    content_type=settings.content_type,
                    content_encoding=settings.content_encoding,
                    content_language=settings.content_language,
                    content_disposition=settings.content_disposition,
                    cache_control=settings.cache_control,
                    content_md5=bytearray(digest),
                ),
                lease=self._lease,
            )

    def finish(self) -> None:
        """Nothing: every page was lasting when its write returned."""

    def refresh_access(self) -> bool:
        """False: nobody to ask."""
        return False

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    @contextmanager
    def _errors(self, offset: int | None = None) -> Iterator[None]:
        try:
            yield
        except HttpResponseError as error:
            if error.response is None:
                raise UnavailableError(self._name, without_secrets(str(error))) from None
            code = getattr(error, "error_code", "") or ""
            answer = ServiceAnswer(
                error.response.status_code, str(getattr(code, "value", code)), str(error.reason)
            )
            if answer.status == 404 and not answer.code:  # HEAD has no body
                code = error.response.headers.get("x-ms-error-code", "BlobNotFound")
                answer = ServiceAnswer(404, code)
            raise error_from_answer(self._name, answer, offset) from None
        except (AzureError, requests.RequestException, OSError) as error:
            raise UnavailableError(self._name, without_secrets(str(error)), "", offset) from None


def _check_alignment(offset: int, length: int) -> None:
    if offset < 0 or length <= 0 or offset % PAGE or length % PAGE:
        raise ValueError(f"({offset}, {length}) is not a range of whole {PAGE}-byte pages")
