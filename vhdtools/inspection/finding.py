"""One thing that inspection has to say, and the kind of thing it is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from vhdtools.reruns import Rerun, with_reruns
from vhdtools.text import redact

__all__ = ["Finding", "Kind", "Level"]


class Level(str, Enum):
    """How bad a finding is.

    An error means that the disk must not be uploaded: data would be lost or distorted. A warning
    is worth a decision, an info worth knowing.
    """

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about one disk, in the user's words.

    `code` is stable, and never changes its meaning (FINDINGS.md lists every one). `offset` is
    where, in bytes from the start of the file (None where the whole is meant). `reading` says
    what it means for reading the disk, `azure` what it means for a disk in Azure, `remedy` what
    to do: a command where there is one, "" where nothing needs doing. `reruns` are the arguments
    with which the disk would be read otherwise; the remedy names them.
    """

    level: Level
    code: str
    message: str
    offset: int | None
    reading: str
    azure: str
    remedy: str
    reruns: tuple[Rerun, ...] = ()


@dataclass(frozen=True, slots=True)
class Kind:
    """What all findings of one code have in common; `title` is the code in plain words.

    "{disk}" in `remedy` stands for the file's name, quoted for a shell.
    """

    code: str
    level: Level
    title: str
    reading: str
    azure: str
    remedy: str = ""
    reruns: tuple[Rerun, ...] = ()

    def found(
        self,
        message: str,
        offset: int | None = None,
        *,
        remedy: str | None = None,
        level: Level | None = None,
        reruns: tuple[Rerun, ...] | None = None,
    ) -> Finding:
        """A finding of this kind, with what the circumstances call for in the place of its own.

        A `remedy` that is given has no `reruns`, unless they are given, too.
        """
        if reruns is None:
            reruns = self.reruns if remedy is None else ()
        return Finding(
            self.level if level is None else level,
            self.code,
            redact(message),
            offset,
            self.reading,
            self.azure,
            with_reruns(self.remedy if remedy is None else redact(remedy), reruns),
            reruns,
        )
