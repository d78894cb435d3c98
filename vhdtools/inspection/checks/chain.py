"""What is to be said about the backing chain, once it was followed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from vhdtools.image.chain import MAX_CHAIN_BYTES, MAX_DEPTH, Chain, Link
from vhdtools.image.filling import fill
from vhdtools.image.parents import ParentSearch
from vhdtools.inspection.checks.locators import file_name
from vhdtools.inspection.checks.structure import check_flaws, check_structure
from vhdtools.inspection.describe import printable, quantity, size_text
from vhdtools.inspection.finding import Finding, Kind, Level
from vhdtools.inspection.kinds import footer as footer_kinds
from vhdtools.inspection.kinds import parents as kinds
from vhdtools.layout import DYNAMIC_HEADER_FIELDS, EPOCH, DiskType
from vhdtools.layout.unique_id import guid
from vhdtools.text import shell_quoted

__all__ = ["check_chain", "parent_not_found"]

_PLACES_TOLD = 8
_AT = {place.name: place.offset for place in DYNAMIC_HEADER_FIELDS}
_CLOCKS_DIFFER = timedelta(hours=24)
_SECONDS_DIFFER = 2  # FAT keeps times in steps of two seconds


def check_chain(chain: Chain, now: datetime) -> Iterator[Finding]:
    """The parents of the chain's first disk: found or not, sound or not, the right ones or not."""
    child = chain.links[0]
    yield from _check_ids(child, now)
    for link in chain.links[1:]:
        yield from _check_parent(link, now)
    yield from _warnings_of_parents(chain.links[1:], now)
    if len(chain.links) > 1:
        yield from _compare(child, chain.links[1])
    if chain.raw is not None:
        yield kinds.PARENT_RAW_USED.found(f"the parent is the raw file {_shown(chain.raw.path)}")
    if chain.too_deep:
        yield kinds.PARENT_DEPTH.found(f"the chain of parents has more than {MAX_DEPTH} disks")
    if chain.too_large:
        yield kinds.PARENT_TABLES.found(
            f"the BATs and parent locators of the first {len(chain.links)} disks alone "
            f"take more than {size_text(MAX_CHAIN_BYTES)} of memory"
        )
    if chain.failure is not None:
        yield parent_not_found(chain.links, chain.failure)


def _check_ids(child: Link, now: datetime) -> Iterator[Finding]:
    header, footer, at = (
        child.structure.header,
        child.structure.footer,
        child.structure.header_offset,
    )
    if header is None or footer is None or at is None or footer.disk_type != DiskType.DIFFERENCING:
        return
    if any(footer.unique_id) and footer.unique_id == header.parent_unique_id:
        yield kinds.UNIQUE_ID_PARENTS.found(
            "the disk's unique id is its parent's, too", at + _AT["parent_unique_id"]
        )
    made = EPOCH + timedelta(seconds=header.parent_timestamp)
    if made > now + _CLOCKS_DIFFER:
        yield kinds.PARENT_TIME_STAMP_FUTURE.found(
            f"the parent's time stamp is {made:%Y-%m-%d %H:%M:%S} UTC", at + _AT["parent_timestamp"]
        )


def _advised(findings: Iterable[Finding], link: Link, now: datetime) -> Iterator[Finding]:
    from vhdtools.inspection.advising import advised  # sound parents need no repair

    return advised(findings, link.structure, link.source, now)


def _check_parent(link: Link, now: datetime) -> Iterator[Finding]:
    name, quoted = _shown(link.structure.path), shell_quoted(str(link.structure.path))
    flaws = link.soundness.flaws
    if flaws:
        more = f", and {quantity(len(flaws) - 1, 'error')} more" if len(flaws) > 1 else ""
        own = next(_advised(check_flaws(link.soundness), link, now))
        to_do = fill(own.remedy, link.structure.path)
        damaged = kinds.PARENT_DAMAGED.found(
            f"the parent {name} is damaged: {flaws[0].problem}{more}",
            remedy=f"{to_do} All about it: `vhdtool inspect {quoted}`",
        )
        yield replace(damaged, reruns=own.reruns)
    elif link.soundness.surplus and link.reading.base is None:
        yield footer_kinds.FIXED_TOO_LONG.found(
            f"the file of the parent {name} is {size_text(link.soundness.surplus)} longer than "
            "the disk and its footer"
        )


