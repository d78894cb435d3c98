"""Which credentials a command uses: the first that are there.

In this order: a SAS in the destination's URL; `--connection-string`; `--sas-file`;
AZURE_STORAGE_CONNECTION_STRING; AZURE_STORAGE_SAS_TOKEN; AZURE_STORAGE_KEY with
AZURE_STORAGE_ACCOUNT; else whoever is signed in (azure-identity's DefaultAzureCredential). The
variables are the Azure CLI's; AZURE_STORAGE_AUTH_MODE=login skips its keys and SAS, as there, and
AZURE_STORAGE_SERVICE_ENDPOINT is the URL of the account's blob service.

What the environment says of one account is not used for a URL that names another. A URL names the
account of AZURE_STORAGE_ACCOUNT if its host is ACCOUNT.blob. in one of Azure's own domains, or this
machine, with the account first in the path; any other host must be that of
AZURE_STORAGE_SERVICE_ENDPOINT. A SAS with neither variable set, which the Azure CLI would use for
any account, goes to Azure's own domains only.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vhdtools.errors import UsageError
from vhdtools.target.blob_address import BlobAddress, checked_sas, parse_blob_url
from vhdtools.target.connection_string import StorageAccount, parse_connection_string
from vhdtools.target.destination import (
    is_file_destination,
    is_url_destination,
    open_target,
)
from vhdtools.target.network import is_loopback
from vhdtools.target.page_target import PageTarget

__all__ = ["Credentials", "find_credentials"]

_MAX_SAS_FILE = 64 * 1024
_IDENTITY = "the signed-in identity (DefaultAzureCredential)"
_AZURE_HOST = re.compile(
    r"(?P<account>[a-z0-9-]+)\.((z\d+|privatelink)\.)?blob\."
    r"(core\.(windows\.net|chinacloudapi\.cn|usgovcloudapi\.net|cloudapi\.de)|storage\.azure\.net)"
)
"""Azure's public and sovereign clouds, and accounts in a DNS zone of their own."""
_OTHERS = (
    "Or give a URL with a SAS, --connection-string or --sas-file, or set AZURE_STORAGE_SAS_TOKEN, "
    "or AZURE_STORAGE_ACCOUNT and AZURE_STORAGE_KEY."
)


@dataclass(frozen=True, slots=True)
class Credentials:
    """Credentials, and in `description` what they are and where from, without a secret."""

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
    """The credentials for `destination`.

    Raises UsageError where there are none, where two are given that exclude each other, or where
    `destination` is a URL that cannot be a blob's.
    """
    if is_file_destination(destination):
        return Credentials("none: a local file needs none")
    address, url_sas = None, None
    if is_url_destination(destination):
        address, url_sas = parse_blob_url(destination)
    given = [
        name
        for name, value in (
            ("a SAS in the URL", url_sas),
            ("--connection-string", connection_string),
            ("--sas-file", sas_file),
        )
        if value is not None
    ]
    if len(given) > 1:
        raise UsageError(" and ".join(given), "these exclude each other", "Give one of them alone.")
    signs_in = environment.get("AZURE_STORAGE_AUTH_MODE", "").lower() == "login"
    if url_sas is not None:
        return _url_sas(address, signs_in=signs_in)
    if connection_string is not None:
        account = parse_connection_string(connection_string)
        return Credentials(
            f"--connection-string ({_kind(account)})", connection_string=connection_string
        )
    surroundings = _Environment(environment, address)
    if sas_file is not None:
        return _from_file(Path(sas_file), surroundings.account_url())
    found = None if signs_in else next(surroundings.secrets(), None)
    return found or _signed_in(destination, address, surroundings.account_url())


