"""Which credentials a command uses: the first that are there.

In this order: a SAS in the destination's URL; `--connection-string`; `--sas-file`;
AZURE_STORAGE_CONNECTION_STRING; AZURE_STORAGE_SAS_TOKEN; AZURE_STORAGE_KEY with
AZURE_STORAGE_ACCOUNT; else whoever is signed in (azure-identity's DefaultAzureCredential). The
variables are the Azure CLI's; AZURE_STORAGE_AUTH_MODE=login skips its keys and SAS, as there, and
AZURE_STORAGE_SERVICE_ENDPOINT is the URL of the account's blob service. AZURE_CLOUD_NAME, or
`--cloud`, names the cloud that an account given by its name alone is in, and where to sign in.

What the environment says of one account is not used for a URL that names another. A URL names the
account of AZURE_STORAGE_ACCOUNT if its host is ACCOUNT.blob. in one of Azure's own domains, or this
machine, with the account first in the path; any other host must be that of
AZURE_STORAGE_SERVICE_ENDPOINT. A SAS with neither variable set, which the Azure CLI would use for
any account, goes to Azure's own domains only.
"""

from __future__ import annotations

import codecs
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vhdtools.errors import UsageError
from vhdtools.inputs import local_path, refuse_secret, unquoted
from vhdtools.target.blob_address import BlobAddress, checked_sas
from vhdtools.target.clouds import Cloud, cloud_named, cloud_of
from vhdtools.target.connection_string import StorageAccount, parse_connection_string
from vhdtools.target.destination import disk_needs_sas, is_file_destination, open_target
from vhdtools.target.network import is_loopback
from vhdtools.target.page_target import PageTarget
from vhdtools.target.reference import parse_reference

__all__ = ["Credentials", "find_credentials"]

_MAX_SAS_FILE = 64 * 1024
_IDENTITY = "the signed-in identity (DefaultAzureCredential)"
_AZURE_HOST = re.compile(
    r"(?P<account>[a-z0-9-]+)\.((z\d+|privatelink)\.)?blob\."
    r"(core\.(windows\.net|chinacloudapi\.cn|usgovcloudapi\.net|cloudapi\.de)|storage\.azure\.net)"
)
"""Azure's public and sovereign clouds, and accounts in a DNS zone of their own."""
_ACCOUNT = re.compile(r"[a-z0-9-]{1,63}")  # emulators have names of any length
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
        self,
        destination: str,
        *,
        workers: int = 8,
        managed_disk: bool = False,
        api_version: str | None = None,
        note: Callable[[str], None] | None = None,
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
            api_version=api_version,
            note=note,
        )


