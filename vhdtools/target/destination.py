"""From what the user calls a destination to the target that it means."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

from vhdtools.errors import UsageError
from vhdtools.inputs import looks_like_url, refuse_secret, shown, unquoted
from vhdtools.target.blob_address import BlobAddress, parse_blob_path
from vhdtools.target.connection_string import StorageAccount, parse_connection_string
from vhdtools.target.http_connection import Timeouts
from vhdtools.target.local import LocalFileTarget
from vhdtools.target.page_target import PageTarget
from vhdtools.target.reference import parse_reference

if TYPE_CHECKING:
    from vhdtools.target.access import Access, Credential

__all__ = ["disk_needs_sas", "is_file_destination", "open_target"]


def open_target(
    destination: str,
    *,
    credential: Credential = None,
    connection_string: str | None = None,
    account_url: str | None = None,
    workers: int = 8,
    managed_disk: bool = False,
    refresh: Callable[[], Credential] | None = None,
    timeouts: Timeouts | None = None,
    api_version: str | None = None,
    note: Callable[[str], None] | None = None,
) -> PageTarget:
    """The target that `destination` names; nothing is sent or created yet.

    `destination` is a blob's URL with or without a SAS, CONTAINER/BLOB in the account of
    `connection_string` or at `account_url`, or `file:` and a path that ends in .vhd.
    `credential` is a SAS or an account key (text), or azure.core's AzureSasCredential,
    AzureNamedKeyCredential or TokenCredential. `refresh` is called for a fresh one when the
    service refuses the old; it may return None. `workers` is the number of connections that are
    kept, `managed_disk` says that the URL is a managed disk's upload SAS (so are all of hosts
    md-…), and for one secured by Microsoft Entra ID `credential` is the TokenCredential.
    `api_version` is the version of the REST API to use; by default the newest, or the newest that
    the service knows, which `note` is then told of in a sentence.

    Raises UsageError for a destination, or credentials, that cannot be meant.
    """
    if is_file_destination(destination):
        return LocalFileTarget(_file_path(destination))
    account = None if connection_string is None else parse_connection_string(connection_string)
    address, sas = _blob(destination, account, account_url)

    # The SDK is loaded here, where it is certain to be needed.
    from vhdtools.target.access import is_sas, make_access

    if managed_disk or address.is_managed_disk:
        managed_disk = True
        if sas is None and not is_sas(credential):
            raise disk_needs_sas(address)
    elif sas is None and credential is None and account is not None:
        credential = _account_credential(account)

    from vhdtools.target.api_version import ApiVersion
    from vhdtools.target.azure import AzureBlobTarget
    from vhdtools.target.blob_session import BlobSession
    from vhdtools.target.managed_disk import ManagedDiskTarget

    access = make_access(address, credential, sas)
    _check_way(address, access)

    def refreshed(old: Access) -> Access | None:
        fresh = None if refresh is None else refresh()
        return None if fresh is None else old.renewed(make_access(address, fresh, None))

    session = BlobSession(
        address,
        access,
        workers=workers,
        timeouts=timeouts or Timeouts(),
        refresh=refreshed,
        version=ApiVersion(api_version, note),
    )
    return ManagedDiskTarget(session) if managed_disk else AzureBlobTarget(session)


def is_file_destination(destination: str) -> bool:
    """Whether a destination is a local file's."""
    return unquoted(destination).startswith("file:")


def disk_needs_sas(address: BlobAddress) -> UsageError:
    """The error for the URL of a managed disk without its SAS."""
    return UsageError(
        address.url,
        "a managed disk is reached with a SAS alone, and there is none in the URL",
        "Get a URL with one, with Write to upload and Read to inspect or verify: "
        "`az disk grant-access --access-level Write --duration-in-seconds 86400 "
        "--resource-group GROUP --name DISK`",
    )


def _file_path(destination: str) -> Path:
    destination = unquoted(destination)
    path = destination.removeprefix("file:")
    refuse_secret("file:…", path)
    if looks_like_url(path):
        raise UsageError(
            f"file:{shown(path, '…')}",
            "a file: destination is a path, and this is a URL",
            "Leave out file: to upload to a blob.",
        )
    if path.startswith("//"):
        url = urlsplit(destination)
        if url.netloc not in ("", "localhost"):
            raise UsageError(
                destination,
                f"a file: destination is on this machine, not on {url.netloc}",
                "Write file:PATH.vhd.",
            )
        path = url2pathname(url.path)
    if not path.lower().endswith(".vhd"):
        raise UsageError(
            destination,
            "a local destination is a file whose name ends in .vhd",
            "Write file:PATH.vhd; devices are not written to.",
        )
    return Path(path)


def _blob(
    destination: str, account: StorageAccount | None, account_url: str | None
) -> tuple[BlobAddress, str | None]:
    reference = parse_reference(destination)
    address, sas = reference.address, reference.sas
    if address is not None:
        if sas is None and account is not None and account.account_url != address.account_url:
            raise UsageError(
                address.url,
                f"the connection string is for another account ({account.account_url})",
                "Give CONTAINER/BLOB alone, or the connection string of this account.",
            )
        return address, sas
    if account is not None:
        account_url = account.account_url
    if account_url is None:
        raise UsageError(
            reference.path,
            "CONTAINER/BLOB needs a storage account, and none is named",
            "Set AZURE_STORAGE_ACCOUNT, give a connection string, or give the blob's whole URL.",
        )
    return parse_blob_path(reference.path, unquoted(account_url)), sas


def _account_credential(account: StorageAccount) -> Credential:
    if account.key is None:
        return account.sas
    from azure.core.credentials import AzureNamedKeyCredential

    return AzureNamedKeyCredential(account.name, account.key)


def _check_way(address: BlobAddress, access: Access) -> None:
    """Refuse to send what is secret where others can read it."""
    if access.token is not None and not address.account_url.startswith("https:"):
        raise UsageError(address.url, "tokens are sent by https only", "Use the https URL.")
    if (access.sas or access.key) and not address.is_private_way:
        raise UsageError(
            address.url,
            "over http, everybody on the way could read the credentials and the disk",
            "Use the https URL.",
        )
