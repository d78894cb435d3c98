"""Repairs that are offered: only those that would work, which is tried on the bytes in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from vhdtools.errors import VhdToolsError
from vhdtools.image.soundness import examine
from vhdtools.image.source import Readable
from vhdtools.image.structure import Structure, read_structure
from vhdtools.inspection.checks.structure import check_structure
from vhdtools.inspection.finding import Finding, Level
from vhdtools.inspection.repair import (
    ChecksumPart,
    Patch,
    Which,
    plan_checksums,
    plan_footers,
)

__all__ = ["advised"]

_ANOTHER_COPY = (
    "A repair of this alone would not help, because of the errors: copy or export the disk again "
    "from where it came from."
)
_ERRORS_FIRST = "See to the errors first: no program reads the disk as it is."


@dataclass(frozen=True, slots=True)
class _Repair:
    """A call of `vhdtool repair`: with `--use`, with `--fix-checksum`, or with neither."""

    use: Which | None = None
    checksum: ChecksumPart | None = None

    def plan(self, structure: Structure, source: Readable) -> tuple[Patch, ...]:
        if self.checksum is not None:
            return plan_checksums(structure, source, (self.checksum,))
        return plan_footers(structure, source, self.use)

    @property
    def command(self) -> str:
        option = ""
        if self.use is not None:
            option = f" --use {self.use}"
        elif self.checksum is not None:
            option = f" --fix-checksum {self.checksum}"
        return f"`vhdtool repair {{disk}}{option} --write`"


_KNOWN_FIELDS = "Compare the fields with what you know of the disk; if they are right: "
_REPAIRS: dict[str, tuple[str, tuple[_Repair, ...]]] = {
    "end-footer-missing": ("", (_Repair(),)),
    "end-footer-damaged": ("", (_Repair(),)),
    "footer-copy-missing": ("", (_Repair(),)),
    "footer-copy-damaged": ("", (_Repair(),)),
    "footer-511-bytes": ("", (_Repair(),)),
    "footers-differ": (
        "Find out which of them is right, and make the other one equal: ",
        (_Repair(use="end"), _Repair(use="copy")),
    ),
    "footer-checksum": (_KNOWN_FIELDS, (_Repair(checksum="footer"), _Repair(checksum="copy"))),
    "header-checksum": (_KNOWN_FIELDS, (_Repair(checksum="header"),)),
}


def advised(
    findings: Iterable[Finding], structure: Structure, source: Readable, now: datetime
) -> Iterator[Finding]:
    """`findings` about one file; what they offer to run is only what would work."""
    every = list(findings)
    readable = all(finding.level is not Level.ERROR for finding in every)
    for finding in every:
        if finding.code not in _REPAIRS:
            copies = any(program in finding.remedy for program in ("`qemu-img ", "`head "))
            useless = copies and not readable and finding.level is not Level.ERROR
            yield replace(finding, remedy=_ERRORS_FIRST) if useless else finding
            continue
        about, repairs = _REPAIRS[finding.code]
        working = [
            repair.command
            for repair in repairs
            if _works(repair, finding.code, structure, source, now)
        ]
        remedy = about + " or ".join(working) if working else _ANOTHER_COPY
        yield replace(finding, remedy=remedy)


def _works(
    repair: _Repair, code: str, structure: Structure, source: Readable, now: datetime
) -> bool:
    """Whether the repair can be carried out, and leaves neither `code` nor any error."""
    try:
        patches = repair.plan(structure, source)
    except VhdToolsError:
        return False
    after = read_structure(_Patched(source, patches))
    found = list(check_structure(after, examine(after), now))
    return not any(one.level is Level.ERROR or one.code == code for one in found)


class _Patched:
    """The bytes as they would be with `patches` written."""

    def __init__(self, source: Readable, patches: tuple[Patch, ...]) -> None:
        self._source = source
        self._patches = patches
        self.path: Path = source.path
        self.size = max([source.size, *(patch.offset + len(patch.new) for patch in patches)])

    def read(self, offset: int, length: int) -> bytes:
        inside = max(0, min(length, self._source.size - offset))
        data = bytearray(self._source.read(offset, inside) if inside else b"").ljust(length, b"\0")
        for patch in self._patches:
            start, end = max(offset, patch.offset), min(offset + length, _end(patch))
            if start < end:
                data[start - offset : end - offset] = patch.new[
                    start - patch.offset : end - patch.offset
                ]
        return bytes(data)


def _end(patch: Patch) -> int:
    return patch.offset + len(patch.new)
