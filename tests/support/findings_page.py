"""The page that explains every finding, made from the catalogue.

``python -m tests.support.findings_page`` writes it anew.
"""

from __future__ import annotations

import re
from pathlib import Path

import vhdtools.inspection
from vhdtools.inspection.finding import Kind, Level
from vhdtools.inspection.kinds import CATALOGUE
from vhdtools.reruns import with_reruns

PAGE = Path(vhdtools.inspection.__file__).parent / "FINDINGS.md"

_HEAD = """\
# Findings

What `vhdtool inspect` may have to say about a disk. Each finding has a code, which never changes
its meaning, so that scripts can go by it; `--json` gives it as `code`.

- An **error** means that the disk must not be uploaded: data would be lost or distorted.
  `vhdtool inspect` then exits with 1.
- A **warning** is worth a decision.
- An **info** is worth knowing, and no more. The text output calls them notes.

`DISK` stands for the file. The circumstances can make a finding less than is said here: a
511-byte footer is an info where the copy at the start is whole, and data under clear bits is one
in a differencing disk, which reads such sectors from its parent. The warnings of a differencing
disk's parents are among its own; each names the nearest parent that has it, and has no offset.
"""
_LEVELS = {
    Level.ERROR: "Errors",
    Level.WARNING: "Warnings",
    Level.INFO: "Infos",
}


def render() -> str:
    """The whole page."""
    parts = [_HEAD]
    for level, title in _LEVELS.items():
        parts.append(f"## {title}\n")
        parts += [_entry(kind) for kind in CATALOGUE.values() if kind.level is level]
    return "\n".join(parts)


def _entry(kind: Kind) -> str:
    lines = [f"### {kind.code}", "", f"{kind.title}.", ""]
    lines += [f"- Reading: {kind.reading}", f"- Azure: {kind.azure}"]
    to_do = with_reruns(kind.remedy, kind.reruns)
    if to_do:
        lines.append(f"- To do: {_PLACEHOLDER.sub(_placeholder, to_do)}")
    return "\n".join(lines) + "\n"


_PLACEHOLDER = re.compile(r"\{(disk|vpc|new)(?::[^}]*)?\}")
_SHOWN = {
    "disk": "DISK",
    "new": "NEW.vhd",
    "vpc": "driver=vpc,force_size_calc=current_size,file.filename=DISK",
}


def _placeholder(match: re.Match[str]) -> str:
    return _SHOWN[match[1]]


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
