"""What the places to upload to have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TypeAlias

from azure.storage.blob import BlobClient, BlobServiceClient, generate_blob_sas

from benchmarks.disks import Disk
from tests.support.azurite import ACCOUNT, KEY
from vhdtools.layout import FOOTER_SIZE, DiskType, parse_footer

CONTAINER = "bench"
BLOB = "disk.vhd"


@dataclass(frozen=True, slots=True)
class Service:
    """A blob service that runs on this machine.

    `problem` says, after an upload, what is wrong with the blob (None: nothing); it is told the
    disk, and the fixed VHD that was sent as it is, if one was. `counts` is what the service itself
    counted. `ca_file` is the authority of its certificate.
    """

    endpoint: str
    problem: Callable[[Disk, Path | None], str | None]
    counts: Callable[[], Mapping[str, int]] = dict
    ca_file: Path | None = None

    @property
    def connection_string(self) -> str:
        """For `AZURE_STORAGE_CONNECTION_STRING`."""
        scheme = self.endpoint.partition(":")[0]
        return (
            f"DefaultEndpointsProtocol={scheme};AccountName={ACCOUNT};AccountKey={KEY};"
            f"BlobEndpoint={self.endpoint};"
        )

    def url(self, blob: str = BLOB) -> str:
        """A blob's URL with a SAS that allows everything."""
        now = datetime.now(timezone.utc)
        sas = generate_blob_sas(
            account_name=ACCOUNT,
            container_name=CONTAINER,
            blob_name=blob,
            account_key=KEY,
            permission="racwd",
            start=now - timedelta(days=1),
            expiry=now + timedelta(days=1),
        )
        return f"{self.endpoint}/{CONTAINER}/{blob}?{sas}"

    def blob(self, blob: str = BLOB) -> BlobClient:
        """The SDK's client of a blob."""
        return BlobClient.from_blob_url(self.url(blob), connection_verify=str(self.ca_file or True))

    def create_container(self) -> None:
        """Make the container that uploads go to."""
        with BlobServiceClient.from_connection_string(
            self.connection_string, connection_verify=str(self.ca_file or True)
        ) as service:
            service.create_container(CONTAINER).close()

    def at(self, endpoint: str) -> Service:
        """The same service by another way."""
        return replace(self, endpoint=endpoint)


StartService: TypeAlias = Callable[[], AbstractContextManager[Service]]


def footer_problem(footer: bytes, size: int) -> str | None:
    """What is wrong with the footer of a fixed disk of *size* bytes."""
    if len(footer) != FOOTER_SIZE:
        return f"the footer has {len(footer)} bytes"
    found = parse_footer(footer)
    if found.cookie != b"conectix" or not found.checksum_ok:
        return "the footer's cookie or checksum is wrong"
    if found.disk_type != DiskType.FIXED or found.current_size != size:
        return f"the footer is of type {found.disk_type} and size {found.current_size}"
    return None


def size_problem(blob_size: int, size: int) -> str | None:
    """What is wrong with the size of the blob for a disk of *size* bytes."""
    if blob_size == size + FOOTER_SIZE:
        return None
    return f"the blob has {blob_size} bytes, and a disk of {size} was uploaded"
