"""Where a blob is: account, container and name, and the URLs that say so."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from vhdtools.errors import UsageError
from vhdtools.inputs import refuse_secret, shown, unquoted
from vhdtools.target.network import is_address, is_loopback, origin_of

__all__ = [
    "EMULATOR_ACCOUNT",
    "BlobAddress",
    "checked_sas",
    "has_signature",
    "parse_blob_path",
    "parse_blob_url",
]

EMULATOR_ACCOUNT = "devstoreaccount1"
"""The emulators' account; its key is public."""

_CONTAINER = re.compile(r"[a-z0-9](?:[a-z0-9]|-(?=[a-z0-9])){2,62}|\$root|\$web")
_SIGNATURE_VALUE = re.compile(r"(?:^|&(?:amp;)?)sig=[^&]*", re.IGNORECASE)
_MAX_BLOB_NAME = 1024
_NOT_A_BLOB = {"snapshot": "a snapshot", "versionid": "an old version", "comp": "an operation"}


@dataclass(frozen=True, slots=True)
class BlobAddress:
    """A blob: `account_url` without a slash at its end, container and blob name unescaped."""

    account_url: str
    container: str
    blob: str

    @property
    def url(self) -> str:
        """The blob's URL, without credentials."""
        return f"{self.account_url}/{self.container}/{quote(self.blob, safe='~/')}"

    @property
    def host(self) -> str:
        """The host, without port or brackets."""
        return urlsplit(self.account_url).hostname or ""

    @property
    def account(self) -> str:
        """The account's name as the URL tells it: the path's first part, or the host's."""
        return urlsplit(self.account_url).path.strip("/") or self.host.partition(".")[0]

    @property
    def is_managed_disk(self) -> bool:
        """Whether the host is one of those that managed disks are uploaded to."""
        return self.host.startswith("md-")

    @property
    def is_private_way(self) -> bool:
        """Whether credentials can be sent: by TLS, within this machine, or if they are public."""
        return (
            self.account_url.startswith("https:")
            or is_loopback(self.host)
            or self.account == EMULATOR_ACCOUNT
        )


def parse_blob_url(text: str) -> tuple[BlobAddress, str | None]:
    """A blob's URL, taken apart, and the SAS in its query (None if there is none).

    The account is the first part of the path where the host is an address or a name without dots,
    as emulators have it; else it is the host. Raises UsageError, which does not name the query.
    """
    name = shown(text, "the URL")
    try:
        url = urlsplit(text.strip())
        _ = url.port
    except ValueError as error:
        refuse_secret(name, str(error))
        raise UsageError(name, f"this is not a URL: {error}") from None
    if not url.hostname:
        raise UsageError(name, "the URL names no host")
    if url.username is not None:
        raise UsageError(name, "a blob's URL has no user name or password")
    refuse_secret(name, f"{url.netloc}{url.path}")
    if has_signature(url.fragment):
        raise UsageError(
            name, "the SAS follows a #, and it belongs after a ?", "Write ? in place of the #."
        )
    if url.fragment:
        raise UsageError(name, "the URL has a # in it", "Write %23 for a # in a blob's name.")
    parts = url.path.lstrip("/").split("/", 1)
    prefix = ""
    if _account_is_in_path(url, parts[0]):
        prefix = f"/{parts[0]}"
        parts = parts[1].split("/", 1) if len(parts) == 2 else [""]
    if len(parts) == 1 and "." in parts[0]:
        parts = ["$root", parts[0]]  # no container has a dot: Azure means the root container
    if len(parts) < 2 or not parts[1]:
        raise UsageError(
            name,
            "the URL names no blob",
            f"It should end like {url.scheme}://{url.netloc}{prefix}/CONTAINER/NAME.vhd.",
        )
    account_url = f"{url.scheme}://{url.netloc}{prefix}"
    return _address(name, account_url, unquote(parts[0]), unquote(parts[1])), _sas(name, url)


