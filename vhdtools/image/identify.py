"""What is said of a file without a footer: what it is, whether it was cut, and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from vhdtools.image.cut import find_cut
from vhdtools.image.recognizer import Recognized, recognize
from vhdtools.image.signatures import Family
from vhdtools.image.source import Readable
from vhdtools.layout import FOOTER_SIZE

__all__ = ["NoVhd", "identify"]

_AGAIN = "Copy or export it again from where it came from."
_SPLIT = (
    "If it was a VHD, it was cut: copy it again. If it is a part of a split one (.vhd, .v01, …), "
    "join the parts in their order."
)
_IN_A_BLOB = "A blob can hold it, but no disk can be made of it: upload a VHD."


class NoVhd(NamedTuple):
    """Why a file is no VHD: the finding's `code`, the `problem`, where, and what to do.

    `format` is the name of the format that it is in, None where that is unknown.
    """

    code: str
    problem: str
    offset: int | None
    remedy: str
    format: str | None = None


def identify(source: Readable, path: Path | None) -> NoVhd:
    """What `source` is, which has no footer. `path` is its file, None where it is no local one."""
    if not source.size:
        return NoVhd("empty-file", "the file is empty", None, _here(_AGAIN, path))
    found = recognize(source, None if path is None else path.absolute().parent)
    if found is None or found.family is Family.RAW:
        cut = find_cut(source, source.path)
        if cut is not None:
            return _cut(cut.problem, cut.missing, source.size, found, path)
    if found is None:
        problem = "there is no footer, neither at the end nor at the start"
        place = max(0, source.size - FOOTER_SIZE)
        return NoVhd("footer-missing", f"this is not a VHD: {problem}", place, _here(_SPLIT, path))
    remedy = _IN_A_BLOB if path is None else found.remedy(path)
    more = f"; it {found.about}" if found.about else ""
    return NoVhd("not-a-vhd", f"this is {found.name}, not a VHD{more}", 0, remedy, found.format)


def _cut(
    problem: str, missing: int | None, size: int, found: Recognized | None, path: Path | None
) -> NoVhd:
    lacking = "" if missing is None else f"; {missing:,} bytes are missing"
    return NoVhd(
        "file-cut",
        f"the file was cut: {problem}{lacking}",
        size,
        _here(_AGAIN, path),
        None if found is None else found.format,
    )


def _here(remedy: str, path: Path | None) -> str:
    return remedy if path is not None else "Upload the disk again."
