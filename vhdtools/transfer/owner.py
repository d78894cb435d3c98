"""Who writes a blob: enough to tell, on the same machine, that a writer is dead.

An upload that was killed leaves its lease behind for up to a minute. Its lease id stands in the
blob's metadata with the process that held it. If that process ran on this machine and runs no
more, the lease may be taken over at once; any other lease belongs to somebody else.
"""

from __future__ import annotations

import hashlib
import os
import re
import socket
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Owner", "decode_owners", "encode_owners"]

_OWNER = re.compile(
    r"(?P<lease>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}),(?P<host>[0-9a-f]{16}),"
    r"(?P<pid>[0-9]{1,10}),(?P<started>[0-9]{1,20})"
)

_MOST_OWNERS = 2


@dataclass(frozen=True, slots=True)
class Owner:
    """A writer: its lease id (a UUID), a digest of its machine, its process and when that began.

    `started` is in clock ticks since the machine booted; 0 where the platform does not tell.
    """

    lease_id: str
    host: str
    pid: int
    started: int

    @classmethod
    def current(cls) -> Owner:
        """This process, with a new lease id."""
        return cls(str(uuid.uuid4()), _host(), os.getpid(), _started(os.getpid()) or 0)

    @classmethod
    def decode(cls, text: str) -> Owner | None:
        """The inverse of `encode`; None for anything else."""
        match = _OWNER.fullmatch(text)
        if not match:
            return None
        return cls(match["lease"], match["host"], int(match["pid"]), int(match["started"]))

    def encode(self) -> str:
        """One line of text, fit for blob metadata."""
        return f"{self.lease_id},{self.host},{self.pid},{self.started}"

    @property
    def is_here(self) -> bool:
        """Whether this writer ran on this machine (since it booted, in this process namespace)."""
        return self.host == _host()

    @property
    def is_dead(self) -> bool:
        """Whether this writer ran here, and surely does not any more."""
        if not self.is_here or not sys.platform.startswith("linux"):
            return False
        return _started(self.pid) != self.started


def encode_owners(*owners: Owner) -> str:
    """Several owners as one line of text."""
    return ";".join(owner.encode() for owner in owners)


def decode_owners(text: str) -> tuple[Owner, ...]:
    """The inverse of `encode_owners`; nobody for anything else."""
    owners = [owner for part in text.split(";") if (owner := Owner.decode(part))]
    return tuple(owners) if encode_owners(*owners) == text and len(owners) <= _MOST_OWNERS else ()


def _host() -> str:
    # The boot id and the process namespace make a process number mean one process.
    parts = [socket.gethostname()]
    for path in ("/etc/machine-id", "/proc/sys/kernel/random/boot_id"):
        try:
            parts.append(Path(path).read_text(encoding="ascii").strip())
        except (OSError, UnicodeDecodeError):
            parts.append("")
    try:
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    except OSError:
        parts.append("")
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _started(pid: int) -> int | None:
    """When a process began; None if it does not run, 0 where that cannot be told."""
    if not sys.platform.startswith("linux"):
        return 0
    try:
        # proc(5): the name in parentheses may hold anything; field 3 is the state, 22 the start.
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])
