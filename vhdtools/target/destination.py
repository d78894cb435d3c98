"""From what the user calls a destination to the target that it means."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from vhdtools.errors import UsageError
from vhdtools.target.page_target import PageTarget

__all__ = ["open_target"]


def open_target(
    destination: str,
    *,
    credential: Any = None,
    connection_string: str | None = None,
    account_url: str | None = None,
    workers: int = 8,
    managed_disk: bool = False,
    refresh: Callable[[], Any] | None = None,
) -> PageTarget:
    """The target that `destination` names."""
    if destination.startswith("file:"):
        from vhdtools.target.local import LocalFileTarget

        return LocalFileTarget(Path(destination.removeprefix("file:")))
    from vhdtools.target.azure import AzureBlobTarget

    if destination.startswith(("http://", "https://")):
        return AzureBlobTarget(destination, credential, workers=workers)
    container, _, blob = destination.partition("/")
    if not container or not blob:
        raise UsageError(
            destination, "not a destination", "Give CONTAINER/BLOB, a blob URL, or file:PATH.vhd."
        )
    if connection_string is not None:
        from azure.storage.blob import BlobClient

        with BlobClient.from_connection_string(connection_string, container, blob) as client:
            return AzureBlobTarget(client.url, client.credential, workers=workers)
    if account_url is None:
        raise UsageError(destination, "no storage account is known", "Give a blob URL.")
    return AzureBlobTarget(
        f"{account_url.rstrip('/')}/{container}/{quote(blob, safe='~/')}",
        credential,
        workers=workers,
    )
