"""What inspection hands over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vhdtools.image.reading import UNQUESTIONED, Reading
from vhdtools.image.soundness import Soundness
from vhdtools.image.structure import Structure
from vhdtools.inspection.azure import AzureVerdict
from vhdtools.inspection.deep import DeepResult
from vhdtools.inspection.describe import disk_type_name, short_size
from vhdtools.inspection.finding import Finding, Level
from vhdtools.inspection.readiness import Readiness
from vhdtools.layout import DiskType
from vhdtools.ranges import PAGE, align_up

__all__ = ["Ancestor", "Inspection", "RemoteState"]


@dataclass(frozen=True, slots=True)
class Ancestor:
    """A disk of the backing chain: the parent, the parent's parent, and so on.

    `disk_type` is "fixed", "dynamic", "differencing" or "raw"; `unique_id` is raw bytes (empty
    for a raw file), `virtual_size` in bytes. `sound`: whether it has no error of its own.
    """

    path: str
    disk_type: str
    unique_id: bytes
    virtual_size: int
    sound: bool


@dataclass(frozen=True, slots=True)
class RemoteState:
    """What only a disk that already is in a page blob has.

    `leased_forever`: whether the lease has no end, as that of a virtual machine's disk has none.
    `range_count` page ranges hold `range_bytes` bytes. `checkpoint` is how far an unfinished
    upload of vhdtools came, in bytes, `crc64` the CRC-64 that a finished one left (None: none).
    """

    leased: bool
    leased_forever: bool
    range_count: int
    range_bytes: int
    checkpoint: int | None
    crc64: int | None
    content_md5: bytes | None
    metadata: dict[str, str]


@dataclass(frozen=True, slots=True, repr=False)
class Inspection:
    """All that inspection found out about one disk.

    `path` is the file as it was named, or the URL without its query. `format` is "vhd", another
    format's name where the file is one, or None. `structure` is everything that the file says of
    itself, as found, and `soundness` whether that can be read; both are None where there is
    nothing to show. `allocated_bytes` are the bytes of the disk that the file holds: the blocks
    of a dynamic one, what is no hole of a fixed one. `reading` is what was chosen where the file
    could be read in two ways.
    """

    path: str
    format: str | None
    structure: Structure | None
    soundness: Soundness | None
    allocated_bytes: int | None
    ancestors: tuple[Ancestor, ...]
    findings: tuple[Finding, ...]
    azure: AzureVerdict
    deep: DeepResult | None = None
    remote: RemoteState | None = None
    reading: Reading = UNQUESTIONED

    def __repr__(self) -> str:
        """The disk and the verdict in a line; the tables of a disk have millions of entries."""
        size = None if self.virtual_size is None else short_size(self.virtual_size)
        codes = [finding.code for finding in self.findings]
        ready = [each.purpose for each in self.readiness if each.ready]
        return (
            f"<Inspection of {self.path!r}: {self.disk_type or self.format}, {size}, "
            f"ready for {ready}, findings {codes}>"
        )

    @property
    def has_errors(self) -> bool:
        """Whether any finding is an error, so that the disk must not be uploaded."""
        return any(finding.level is Level.ERROR for finding in self.findings)

    @property
    def readiness(self) -> tuple[Readiness, ...]:
        """What the disk is ready for in Azure, and what is lacking, purpose by purpose."""
        return self.azure.readiness

    @property
    def file_size(self) -> int | None:
        """Bytes of the file; None where it could not be opened."""
        return None if self.structure is None else self.structure.file_size

    @property
    def disk_type(self) -> str | None:
        """The type in a word: fixed, dynamic or differencing; None for anything else."""
        footer = None if self.structure is None else self.structure.footer
        if footer is None or footer.disk_type not in tuple(DiskType):
            return None
        return disk_type_name(footer.disk_type)

    @property
    def virtual_size(self) -> int | None:
        """Bytes that the guest sees, in whole sectors; None where there is no footer."""
        if self.soundness is None or self.structure is None or self.structure.footer is None:
            return None
        return align_up(self.soundness.guest_size, PAGE)

    def to_json(self) -> dict[str, Any]:
        """Everything, fit for json.dumps: see inspection.schema.json beside this module."""
        from vhdtools.inspection.as_json import as_json

        return as_json(self)
