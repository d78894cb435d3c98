"""The lease of a blob: its states, its five operations, and what it asks of other operations.

After "Lease Blob" of the service's REST documentation, with its two tables of outcomes by state.
Time comes in as seconds of the service's clock, so that tests can let a lease expire.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace

from . import errors
from .errors import RefusedError

INFINITE = -1


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease that was acquired. A blob that is `available` has none.

    `expires_at` is None for an infinite lease; `broken_at` is the time from which a lease that is
    being broken is broken; `stale` marks an expired lease under whose blob something was written.
    """

    lease_id: str
    duration: int
    expires_at: float | None
    broken_at: float | None = None
    stale: bool = False

    def state(self, now: float) -> str:
        """`leased`, `expired`, `breaking` or `broken`."""
        if self.broken_at is not None:
            return "breaking" if now < self.broken_at else "broken"
        if self.expires_at is not None and now >= self.expires_at:
            return "expired"
        return "leased"

    def locks(self, now: float) -> bool:
        """Whether writers need the lease's id now."""
        return self.state(now) in ("leased", "breaking")


def state_of(lease: Lease | None, now: float) -> str:
    """The value of `x-ms-lease-state`."""
    return "available" if lease is None else lease.state(now)


def headers(lease: Lease | None, now: float) -> dict[str, str]:
    """The headers with which Get Blob and Get Blob Properties describe the lease."""
    state = state_of(lease, now)
    locked = lease is not None and lease.locks(now)
    described = {
        "x-ms-lease-state": state,
        "x-ms-lease-status": "locked" if locked else "unlocked",
    }
    if lease is not None and state == "leased":
        described["x-ms-lease-duration"] = "infinite" if lease.duration == INFINITE else "fixed"
    return described


def acquire(lease: Lease | None, duration: str | None, proposed: str | None, now: float) -> Lease:
    """The lease after Acquire."""
    if duration is None:
        raise RefusedError(errors.missing_header("x-ms-lease-duration"))
    try:
        seconds = int(duration)
    except ValueError:
        seconds = 0
    if seconds != INFINITE and not 15 <= seconds <= 60:
        raise RefusedError(errors.invalid_header("x-ms-lease-duration", duration))
    wanted = _valid_id("x-ms-proposed-lease-id", proposed) if proposed else str(uuid.uuid4())
    if lease is not None and lease.locks(now):
        if lease.lease_id != wanted:
            raise RefusedError(errors.LEASE_ALREADY_PRESENT)
        if lease.state(now) == "breaking":
            raise RefusedError(errors.LEASE_BREAKING_NOT_ACQUIRED)
    return _fresh(wanted, seconds, now)


def renew(lease: Lease | None, lease_id: str | None, now: float) -> Lease:
    """The lease after Renew; an expired one too, unless the blob was written to meanwhile."""
    held = _matching(lease, lease_id)
    if held.state(now) in ("breaking", "broken"):
        raise RefusedError(errors.LEASE_BROKEN_NOT_RENEWED)
    if held.stale:
        raise RefusedError(errors.LEASE_MISMATCH)
    return _fresh(held.lease_id, held.duration, now)


def change(lease: Lease | None, lease_id: str | None, proposed: str | None, now: float) -> Lease:
    """The lease after Change."""
    if proposed is None:
        raise RefusedError(errors.missing_header("x-ms-proposed-lease-id"))
    wanted = _valid_id("x-ms-proposed-lease-id", proposed)
    if lease is None or not lease.locks(now):
        raise RefusedError(errors.LEASE_NOT_PRESENT)
    given = _given(lease_id)
    if given != lease.lease_id and wanted != lease.lease_id:
        raise RefusedError(errors.LEASE_MISMATCH)
    if lease.state(now) == "breaking":
        raise RefusedError(errors.LEASE_BREAKING_NOT_CHANGED)
    return replace(lease, lease_id=wanted)


def release(lease: Lease | None, lease_id: str | None) -> None:
    """Release: the blob is available afterwards; refused when the id is not the lease's."""
    _matching(lease, lease_id)


def break_(lease: Lease | None, period: str | None, now: float) -> Lease:
    """The lease after Break, with `period` seconds (0 to 60) left at most."""
    if lease is None:
        raise RefusedError(errors.LEASE_NOT_PRESENT)
    asked: int | None = None
    if period is not None:
        if not period.isdecimal() or int(period) > 60:
            raise RefusedError(errors.invalid_header("x-ms-lease-break-period", period))
        asked = int(period)
    state = lease.state(now)
    if state in ("broken", "expired"):
        return replace(lease, broken_at=now if lease.broken_at is None else lease.broken_at)
    if state == "breaking":
        remaining = lease.broken_at
    else:
        remaining = lease.expires_at
    if remaining is None:
        broken_at = now + (asked or 0)
    elif asked is None:
        broken_at = remaining
    else:
        broken_at = min(remaining, now + asked)
    return replace(lease, expires_at=None, broken_at=broken_at)


def remaining_seconds(lease: Lease, now: float) -> int:
    """The value of `x-ms-lease-time` in the answer to Break."""
    return max(0, round((lease.broken_at or now) - now))


def check_read(lease: Lease | None, lease_id: str | None, now: float) -> None:
    """Refuse a read that names a lease which does not hold; without an id every read is fine."""
    if lease_id is not None:
        _check_id(lease, lease_id, now)


def check_write(lease: Lease | None, lease_id: str | None, now: float) -> Lease | None:
    """Refuse a write that the lease forbids; otherwise what is left of the lease after it.

    A write without an id ends a broken lease, and keeps an expired one from being renewed.
    """
    if lease_id is not None:
        _check_id(lease, lease_id, now)
        return lease
    if lease is None:
        return None
    if lease.locks(now):
        raise RefusedError(errors.LEASE_MISSING_ON_BLOB)
    return replace(lease, stale=True) if lease.state(now) == "expired" else None


def _check_id(lease: Lease | None, lease_id: str, now: float) -> None:
    if lease is None:
        raise RefusedError(errors.LEASE_NOT_PRESENT_ON_BLOB)
    if lease.lease_id != _valid_id("x-ms-lease-id", lease_id):
        raise RefusedError(errors.LEASE_MISMATCH_ON_BLOB)
    if not lease.locks(now):
        raise RefusedError(errors.LEASE_LOST)


def _fresh(lease_id: str, duration: int, now: float) -> Lease:
    return Lease(lease_id, duration, None if duration == INFINITE else now + duration)


def _given(lease_id: str | None) -> str:
    if lease_id is None:
        raise RefusedError(errors.missing_header("x-ms-lease-id"))
    return _valid_id("x-ms-lease-id", lease_id)


def _matching(lease: Lease | None, lease_id: str | None) -> Lease:
    given = _given(lease_id)
    if lease is None or lease.lease_id != given:
        raise RefusedError(errors.LEASE_MISMATCH)
    return lease


def _valid_id(header: str, value: str) -> str:
    try:
        return str(uuid.UUID(value))
    except ValueError:
        raise RefusedError(errors.invalid_header(header, value)) from None