def parse_blob_path(text: str, account_url: str) -> BlobAddress:
    """The blob that CONTAINER/BLOB means in an account. Raises UsageError."""
    container, _, blob = text.partition("/")
    if not blob:
        raise UsageError(text, "a destination in an account is CONTAINER/BLOB")
    return _address(shown(text, "the blob's name"), account_url.rstrip("/"), container, blob)


def _account_is_in_path(url: SplitResult, first: str) -> bool:
    host = url.hostname or ""
    return "." not in host or is_address(host) or first == EMULATOR_ACCOUNT


def checked_sas(subject: str, text: str) -> str:
    """A SAS without what may stand around it: quotation marks, a URL, a question mark.

    A bare + in its signature, which a URL takes for a blank, is escaped. Raises UsageError.
    """
    sas = unquoted(text).rpartition("?")[2].replace("&amp;", "&")
    if ";" in sas:
        raise UsageError(
            subject,
            "what was given as a SAS is a connection string, or part of one",
            "Give it to --connection-string, or set AZURE_STORAGE_CONNECTION_STRING.",
        )
    sas = _SIGNATURE_VALUE.sub(lambda found: found[0].replace("+", "%2B"), sas)
    names = {name.lower() for name, _ in parse_qsl(sas, keep_blank_values=True)}
    if "sig" not in names or not sas.isascii() or not sas.isprintable() or " " in sas:
        raise UsageError(
            subject,
            "what was given as a SAS is not one, or not all of it",
            "A SAS looks like sv=…&se=…&sp=racw&sig=…, on one line.",
        )
    return sas


def has_signature(query: str) -> bool:
    """Whether a query is a SAS, or a part of one: it has sig= in it."""
    return _SIGNATURE_VALUE.search(query) is not None


def _address(subject: str, account_url: str, container: str, blob: str) -> BlobAddress:
    refuse_secret("the URL of the account", account_url)
    refuse_secret("the blob's name", f"{container}/{blob}")
    try:
        origin_of(urlsplit(account_url))
    except ValueError as error:
        raise UsageError(subject, f"the account's URL is wrong: {error}") from None
    if not account_url.isascii() or not account_url.isprintable() or " " in account_url:
        raise UsageError(
            subject,
            "the account's URL has characters that are not plain ASCII",
            "Write the host name in its ASCII form (xn--…).",
        )
    if not _CONTAINER.fullmatch(container):
        raise UsageError(
            subject,
            f"{container!r} is not a container's name",
            "It has 3 to 63 lower-case letters, digits and single hyphens.",
        )
    problem = ""
    if len(blob) > _MAX_BLOB_NAME:
        problem = f"the blob's name has {len(blob)} characters, and at most {_MAX_BLOB_NAME} fit"
    elif container == "$root" and "/" in blob:
        problem = "a blob in the root container ($root) has no / in its name"
    elif blob.endswith("/"):
        problem = "the blob's name ends with a slash, as if it were a folder"
    elif any(part in (".", "..") for part in blob.split("/")):
        problem = "the blob's name contains . or .. as if it were a path"
    elif not blob.isprintable():
        problem = "the blob's name contains characters that cannot be printed"
    if problem:
        raise UsageError(subject, problem)
    return BlobAddress(account_url, container, blob)


def _sas(name: str, url: SplitResult) -> str | None:
    if not url.query:
        return None
    names = {key.lower() for key, _ in parse_qsl(url.query, keep_blank_values=True)}
    for parameter, meaning in _NOT_A_BLOB.items():
        if parameter in names:
            raise UsageError(
                name,
                f"the URL has {parameter}= in it, which means {meaning}",
                "Give the URL of the blob itself.",
            )
    if "?" in url.query:
        raise UsageError(
            name,
            "the URL has two question marks: the blob's name would be cut at the first",
            "Write %3F for a ? in a blob's name.",
        )
    if "sig" not in names:
        refuse_secret(name, url.query)
        raise UsageError(
            name,
            "the URL's query has no signature (sig=), so it is not a SAS, or a part of one",
            "Put the URL between quotation marks: without them a shell cuts it at the first &. "
            "Write %3F for a ? in a blob's name.",
        )
    return checked_sas(name, url.query)
