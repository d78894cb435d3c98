"""The ways to name a blob: what a user types, and what it means.

A blob's URL; CONTAINER/BLOB, or blob:CONTAINER/BLOB, in an account that is named elsewhere; and
Hadoop's wasbs:// and abfss://CONTAINER@HOST/BLOB. A SAS may follow each, after a question mark.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from vhdtools.errors import UsageError
from vhdtools.inputs import looks_like_url, may_be_blob, refuse_secret, shown, unquoted
from vhdtools.target.blob_address import BlobAddress, checked_sas, has_signature, parse_blob_url
from vhdtools.text import printable

__all__ = ["FORMS", "BlobReference", "parse_reference"]

FORMS = "Give a blob's URL, CONTAINER/BLOB in a storage account, or file:PATH.vhd for a local file."

_SUBJECT = "the destination"
_BLOB = "blob:"
_HADOOP = r"(?i)(?:wasb|abfs)s?://(?P<container>[^/@]+)@(?P<host>[^/@]+)/(?P<blob>.*)"
_CONNECTION = r"(?i)(account(name|key)|endpoint(suffix)?|accesssignature)=[^;]*(;|$)"
_WEB = r"(?i)(https?):(//|/?(?=[^/]))"
# No container's name has a dot: this is a host whose https:// was left out.
_HOST = r"(?i)[a-z0-9-]+(\.[a-z0-9-]+)*\.(blob|dfs)\.[a-z0-9.-]+(:\d+)?/"
_OTHER_SERVICE = r"(?i)(https?://[a-z0-9-]+(?:\.z\d+)?)\.(dfs|file|queue|table|web)\."


@dataclass(frozen=True, slots=True)
class BlobReference:
    """A blob as it was named: its `address`, or CONTAINER/BLOB (`path`) in an account to be named.

    `sas` is what followed the question mark.
    """

    address: BlobAddress | None
    path: str
    sas: str | None = field(default=None, repr=False)


def parse_reference(text: str) -> BlobReference:
    """What blob `text` names. Raises UsageError, which repeats no secret."""
    plain = unquoted(text).replace("&amp;", "&")
    if re.search(_CONNECTION, plain):
        raise UsageError(
            _SUBJECT,
            "a connection string was given where a blob is to be named (it is not repeated)",
            "Give the connection string to --connection-string, or set "
            f"AZURE_STORAGE_CONNECTION_STRING. {FORMS}",
        )
    if hadoop := re.fullmatch(_HADOOP, plain):
        host = re.sub(r"(?i)\.dfs\.", ".blob.", hadoop["host"], count=1)
        plain = f"https://{host}/{hadoop['container']}/{hadoop['blob']}"
    elif re.match(_HOST, plain):
        plain = f"https://{plain}"
    if re.match(_WEB, plain):
        plain = re.sub(_WEB, r"\1://", plain, count=1)
        _refuse_other_service(plain)
        address, sas = parse_blob_url(plain)
        return BlobReference(address, "", sas)
    if looks_like_url(plain):
        scheme = plain.partition(":")[0]
        raise UsageError(
            _SUBJECT if len(scheme) > 10 else f"{scheme}://…",
            "the URL is not an http or https one",
            FORMS,
        )
    path, mark, query = plain.removeprefix(_BLOB).rpartition("?")
    sas = None
    if mark and has_signature(query):
        sas = checked_sas(shown(path, _SUBJECT), query)
    else:
        path = plain.removeprefix(_BLOB)
    refuse_secret(_SUBJECT, path)
    if not may_be_blob(path):
        raise UsageError(printable(path) or _SUBJECT, "this is not a destination", FORMS)
    return BlobReference(None, path, sas)


def _refuse_other_service(url: str) -> None:
    found = re.match(_OTHER_SERVICE, url)
    if found is None:
        return
    domain = url[found.end() :].partition("/")[0]
    if not domain.startswith(("core.", "storage.")):
        return
    name, services = found[2].lower(), {"dfs": "Data Lake Storage", "file": "Azure Files"}
    raise UsageError(
        shown(url, _SUBJECT),
        f"this is the URL of {services.get(name, f'the {name} service')}, not of the account's "
        "blob service",
        f"The account's blob service is at {shown(f'{found[1]}.blob.{domain}', 'another host')}",
    )
