"""What an upload keeps in the blob's metadata: checkpoint and owner, at the end the CRC-64.

There is no state anywhere else, so any host can resume. Other people's metadata is left as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from vhdtools.ranges import PAGE

__all__ = [
    "CHECKPOINT_KEY",
    "CRC64_KEY",
    "MODIFIED_KEY",
    "OWNER_KEY",
    "Checkpoint",
    "finished_crc64",
    "finished_metadata",
    "foreign_metadata",
    "recorded_time",
    "unfinished_metadata",
]

CHECKPOINT_KEY = "vhdtools_checkpoint"
"""Of an unfinished upload: "OFFSET,CRC64", decimal and 16 hexadecimal digits."""
OWNER_KEY = "vhdtools_owner"
"""Of an unfinished upload: who writes, see `vhdtools.transfer.owner`."""
CRC64_KEY = "vhdtools_crc64"
"""Of a finished upload: the CRC-64 of the whole blob, 16 hexadecimal digits."""

MODIFIED_KEY = "vhdtools_modified"
"""Of a finished upload: the blob's Last-Modified, in seconds since 1970, decimal."""

_OURS = frozenset({CHECKPOINT_KEY, OWNER_KEY, CRC64_KEY, MODIFIED_KEY})
_SECONDS = re.compile(r"[0-9]{1,11}")
_CHECKPOINT = re.compile(r"([0-9]{1,19}),([0-9a-f]{16})")
_CRC64 = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Everything below `offset` is durable, and `crc64` is the CRC-64 of those bytes."""

    offset: int
    crc64: int

    @classmethod
    def read(cls, metadata: Mapping[str, str]) -> Checkpoint | None:
        """The checkpoint in a blob's metadata; None where there is none that makes sense."""
        match = _CHECKPOINT.fullmatch(metadata.get(CHECKPOINT_KEY, ""))
        if match is None or int(match[1]) % PAGE:
            return None
        return cls(int(match[1]), int(match[2], 16))


def unfinished_metadata(
    others: Mapping[str, str], checkpoint: Checkpoint, owner: str
) -> dict[str, str]:
    """The metadata of a blob while it is being uploaded, keeping what is not ours of `others`."""
    return {
        **foreign_metadata(others),
        CHECKPOINT_KEY: f"{checkpoint.offset},{checkpoint.crc64:016x}",
        OWNER_KEY: owner,
    }


def finished_metadata(
    others: Mapping[str, str], crc64: int, modified: datetime | None = None
) -> dict[str, str]:
    """The metadata of a blob that is complete, and was last `modified` then, where that is kept."""
    kept = {} if modified is None else {MODIFIED_KEY: str(int(modified.timestamp()))}
    return {**foreign_metadata(others), CRC64_KEY: f"{crc64:016x}", **kept}


def recorded_time(metadata: Mapping[str, str]) -> datetime | None:
    """When a finished upload last modified the blob, if that was recorded."""
    text = metadata.get(MODIFIED_KEY, "")
    if finished_crc64(metadata) is None or not _SECONDS.fullmatch(text):
        return None
    return datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=int(text))


def finished_crc64(metadata: Mapping[str, str]) -> int | None:
    """The CRC-64 of the whole blob, if an upload says to have finished it."""
    text = metadata.get(CRC64_KEY, "")
    if CHECKPOINT_KEY in metadata or not _CRC64.fullmatch(text):
        return None
    return int(text, 16)


def foreign_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """What others keep there, without our word about the blob."""
    return {key: value for key, value in metadata.items() if key not in _OURS}
