"""Inspections that end early: of what cannot be read, and of what is no VHD."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from vhdtools.errors import VhdToolsError
from vhdtools.image.filling import fill
from vhdtools.image.soundness import examine
from vhdtools.image.source import Readable
from vhdtools.image.structure import Structure
from vhdtools.inspection.azure import judge
from vhdtools.inspection.finding import Finding, Kind, Level
from vhdtools.inspection.kinds import CATALOGUE
from vhdtools.inspection.kinds import file as kinds
from vhdtools.inspection.report import Inspection, RemoteState

__all__ = ["finished", "not_a_vhd", "unreadable", "unreadable_finding"]

_OF_A_BLOB = "Inspect the file that was uploaded, do what is said there, and upload it again."


def finished(
    findings: Iterable[Finding], name: str, *, remote: bool = False
) -> tuple[Finding, ...]:
    """The worst first, as they were found among equals; the file's name in the remedies.

    `remote`: `name` is a URL, for which no command is given: they are for files.
    """
    levels = list(Level)
    return tuple(
        replace(finding, remedy=_remedy(finding.remedy, name, remote=remote))
        for finding in sorted(findings, key=lambda finding: levels.index(finding.level))
    )


def _remedy(to_do: str, name: str, *, remote: bool) -> str:
    if remote and "{disk}" in to_do:
        return _OF_A_BLOB
    return fill(to_do, Path(name))


def unreadable(name: str, error: VhdToolsError, kind: Kind = kinds.FILE_UNREADABLE) -> Inspection:
    """The inspection of what could not even be opened."""
    findings = finished([unreadable_finding(name, error, kind)], name)
    return Inspection(
        path=name,
        format=None,
        structure=None,
        soundness=None,
        allocated_bytes=None,
        ancestors=(),
        findings=findings,
        azure=judge(None, None, findings, base_known=False, partitions=None),
    )


def unreadable_finding(
    name: str, error: VhdToolsError, kind: Kind = kinds.FILE_UNREADABLE
) -> Finding:
    """The finding for an error of reading; `name` is the inspected file."""
    about = "" if error.subject == name else f"'{error.subject}': "
    found = kind.found(f"{about}{error.problem}", error.offset, remedy=error.remedy or None)
    return replace(found, reruns=error.reruns)


def not_a_vhd(
    source: Readable,
    structure: Structure,
    name: str,
    findings: Iterable[Finding] = (),
    remote: RemoteState | None = None,
) -> Inspection:
    """The inspection of a file without a footer, with what else there is to say (`findings`)."""
    from vhdtools.image.identify import identify  # of no use for a VHD

    found = identify(source, source.path if remote is None else None)
    soundness = examine(structure)
    about_it = CATALOGUE[found.code].found(found.problem, found.offset, remedy=found.remedy)
    every = [*findings, about_it]
    return Inspection(
        path=name,
        format=found.format,
        structure=structure,
        soundness=soundness,
        allocated_bytes=None if remote is None else remote.range_bytes,
        ancestors=(),
        findings=finished(every, name, remote=remote is not None),
        azure=judge(structure, soundness, every, base_known=False, partitions=None),
        remote=remote,
    )