def find_credentials(
    destination: str,
    *,
    connection_string: str | None = None,
    sas_file: str | None = None,
    account_name: str | None = None,
    cloud: str | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Credentials:
    """The credentials for `destination`.

    Raises UsageError where there are none, where two are given that exclude each other, or where
    `destination` cannot be a blob's.
    """
    if is_file_destination(destination):
        return Credentials("none: a local file needs none")
    reference = parse_reference(destination)
    address, url_sas = reference.address, reference.sas
    _exclude(
        {
            "a SAS in the URL": url_sas,
            "--connection-string": connection_string,
            "--sas-file": sas_file,
        }
    )
    _exclude({"--account-name": account_name, "--connection-string": connection_string})
    surroundings = _Environment(
        environment, address, _account("--account-name", account_name), cloud
    )
    surroundings.check_account()
    signs_in = surroundings.value("AZURE_STORAGE_AUTH_MODE").lower() == "login"
    if url_sas is not None:
        return _url_sas(surroundings, signs_in=signs_in)
    if connection_string is not None:
        account = parse_connection_string(connection_string)
        return Credentials(
            f"--connection-string ({_kind(account)})", connection_string=connection_string
        )
    if sas_file is not None:
        return _from_file(local_path(sas_file, "--sas-file"), surroundings.account_url())
    found = None if signs_in else next(surroundings.secrets(), None)
    return found or _signed_in(destination, surroundings)


def _exclude(options: Mapping[str, str | None]) -> None:
    given = [name for name, value in options.items() if value is not None]
    if len(given) > 1:
        raise UsageError(" and ".join(given), "these exclude each other", "Give one of them alone.")


@dataclass(frozen=True, slots=True)
class _Environment:
    """What the environment says of storage accounts, as far as it concerns the destination.

    `named` is the account, and `cloud` the cloud, that the command line names. What belongs to
    another account than the one named there is not used.
    """

    variables: Mapping[str, str] = field(repr=False)
    address: BlobAddress | None
    named: str = ""
    cloud: str | None = None

    def value(self, name: str) -> str:
        """A variable's value, without quotation marks around it."""
        return unquoted(self.variables.get(name, ""))

    def account_name(self) -> str:
        """The account that the command line or the environment names, "" where neither does."""
        return self.named or _account("AZURE_STORAGE_ACCOUNT", self.value("AZURE_STORAGE_ACCOUNT"))

    def account_url(self) -> str | None:
        """Where CONTAINER/BLOB is; None where nothing says so, or the destination is a URL."""
        if self.address is not None:
            return None
        if endpoint := self._endpoint():
            return endpoint
        if connection := self._connection():
            return connection.account_url
        name = self.account_name()
        return f"https://{name}.blob.{self.named_cloud().storage_suffix}" if name else None

    def named_cloud(self) -> Cloud:
        """The cloud that the command line or the environment names, or else Azure's public one."""
        if self.cloud is not None:
            return cloud_named("--cloud", self.cloud)
        return cloud_named("AZURE_CLOUD_NAME", self.value("AZURE_CLOUD_NAME") or "AzureCloud")

    def check_account(self) -> None:
        """Raise UsageError where the URL is in another account than the command line names."""
        if self.named and self.address and _account_at(self.address) not in (None, self.named):
            raise UsageError(
                self.address.url,
                f"--account-name is {self.named}, and the URL is in another account",
                "Leave out --account-name: a URL names its account itself.",
            )

    def secrets(self) -> Iterator[Credentials]:
        """The credentials that are there, the first to be used first."""
        if connection := self._connection():
            yield Credentials(
                f"AZURE_STORAGE_CONNECTION_STRING ({_kind(connection)})",
                connection_string=self.value("AZURE_STORAGE_CONNECTION_STRING"),
            )
        if self._is_of_another():
            return
        name = self.account_name()
        sas = self.value("AZURE_STORAGE_SAS_TOKEN")
        if sas and self._is_meant(name):
            yield Credentials(
                "the SAS in AZURE_STORAGE_SAS_TOKEN",
                credential=checked_sas("AZURE_STORAGE_SAS_TOKEN", sas),
                account_url=self.account_url(),
            )
        key = self.value("AZURE_STORAGE_KEY")
        if name and key and self._is_meant(name):
            from azure.core.credentials import AzureNamedKeyCredential

            yield Credentials(
                f"the key of account {name} in AZURE_STORAGE_KEY",
                credential=AzureNamedKeyCredential(name, key),
                account_url=self.account_url(),
            )

    def _is_of_another(self) -> bool:
        """Whether the environment's account is not the one that the command line names."""
        own = self.value("AZURE_STORAGE_ACCOUNT")
        return bool(self.named and own and own != self.named)

    def _endpoint(self) -> str:
        name = "AZURE_STORAGE_SERVICE_ENDPOINT"
        endpoint = "" if self._is_of_another() else self.value(name).rstrip("/")
        refuse_secret(name, endpoint)
        return endpoint

    def _connection(self) -> StorageAccount | None:
        text = self.value("AZURE_STORAGE_CONNECTION_STRING")
        connection = parse_connection_string(text) if text else None
        if connection and self.named and connection.name != self.named:
            return None
        if connection and self.address and connection.account_url != self.address.account_url:
            return None
        return connection

    def _is_meant(self, name: str) -> bool:
        """Whether the destination is in the account that the environment names, or may be."""
        if self.address is None:
            return True
        endpoint = self._endpoint()
        if endpoint and endpoint == self.address.account_url:
            return True
        account = _account_at(self.address)
        if name:
            return account == name
        return account is not None and not endpoint and not is_loopback(self.address.host)


def _account(where: str, name: str | None) -> str:
    """The account's name, as `where` gives it. Raises UsageError for what cannot be one."""
    name = unquoted(name or "")
    refuse_secret(where, name)
    if name and not _ACCOUNT.fullmatch(name):
        raise UsageError(
            where,
            f"{name!r} is not the name of a storage account",
            "It has 3 to 24 lower-case letters and digits, as ACCOUNT in "
            "https://ACCOUNT.blob.core.windows.net has.",
        )
    return name


def _account_at(address: BlobAddress) -> str | None:
    """The account that a URL names for certain; None where its host could be anybody's."""
    if is_loopback(address.host):
        return address.account
    found = _AZURE_HOST.fullmatch(address.host)
    return found["account"] if found else None


def _url_sas(surroundings: _Environment, *, signs_in: bool) -> Credentials:
    address = surroundings.address
    if signs_in and address is not None and address.is_managed_disk:
        return Credentials(
            f"the SAS in the URL, and {_IDENTITY}",
            credential=_identity(address.url, cloud_of(address.host)),
        )
    return Credentials("the SAS in the URL", account_url=surroundings.account_url())


def _from_file(path: Path, account_url: str | None) -> Credentials:
    def read() -> str:
        return checked_sas(str(path), _text_of(path))

    return Credentials(
        f"the SAS in the file {path}", credential=read(), account_url=account_url, refresh=read
    )


def _text_of(path: Path) -> str:
    """The text of a small file: UTF-8, or UTF-16 where it says so, as PowerShell writes it."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_SAS_FILE)
        utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        return data.decode("utf-16" if utf16 else "utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise UsageError(str(path), f"the SAS file cannot be read: {reason}") from None


def _signed_in(destination: str, surroundings: _Environment) -> Credentials:
    address = surroundings.address
    if address is not None and address.is_managed_disk:
        raise disk_needs_sas(address)
    if address is not None and address.account_url.startswith("http:"):
        raise UsageError(
            address.url,
            "there are no credentials for this account",
            "For the emulator on this machine, set "
            "AZURE_STORAGE_CONNECTION_STRING=UseDevelopmentStorage=true. " + _OTHERS,
        )
    account_url = surroundings.account_url()
    if address is None and account_url is None:
        return Credentials("none")  # the destination itself is at fault, and its error tells how
    cloud = None if address is None else cloud_of(address.host)
    subject = destination if address is None else address.url
    return Credentials(
        _IDENTITY,
        credential=_identity(subject, cloud or surroundings.named_cloud()),
        account_url=account_url,
    )


def _identity(subject: str, cloud: Cloud | None) -> Any:
    try:
        from azure.identity import DefaultAzureCredential
    except ImportError:
        raise UsageError(
            subject,
            "there are no credentials, and azure-identity, which could ask who is signed in, is "
            "not installed",
            "Install it with `pip install 'vhdtools[identity]'`, and sign in with `az login`. "
            + _OTHERS,
        ) from None
    # Its warnings, a line for each way to sign in, are for -v: the error that follows says it, too.
    logging.getLogger("azure").addHandler(logging.NullHandler())
    if cloud is None or not cloud.authority or os.environ.get("AZURE_AUTHORITY_HOST"):
        return DefaultAzureCredential()
    return DefaultAzureCredential(authority=cloud.authority)


def _kind(account: StorageAccount) -> str:
    means = "key" if account.key else "SAS"
    return f"{means} of account {account.name}" if account.name else means
