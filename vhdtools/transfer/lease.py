"""Taking hold of a blob, alone, wherever an earlier run of ours was killed.

A run that was killed leaves its lease behind for up to a minute. The next one on this machine need
not wait, as the lease's id stands in the metadata with the process that held it. That must be so
at every moment; so a lease changes hands in this order:

1. Acquire the lease under the dead run's id, which works whether it is still in force or not.
2. Write both owners into the metadata, the new one first.
3. Change the lease to the new owner's id. From here on nothing that the dead run sent can arrive.

A run killed after 2 leaves two owners, and the lease is in force under either's id.
"""

from __future__ import annotations

from dataclasses import dataclass

from vhdtools.errors import TargetBusyError, TargetMissingError
from vhdtools.target.page_target import TargetState
from vhdtools.transfer.checkpoint import OWNER_KEY
from vhdtools.transfer.job import Job
from vhdtools.transfer.owner import Owner, decode_owners, encode_owners

__all__ = ["Claim", "claim_lease", "settle_lease"]


@dataclass(frozen=True, slots=True)
class Claim:
    """A blob that is leased: for `owner`, or as yet under the id of `holder`, who is dead.

    `state` is what is there, read under the lease.
    """

    owner: Owner
    holder: Owner | None
    state: TargetState

    @property
    def owners(self) -> str:
        """What has to stand in the metadata before the claim is settled."""
        return encode_owners(self.owner, *([self.holder] if self.holder else []))


def claim_lease(job: Job, state: TargetState) -> Claim:
    """Lease the blob whose last known state is `state`. Raises TargetBusyError, TargetMissingError.

    To be settled when the claim's `owners` are in the metadata.
    """
    owner = Owner.current()
    holder = _take_over(job, _dead_owners(state))
    if holder is None:
        _acquire(job, owner, state)
    now = job.connection.state()
    if now is None:
        raise TargetMissingError(job.target.name, "it was deleted a moment ago", "Start again.")
    if holder is not None and not _dead_owners(now):
        # Another run took over from the same dead one at the same time, and was first.
        raise _busy(job, now)
    job.connection.holds_lease = True
    return Claim(owner, holder, now)


def settle_lease(job: Job, claim: Claim) -> None:
    """Hold the lease under the owner's own id from here on. Raises TargetBusyError."""
    if claim.holder is None:
        return
    ours, theirs = claim.owner.lease_id, claim.holder.lease_id
    with job.connection.lease_lock:
        job.connection.call(lambda: job.target.acquire_lease(ours, theirs), "acquiring the lease")


def _take_over(job: Job, owners: tuple[Owner, ...]) -> Owner | None:
    """The one of `owners`, who are dead, whose lease is in force, or may be taken again."""
    for owner in owners:
        try:
            _lease(job, owner)
        except TargetBusyError:
            continue
        return owner
    return None


def _acquire(job: Job, owner: Owner, state: TargetState) -> None:
    try:
        _lease(job, owner)
    except TargetBusyError as error:
        if not decode_owners(state.metadata.get(OWNER_KEY, "")):
            raise
        raise _busy(job, state) from error


def _lease(job: Job, owner: Owner) -> None:
    job.connection.call(lambda: job.target.acquire_lease(owner.lease_id), "acquiring the lease")


def _dead_owners(state: TargetState) -> tuple[Owner, ...]:
    """Who held the lease last, if all of them are surely dead."""
    owners = decode_owners(state.metadata.get(OWNER_KEY, ""))
    return owners if all(owner.is_dead for owner in owners) else ()


def _busy(job: Job, state: TargetState) -> TargetBusyError:
    owners = decode_owners(state.metadata.get(OWNER_KEY, ""))
    alive = next((owner for owner in owners if owner.is_here and not owner.is_dead), None)
    where = f"process {alive.pid} on this machine" if alive else "another machine"
    return TargetBusyError(
        job.target.name,
        f"another upload by vhdtools ({where}) holds the lease",
        "Let it finish or stop it. If it is dead, its lease ends within 60 seconds: run the same "
        "command again then.",
    )
