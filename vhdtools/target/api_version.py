"""The version of the blob service's REST API that is spoken, and the way to an older one.

Azure knows every version since 2009. Emulators and Azure Stack Hub and Edge know those of their
own time: they refuse a newer one with 400 InvalidHeaderValue, some with nothing more, as the first
request is a HEAD. Then the newest one that the service takes is looked for by bisection, with
harmless requests. What vhdtools asks of a version: bearer tokens need 2017-11-09, CRC-64 checksums
2019-02-02 (REST reference, "Versioning for Azure Storage"); before that, MD5 takes their place.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable

from vhdtools.errors import UsageError
from vhdtools.logs import logger

__all__ = ["KNOWN_VERSIONS", "ApiVersion", "refuses_version"]

_log = logger(__name__)

_FORM = re.compile(r"20\d\d-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])")
_CRC64_SINCE = "2019-02-02"

KNOWN_VERSIONS = (
    "2026-10-06",
    "2026-06-06",
    "2026-04-06",
    "2026-02-06",
    "2025-11-05",
    "2025-07-05",
    "2025-05-05",
    "2025-01-05",
    "2024-11-04",
    "2024-08-04",
    "2024-05-04",
    "2023-11-03",
    "2023-08-03",
    "2023-01-03",
    "2022-11-02",
    "2021-12-02",
    "2021-08-06",
    "2021-06-08",
    "2021-04-10",
    "2021-02-12",
    "2020-12-06",
    "2020-10-02",
    "2020-08-04",
    "2020-06-12",
    "2020-04-08",
    "2020-02-10",
    "2019-12-12",
    "2019-10-10",
    "2019-07-07",
    "2019-02-02",
    "2018-11-09",
    "2018-03-28",
    "2017-11-09",
)
"""Newest first: those that both azure-storage-blob and Azurite list, and before the first of them
"Previous Azure Storage service versions". Azure Stack Hub began with 2017-11-09."""


class ApiVersion:
    """The version in use: `pinned`, or the newest one until a service refuses it.

    `note` is given one sentence when an older one is used. Safe to use from several threads.
    Raises UsageError for a `pinned` that is no version.
    """

    def __init__(
        self, pinned: str | None = None, note: Callable[[str], None] | None = None
    ) -> None:
        if pinned is not None and not _FORM.fullmatch(pinned):
            raise UsageError(
                "the API version",
                f"{pinned[:40]!r} is not a version of the storage service's API",
                f"Versions are dates, such as {KNOWN_VERSIONS[0]}.",
            )
        self._pinned = pinned is not None
        self._note = note
        self._lock = threading.Lock()
        self.current = pinned or KNOWN_VERSIONS[0]

    @property
    def has_crc64(self) -> bool:
        """Whether requests can carry a CRC-64; older versions know MD5 alone."""
        return self.current >= _CRC64_SINCE

    def fall_back(self, refused: str, takes: Callable[[str], bool]) -> bool:
        """Find an older version for a service that refused one; whether there is another now.

        `takes` asks the service whether it takes a version.
        """
        with self._lock:
            if self.current != refused:
                return True  # found by another thread
            if self._pinned:
                return False
            found = _newest_taken(KNOWN_VERSIONS[KNOWN_VERSIONS.index(refused) + 1 :], takes)
            if found is None:
                return False
            self.current = found
        text = f"The service does not know version {refused} of the API: {found} is used."
        if not self.has_crc64:
            text += " It has no CRC-64: every request carries an MD5 instead."
        _log.info("%s", text)
        if self._note is not None:
            self._note(text)
        return True


def _newest_taken(versions: tuple[str, ...], takes: Callable[[str], bool]) -> str | None:
    """The first of `versions` that is taken, where all after one that is taken are, too."""
    first, end = 0, len(versions)
    while first < end:
        middle = (first + end) // 2
        if takes(versions[middle]):
            end = middle
        else:
            first = middle + 1
    return versions[first] if first < len(versions) else None


def refuses_version(status: int, code: str, detail: str, *, head: bool) -> bool:
    """Whether an answer says that the service does not know the version of the API.

    A refused HEAD (`head`) has no body that could say which header is meant; what else it carries
    is never wrong.
    """
    if status != 400:
        return False
    if code in ("UnsupportedRestVersion", "UnsupportedVersion"):
        return True
    if code == "InvalidHeaderValue":
        return head or re.search("x-ms-version|api version", detail, re.IGNORECASE) is not None
    return head and not code
