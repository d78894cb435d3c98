"""What a user types, looked at once, where it enters: before anything is printed or sent.

A secret where it does not belong is refused, and the refusal does not repeat it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from vhdtools.errors import UsageError as _UsageError
from vhdtools.text import holds_secret as _holds_secret
from vhdtools.text import printable as _printable

__all__ = [
    "local_files",
    "local_folders",
    "local_path",
    "looks_like_url",
    "may_be_blob",
    "names_blob",
    "refuse_secret",
    "shown",
    "unquoted",
]

_QUOTES = "\"'`\u2018\u2019\u201c\u201d"
_INVISIBLE = "\ufeff\u200b\u200e\u2060"  # a byte order mark, and what web pages put into text
# A URL, perhaps with a slash too few, or without the https:// before a storage account's host.
_URL = re.compile(
    r"[a-z][a-z0-9+.-]+://|https?:/?[^/\\]|[a-z0-9.-]+\.(blob|dfs)\.[a-z0-9.-]+(:\d+)?/",
    re.IGNORECASE,
)
_PATH_LIKE = re.compile(r"[./~\\]|[A-Za-z]:|[^/]*\\")  # none of these begins a container's name
_END = re.compile(r"[?#&;\s]|%(?:25)*(?:3f|23|26|3b)", re.IGNORECASE)
_USER = re.compile(r"(?<=://)[^/]*@")


def unquoted(text: str) -> str:
    """`text` without the blanks, quotation marks and byte order mark around it.

    `az` prints its results in quotation marks (without `-o tsv`), and `docker --env-file` keeps
    those that are in the file.
    """
    text = _stripped(text)
    if text[:1] in ("\\", *_QUOTES) or ("=" in text and text[-1:] in tuple(_QUOTES)):
        text = _stripped(text.strip("\\" + _QUOTES))
    return text


def _stripped(text: str) -> str:
    return text.strip(_INVISIBLE).strip().strip(_INVISIBLE)


def looks_like_url(text: str) -> bool:
    """Whether a URL of any scheme was typed, perhaps in quotation marks."""
    return _URL.match(unquoted(text)) is not None


def names_blob(text: str) -> bool:
    """Whether a blob is named in the form that no file has: blob:CONTAINER/BLOB."""
    return unquoted(text).startswith("blob:")


def may_be_blob(text: str) -> bool:
    """Whether it has the form CONTAINER/BLOB, which a relative path may have, too."""
    plain = unquoted(text)
    return "/" in plain and _PATH_LIKE.match(plain) is None


def shown(text: str, instead: str) -> str:
    """What was typed as far as it can be repeated: up to a query; `instead` where not even that."""
    head = unquoted(text)
    if "?" in head or _holds_secret(head):
        head = _END.split(head, maxsplit=1)[0]
    head = _USER.sub("", head)
    return instead if not head or _holds_secret(head) else _printable(head)


def refuse_secret(subject: str, text: str) -> None:
    """Raise UsageError if a SAS, a key or a token is in `text`, where none belongs."""
    if _holds_secret(text):
        raise _UsageError(
            subject,
            "a SAS, an account key, a connection string or a token stands here, where none belongs "
            "(it is not repeated)",
            "A SAS belongs into the blob's URL, after its ?, or into a file for --sas-file; a "
            "connection string to --connection-string; or set AZURE_STORAGE_SAS_TOKEN, "
            "AZURE_STORAGE_KEY or AZURE_STORAGE_CONNECTION_STRING.",
        )


def local_path(path: str | os.PathLike[str], subject: str = "the disk's path") -> Path:
    """The path of a file on this machine. Raises UsageError for a URL, and for a secret in it."""
    text = os.fsdecode(path)
    is_file = not _holds_secret(text) and os.path.lexists(text)
    if looks_like_url(text) and not is_file:
        raise _UsageError(
            shown(text, subject),
            "this is a URL, and a file on this machine is needed here",
            "Download it first, and name the file. A page blob is inspected in place by "
            "`vhdtool inspect`, which takes its URL.",
        )
    refuse_secret(subject, text)
    return Path(path)


def local_files(files: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """`local_path` of each of the files that may be parents."""
    return [local_path(file, "the parent's path") for file in files]


def local_folders(folders: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """`local_path` of each of the folders to look for parents in."""
    return [local_path(folder, "the folder to look for parents in") for folder in folders]
