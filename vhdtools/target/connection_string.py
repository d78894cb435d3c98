"""Azure Storage connection strings."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from vhdtools.errors import UsageError
from vhdtools.inputs import unquoted
from vhdtools.target.blob_address import EMULATOR_ACCOUNT, checked_sas

__all__ = ["StorageAccount", "parse_connection_string"]

_SUBJECT = "connection string"
# No field is called as the parameters of a SAS are, in two letters, or sig.
_SAS_OR_URL = re.compile(r"[a-z]+://|\??[a-z]{2,3}=", re.IGNORECASE)
_WHOLE = "Copy it whole, and put it between quotation marks: it contains semicolons."
_EMULATOR_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)


@dataclass(frozen=True, slots=True)
class StorageAccount:
    """A storage account: the URL of its blob service, and a key or a SAS if one is known."""

    account_url: str
    name: str
    key: str | None = field(default=None, repr=False)
    sas: str | None = field(default=None, repr=False)


def parse_connection_string(text: str) -> StorageAccount:
    """The account that a connection string describes.

    Raises UsageError, which names no value.
    """
    text = unquoted(text)
    if _SAS_OR_URL.match(text):
        raise UsageError(
            _SUBJECT,
            "a URL or a SAS was given in its place (it is not repeated)",
            "A URL with a SAS is given as the blob's URL; a SAS alone in a file, by --sas-file, or "
            "in AZURE_STORAGE_SAS_TOKEN.",
        )
    values: dict[str, str] = {}
    for part in filter(None, (item.strip() for item in text.split(";"))):
        field_name, equals, value = part.partition("=")
        if not equals:
            raise UsageError(
                _SUBJECT,
                "a part of it is not NAME=VALUE",
                _WHOLE,
            )
        values[field_name.strip().lower()] = unquoted(value)
    if values.get("usedevelopmentstorage", "").lower() == "true":
        proxy = values.get("developmentstorageproxyuri", "http://127.0.0.1").rstrip("/")
        return StorageAccount(f"{proxy}:10000/{EMULATOR_ACCOUNT}", EMULATOR_ACCOUNT, _EMULATOR_KEY)
    name = values.get("accountname", "")
    sas = values.get("sharedaccesssignature")
    endpoint = values.get("blobendpoint", "")
    if not endpoint:
        if not name:
            raise UsageError(_SUBJECT, "it has neither AccountName nor BlobEndpoint", _WHOLE)
        scheme = values.get("defaultendpointsprotocol", "https")
        suffix = values.get("endpointsuffix", "core.windows.net")
        endpoint = f"{scheme}://{name}.blob.{suffix}"
    if "://" not in endpoint:
        raise UsageError(_SUBJECT, "its BlobEndpoint is not a URL")
    url = urlsplit(endpoint)
    if url.query and sas is None:
        sas = url.query  # the portal's "Blob service SAS URL" pasted as it is
    endpoint = url._replace(query="", fragment="").geturl()
    key = values.get("accountkey")
    if key is None and sas is None:
        raise UsageError(_SUBJECT, "it has neither AccountKey nor SharedAccessSignature", _WHOLE)
    if key is not None and not name:
        raise UsageError(_SUBJECT, "it has an AccountKey and no AccountName")
    return StorageAccount(
        endpoint.rstrip("/"), name, key, None if sas is None else checked_sas(_SUBJECT, sas)
    )