def _warnings_of_parents(links: Sequence[Link], now: datetime) -> Iterator[Finding]:
    """The warnings that parents have by themselves: each kind once, of the nearest that has it."""
    found: dict[str, list[tuple[Link, Finding]]] = {}
    for link in links:
        every = list(check_structure(link.structure, link.soundness, now))
        if all(finding.level is Level.INFO for finding in every):
            continue
        own = {
            finding.code: finding
            for finding in _advised(every, link, now)
            if finding.level is Level.WARNING and finding.code != footer_kinds.FIXED_TOO_LONG.code
        }
        for code, finding in own.items():
            found.setdefault(code, []).append((link, finding))
    for (link, finding), *others in found.values():
        path = link.structure.path
        more = f" (and so it is with {quantity(len(others), 'more parent')})" if others else ""
        yield replace(
            finding,
            message=f"the parent {_shown(path)}: {finding.message}{more}",
            offset=None,  # offsets are in the inspected file, not in a parent
            remedy=fill(finding.remedy, path),
        )


def _compare(child: Link, parent: Link) -> Iterator[Finding]:
    header, at = child.structure.header, child.structure.header_offset
    footer = parent.structure.footer
    if header is None or at is None or footer is None:
        return
    if child.soundness.guest_size != parent.soundness.guest_size:
        yield kinds.PARENT_SIZE.found(
            f"the parent has {size_text(parent.soundness.guest_size)}, "
            f"the disk has {size_text(child.soundness.guest_size)}"
        )
    since_epoch = parent.source.fingerprint.mtime_ns // 1_000_000_000 - int(EPOCH.timestamp())
    stamp = header.parent_timestamp
    if stamp and stamp != footer.timestamp and abs(stamp - since_epoch) > _SECONDS_DIFFER:
        then = EPOCH + timedelta(seconds=stamp)
        yield kinds.PARENT_TIME_STAMP.found(
            f"the parent was last written on {_time_text(since_epoch)}, "
            f"the disk remembers {then:%Y-%m-%d %H:%M:%S} UTC",
            at + _AT["parent_timestamp"],
        )


def parent_not_found(links: Sequence[Link], search: ParentSearch) -> Finding:
    """The finding for a search that did not find the parent of the last of `links`."""
    last = links[-1].structure
    header, at = last.header, last.header_offset
    first = links[0].structure.footer
    notation = b"" if first is None else first.creator_application
    wanted = "" if header is None else guid(header.parent_unique_id, notation)
    names = [found.text for found in last.parent_locators if found.text]
    if last.parent_name is not None and last.parent_name.text:
        names.append(last.parent_name.text)
    called = f" '{printable(file_name(names[0]))}'" if names else ""
    whose = "the parent" if len(links) == 1 else f"the parent of {_shown(last.path)},"
    kind, problem = _OUTCOMES[search.outcome]
    told = [f"{_shown(path)} ({printable(reason)})" for path, reason in search.places]
    more = [f"{len(told) - _PLACES_TOLD} more"] if len(told) > _PLACES_TOLD else []
    looked = (
        f"; looked at {', '.join([*told[:_PLACES_TOLD], *more])}"
        if told
        else "; the disk names no place to look at"
    )
    if kind is kinds.PARENT_UNNAMED:
        looked = ""
    unidentified = kind in (kinds.PARENT_RAW, kinds.PARENT_UNNAMED)
    identity = "" if unidentified else f", with the unique id {wanted},"
    # Offsets are in the inspected file, not in a parent.
    place = at + _AT["parent_unique_id"] if at is not None and len(links) == 1 else None
    return kind.found(f"{whose}{called}{identity} {problem}{looked}", place)


_OUTCOMES: dict[str, tuple[Kind, str]] = {
    "missing": (kinds.PARENT_MISSING, "was not found"),
    "wrong-id": (kinds.PARENT_WRONG, "is none of the files that are there"),
    "cycle": (kinds.PARENT_CYCLE, "is a disk of the chain itself"),
    "unnamed": (kinds.PARENT_UNNAMED, "is not named: the disk has no id, name or locator for it"),
    "several": (kinds.PARENT_SEVERAL, "may be either of several files"),
    "raw-not-allowed": (
        kinds.PARENT_RAW,
        "has no unique id, so that nothing but its name vouches for it",
    ),
}


def _shown(path: object) -> str:
    return printable(str(path))


def _time_text(since_epoch: int) -> str:
    try:
        return f"{EPOCH + timedelta(seconds=since_epoch):%Y-%m-%d %H:%M:%S} UTC"
    except OverflowError:  # a file system may hold any time
        return f"{since_epoch:,} s from 2000-01-01 UTC"
