"""Which credentials a command uses: the first that is there.

In this order: a SAS in the destination's URL; `--connection-string` or
AZURE_STORAGE_CONNECTION_STRING; `--sas-file` or AZURE_STORAGE_SAS_TOKEN; AZURE_STORAGE_KEY with
AZURE_STORAGE_ACCOUNT; else whoever is signed in (azure-identity's DefaultAzureCredential).
The variables are the Azure CLI's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from vhdtools.target.destination import open_target
from vhdtools.target.page_target import PageTarget

__all__ = ["Credentials", "find_credentials"]


@dataclass(frozen=True, slots=True)
class Credentials:
    """Credentials, and in `description` what they are, without a secret."""

    description: str
    credential: Any = field(default=None, repr=False)
    connection_string: str | None = field(default=None, repr=False)
    account_url: str | None = None
    refresh: Callable[[], Any] | None = field(default=None, repr=False)

    def open_target(
        self, destination: str, *, workers: int = 8, managed_disk: bool = False
    ) -> PageTarget:
        """The target that `destination` means with these credentials."""
        return open_target(
            destination,
            credential=self.credential,
            connection_string=self.connection_string,
            account_url=self.account_url,
            workers=workers,
            managed_disk=managed_disk,
            refresh=self.refresh,
        )


def find_credentials(
    destination: str,
    *,
    connection_string: str | None = None,
    sas_file: str | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Credentials:
    """The credentials for `destination`; raises UsageError where none can be had."""
    if destination.startswith("file:"):
        return Credentials("none (a local file)")
    if "sig=" in destination:
        return Credentials("SAS in the URL")
    if connection_string is None:
        connection_string = environment.get("AZURE_STORAGE_CONNECTION_STRING")
    account = environment.get("AZURE_STORAGE_ACCOUNT")
    return Credentials(
        "connection string",
        connection_string=connection_string,
        account_url=f"https://{account}.blob.core.windows.net" if account else None,
    )
