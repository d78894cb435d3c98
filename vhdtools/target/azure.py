"""A page blob in Azure Storage, or in its emulator."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from azure.core import MatchConditions
from azure.storage.blob import BlobLeaseClient, ContentSettings

from vhdtools.errors import (
    AccessError,
    TargetBusyError,
    TargetMissingError,
    TargetRefusedError,
)
from vhdtools.ranges import PageRange
from vhdtools.target.blob_session import BlobSession
from vhdtools.target.page_blob import PageBlob
from vhdtools.target.page_target import TargetCapabilities, TargetState, check_range, check_size
from vhdtools.target.remedies import IMMUTABLE, INFINITE_LEASE, NEW_SAS
from vhdtools.target.service_errors import command_names

__all__ = ["AzureBlobTarget"]

_LEASE_SECONDS = 60
_MAX_SIZE = 8 << 40
_PROTECTIONS = {
    "x-ms-has-legal-hold": "a legal hold",
    "x-ms-has-immutability-policy": "an immutability policy",
}
"""Headers of Get Container Properties, since version 2017-11-09."""
_METADATA_NAME = re.compile(r"[a-z_][a-z0-9_]*")


class AzureBlobTarget:
    """A page blob, as a `PageTarget`; it owns `session`.

    Calls that change the blob carry the lease, once one is held.
    """

    def __init__(self, session: BlobSession) -> None:
        self._session = session
        self._blob = PageBlob(session)
        self._checked = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    @property
    def name(self) -> str:
        """The blob's URL without its query."""
        return self._session.name

    @property
    def capabilities(self) -> TargetCapabilities:
        """All of them."""
        return TargetCapabilities(
            creates=True, metadata=True, lease=True, reads=True, clears=True, max_size=_MAX_SIZE
        )

    def state(self) -> TargetState | None:
        """Get Blob Properties; metadata names come back in lower case."""
        return self._blob.state()

    def create(self, size: int, metadata: Mapping[str, str], *, replace: bool) -> None:
        """Put Blob: at most 8 TiB of zeros. Replaces a page blob whole, its snapshots remain.

        Raises TargetRefusedError for more, before anything is sent.
        """
        check_range(0, size, size)
        check_size(self, size)
        _check_metadata(metadata)
        self._check_pages_can_be_written()
        # Unless it is to be replaced, nothing may be there: the service itself makes sure.
        condition: dict[str, Any] = (
            {} if replace else {"match_condition": MatchConditions.IfMissing}
        )
        self._session.ask(
            lambda client: client.create_page_blob(
                size, metadata=dict(metadata), lease=self._blob.lease_id, **condition
            )
        )
        self._blob.size = size

    def _check_pages_can_be_written(self) -> None:
        """Raise where it can be known that a blob could be made, and then not be written to.

        It would be empty, and where the container is immutable nobody could delete it.
        """
        if self._checked:
            return
        fields = self._session.sas_fields
        if "w" not in fields.get("sp", "w"):
            raise AccessError(
                self.name,
                f"the SAS does not allow writing pages: it has the permissions {fields['sp']}, "
                "and w is needed",
                NEW_SAS.format(**command_names(self._session.address)),
            )
        if "sr" not in fields:  # a service SAS never allows to ask about the container
            self._check_container()
        self._checked = True

    def _check_container(self) -> None:
        try:
            found = self._session.container_headers()
        except (AccessError, TargetRefusedError):
            return  # it cannot be known
        for header, protection in _PROTECTIONS.items():
            if found.get(header, "").lower() == "true":
                raise TargetRefusedError(
                    self.name,
                    f"the container has {protection}: an upload would leave an empty blob there, "
                    "which could be neither written nor deleted",
                    IMMUTABLE.format(**command_names(self._session.address)),
                    code="BlobImmutableDueToPolicy",
                )

    def acquire_lease(self, lease_id: str, previous: str | None = None) -> None:
        """Lease Blob: change `previous` to `lease_id`, or, where that is gone, acquire anew.

        Acquiring twice with the same id is harmless (REST: Lease Blob, "Remarks").
        """
        if previous is None or not self._change_lease(previous, lease_id):
            try:
                self._session.ask(
                    lambda client: BlobLeaseClient(client, lease_id).acquire(_LEASE_SECONDS)
                )
            except TargetBusyError as error:
                raise self._busy(error) from None
        self._blob.lease_id = lease_id

    def _busy(self, error: TargetBusyError) -> TargetBusyError:
        """`error`, or what it means if the lease that stands in the way has no end."""
        if not self._blob.leased_forever:
            return error
        return TargetBusyError(
            self.name,
            "the blob has a lease without an end, as the disk of a virtual machine has",
            INFINITE_LEASE.format(**command_names(self._session.address)),
            status=error.status,
            code=error.code,
        )

    def _change_lease(self, previous: str, lease_id: str) -> bool:
        try:
            self._session.ask(lambda client: BlobLeaseClient(client, previous).change(lease_id))
            # A change leaves the lease's end where it was.
            self._session.ask(lambda client: BlobLeaseClient(client, lease_id).renew())
        except TargetBusyError:
            return False  # it ran out, or somebody else has the blob: acquiring tells which
        return True

    def renew_lease(self) -> None:
        """Lease Blob, renew."""
        lease_id = self._blob.lease_id
        if lease_id is None:
            raise ValueError("no lease was acquired")
        self._session.ask(lambda client: BlobLeaseClient(client, lease_id).renew())

    def release_lease(self) -> None:
        """Lease Blob, release. That it is gone already, or the blob is, comes to the same."""
        lease_id = self._blob.lease_id
        if lease_id is None:
            return
        with contextlib.suppress(TargetBusyError, TargetMissingError):
            self._session.ask(lambda client: BlobLeaseClient(client, lease_id).release())
        self._blob.lease_id = None

    def write(self, offset: int, data: memoryview, crc64: int) -> bool:
        """Put Page with its CRC-64, which the answer repeats."""
        return self._blob.write(offset, data, crc64)

    def clear(self, offset: int, length: int) -> None:
        """Clear Pages."""
        check_range(offset, length, self._blob.size)
        self._session.ask(
            lambda client: client.clear_page(offset, length, lease=self._blob.lease_id), offset
        )

    def page_ranges(self, offset: int, length: int) -> Iterator[PageRange]:
        """Get Page Ranges, in as many requests as it takes, made as the ranges are asked for."""
        return self._blob.page_ranges(offset, length)

    def read_into(self, offset: int, buffer: bytearray | memoryview) -> None:
        """Get Blob, one range."""
        self._blob.read_into(offset, memoryview(buffer))

    def set_metadata(self, metadata: Mapping[str, str]) -> None:
        """Set Blob Metadata. Names are lower-case identifiers, values printable ASCII."""
        _check_metadata(metadata)
        self._session.ask(
            lambda client: client.set_blob_metadata(dict(metadata), lease=self._blob.lease_id)
        )

    def set_content_md5(self, digest: bytes) -> None:
        """Set Blob Properties: Content-MD5, the other headers as they are."""
        if len(digest) != 16:
            raise ValueError(f"an MD5 has 16 bytes, not {len(digest)}")
        old = self._session.ask(lambda client: client.get_blob_properties()).content_settings
        new = ContentSettings(
            content_type=old.content_type,
            content_encoding=old.content_encoding,
            content_language=old.content_language,
            content_disposition=old.content_disposition,
            cache_control=old.cache_control,
            content_md5=bytearray(digest),
        )
        self._session.ask(lambda client: client.set_http_headers(new, lease=self._blob.lease_id))

    def finish(self) -> None:
        """Nothing is left to do: every page was lasting when its write returned."""

    def refresh_access(self) -> bool:
        """Ask for fresh credentials, once for all threads that were refused with the same ones."""
        return self._session.refresh()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()


def _check_metadata(metadata: Mapping[str, str]) -> None:
    """Raise ValueError for what a header cannot carry, or would come back altered."""
    for name, value in metadata.items():
        if not _METADATA_NAME.fullmatch(name):
            raise ValueError(f"metadata name {name!r} is not a lower-case identifier")
        if not (value.isascii() and value.isprintable() and value == value.strip()):
            raise ValueError(f"the value of metadata {name!r} is not plain printable ASCII")
