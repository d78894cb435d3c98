"""Inspections that end early: of what cannot be read, and of what is no VHD."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from vhdtools.errors import VhdToolsError
from vhdtools.image.signatures import SIGNATURE_HEAD, recognize
from vhdtools.image.soundness import examine
from vhdtools.image.source import Readable
from vhdtools.image.structure import Structure
from vhdtools.inspection.azure import judge
from vhdtools.inspection.checks.structure import check_flaws
from vhdtools.inspection.finding import Finding, Level
from vhdtools.inspection.kinds import file as kinds
from vhdtools.inspection.report import Inspection, RemoteState
from vhdtools.text import shell_quoted

__all__ = ["finished", "not_a_vhd", "unreadable", "unreadable_finding"]

_TAIL = 512


def finished(findings: Iterable[Finding], name: str) -> tuple[Finding, ...]:
    """The worst first, as they were found among equals; the file's name in the remedies."""
    levels = list(Level)
    quoted = shell_quoted(name)
    return tuple(
        replace(finding, remedy=finding.remedy.replace("{disk}", quoted))
        for finding in sorted(findings, key=lambda finding: levels.index(finding.level))
    )


def unreadable(name: str, error: VhdToolsError) -> Inspection:
    """The inspection of what could not even be opened."""
    findings = finished([unreadable_finding(name, error)], name)
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


def unreadable_finding(name: str, error: VhdToolsError) -> Finding:
    """The finding for an error of reading; `name` is the inspected file."""
    about = "" if error.subject == name else f"{error.subject}: "
    return kinds.FILE_UNREADABLE.found(
        f"{about}{error.problem}", error.offset, remedy=error.remedy or None
    )


def not_a_vhd(
    source: Readable,
    structure: Structure,
    name: str,
    findings: Iterable[Finding] = (),
    remote: RemoteState | None = None,
) -> Inspection:
    """The inspection of a file without a footer, with what else there is to say (`findings`)."""
    head = source.read(0, min(source.size, SIGNATURE_HEAD))
    tail = source.read(max(0, source.size - _TAIL), min(source.size, _TAIL))
    foreign = recognize(head, tail, source.size)
    soundness = examine(structure)
    if foreign is None:
        about_it = list(check_flaws(soundness))
    else:
        remedy = foreign.remedy.replace("{path}", "{disk}")
        about_it = [kinds.NOT_A_VHD.found(f"this is {foreign.name}, not a VHD", 0, remedy=remedy)]
    every = [*findings, *about_it]
    return Inspection(
        path=name,
        format=None if foreign is None else foreign.format,
        structure=structure,
        soundness=soundness,
        allocated_bytes=None if remote is None else remote.range_bytes,
        ancestors=(),
        findings=finished(every, name),
        azure=judge(structure, soundness, every, base_known=False, partitions=None),
        remote=remote,
    )