@dataclass(frozen=True, slots=True)
class _Environment:
    """What the environment says of storage accounts, as far as it concerns the destination."""

    variables: Mapping[str, str] = field(repr=False)
    address: BlobAddress | None

    def account_url(self) -> str | None:
        """Where CONTAINER/BLOB is; None where nothing says so, or the destination is a URL."""
        if self.address is not None:
            return None
        if endpoint := self._value("AZURE_STORAGE_SERVICE_ENDPOINT"):
            return endpoint
        if connection := self._connection():
            return connection.account_url
        name = self._value("AZURE_STORAGE_ACCOUNT")
        return f"https://{name}.blob.core.windows.net" if name else None

    def secrets(self) -> Iterator[Credentials]:
        """The credentials that are there, the first to be used first."""
        if connection := self._connection():
            yield Credentials(
                f"AZURE_STORAGE_CONNECTION_STRING ({_kind(connection)})",
                connection_string=self.variables["AZURE_STORAGE_CONNECTION_STRING"],
            )
        name = self._value("AZURE_STORAGE_ACCOUNT")
        sas = self._value("AZURE_STORAGE_SAS_TOKEN")
        if sas and self._is_meant(name):
            yield Credentials(
                "the SAS in AZURE_STORAGE_SAS_TOKEN",
                credential=checked_sas("AZURE_STORAGE_SAS_TOKEN", sas),
                account_url=self.account_url(),
            )
        key = self._value("AZURE_STORAGE_KEY")
        if name and key and self._is_meant(name):
            from azure.core.credentials import AzureNamedKeyCredential

            yield Credentials(
                f"the key of account {name} in AZURE_STORAGE_KEY",
                credential=AzureNamedKeyCredential(name, key),
                account_url=self.account_url(),
            )

    def _value(self, name: str) -> str:
        return self.variables.get(name, "")

    def _connection(self) -> StorageAccount | None:
        text = self._value("AZURE_STORAGE_CONNECTION_STRING")
        connection = parse_connection_string(text) if text else None
        if connection and self.address and connection.account_url != self.address.account_url:
            return None
        return connection

    def _is_meant(self, name: str) -> bool:
        """Whether the destination is in the account that the environment names, or may be."""
        if self.address is None:
            return True
        endpoint = self._value("AZURE_STORAGE_SERVICE_ENDPOINT").rstrip("/")
        if endpoint and endpoint == self.address.account_url:
            return True
        account = _account_at(self.address)
        if name:
            return account == name
        return account is not None and not endpoint and not is_loopback(self.address.host)


def _account_at(address: BlobAddress) -> str | None:
    """The account that a URL names for certain; None where its host could be anybody's."""
    if is_loopback(address.host):
        return address.account
    found = _AZURE_HOST.fullmatch(address.host)
    return found["account"] if found else None


def _url_sas(address: BlobAddress | None, *, signs_in: bool) -> Credentials:
    if signs_in and address is not None and address.is_managed_disk:
        return Credentials(f"the SAS in the URL, and {_IDENTITY}", credential=_identity(address))
    return Credentials("the SAS in the URL")


def _from_file(path: Path, account_url: str | None) -> Credentials:
    def read() -> str:
        try:
            with path.open(encoding="utf-8") as file:
                text = file.read(_MAX_SAS_FILE).strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not text"
            raise UsageError(str(path), f"the SAS file cannot be read: {reason}") from None
        return checked_sas(str(path), text)

    return Credentials(
        f"the SAS in the file {path}", credential=read(), account_url=account_url, refresh=read
    )


def _signed_in(
    destination: str, address: BlobAddress | None, account_url: str | None
) -> Credentials:
    if address is not None and address.account_url.startswith("http:"):
        raise UsageError(
            address.url,
            "there are no credentials for this account",
            "For the emulator on this machine, set "
            "AZURE_STORAGE_CONNECTION_STRING=UseDevelopmentStorage=true. " + _OTHERS,
        )
    if address is None and account_url is None:
        return Credentials("none")  # the destination itself is at fault, and its error tells how
    return Credentials(
        _IDENTITY, credential=_identity(address or destination), account_url=account_url
    )


def _identity(subject: BlobAddress | str) -> Any:
    try:
        from azure.identity import DefaultAzureCredential
    except ImportError:
        raise UsageError(
            subject if isinstance(subject, str) else subject.url,
            "there are no credentials, and azure-identity, which could ask who is signed in, is "
            "not installed",
            "Install it with `pip install 'vhdtools[identity]'`, and sign in with `az login`. "
            + _OTHERS,
        ) from None
    # Its warnings, a line for each way to sign in, are for -v: the error that follows says it, too.
    logging.getLogger("azure").addHandler(logging.NullHandler())
    return DefaultAzureCredential()


def _kind(account: StorageAccount) -> str:
    means = "key" if account.key else "SAS"
    return f"{means} of account {account.name}" if account.name else means
