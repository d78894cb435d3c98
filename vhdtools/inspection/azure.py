"""Whether Azure would accept a disk: as `vhdtool upload` uploads it, and as it is.

The rules are those for VHDs that become managed disks (Azure documentation: "Prepare a Windows VHD
or VHDX to upload to Azure", "Upload a VHD to a managed disk", "Azure managed disks": disk sizes of
operating system disks).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vhdtools.image.soundness import Soundness
from vhdtools.image.structure import Structure
from vhdtools.inspection.describe import disk_type_name, quantity, short_size, size_text
from vhdtools.inspection.finding import Finding, Level
from vhdtools.inspection.partitions import PartitionScheme, PartitionTables
from vhdtools.inspection.readiness import (
    MAX_GENERATION_1,
    MAX_OS_DISK,
    MAX_PAGE_BLOB,
    MAX_UPLOAD,
    MIB,
    MIN_UPLOAD,
    PURPOSES,
    Readiness,
    Shortfall,
    judge_bytes,
    too_small,
)
from vhdtools.layout import FOOTER_SIZE, DiskType
from vhdtools.ranges import align_up

__all__ = ["AzureCheck", "AzureVerdict", "judge"]


@dataclass(frozen=True, slots=True)
class AzureCheck:
    """One thing that Azure asks of a disk.

    `uploaded`: whether what `vhdtool upload` makes of the disk meets it. `as_is`: whether the
    file's bytes meet it. `remedy` says what to do, or what is done, where one of them does not;
    a check that is met twice and has a remedy is a warning.
    """

    code: str
    requirement: str
    found: str
    uploaded: bool
    as_is: bool
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class AzureVerdict:
    """Whether a disk is `ready` for `vhdtool upload`, and `ready_as_is` for any plain upload.

    `upload_size` is what `vhdtool upload` would send, in bytes with the footer (None where the
    disk's size is unknown). `readiness` judges purpose by purpose. `partitions` are the disk's
    partition tables, where they were read.
    """

    upload_size: int | None
    checks: tuple[AzureCheck, ...]
    readiness: tuple[Readiness, ...]
    partitions: PartitionTables | None = None

    @property
    def partition_table(self) -> PartitionScheme | None:
        """What kind of partition table the disk has; None for none, or where it was not read."""
        return None if self.partitions is None else self.partitions.scheme

    @property
    def ready(self) -> bool:
        """Whether Azure would accept what `vhdtool upload` makes of the disk."""
        return all(check.uploaded for check in self.checks)

    @property
    def ready_as_is(self) -> bool:
        """Whether Azure would accept the file's bytes."""
        return all(check.as_is for check in self.checks)

    @property
    def reasons(self) -> tuple[str, ...]:
        """What stands against the disk, or deserves a thought, and what to do; in words."""
        return tuple(
            f"{check.requirement}: {check.found}. {check.remedy}".rstrip()
            for check in self.checks
            if check.remedy or not check.uploaded or not check.as_is
        )


def judge(
    structure: Structure | None,
    soundness: Soundness | None,
    findings: Sequence[Finding],
    *,
    base_known: bool,
    partitions: PartitionTables | None,
) -> AzureVerdict:
    """The verdict on a disk by all that was found.

    `base_known`: whether it was said where a fixed disk begins whose file is too long.
    """
    footer = None if structure is None else structure.footer
    errors = sum(finding.level is Level.ERROR for finding in findings)
    readable = AzureCheck(
        "readable",
        "a sound disk",
        quantity(errors, "error") if errors else "no errors",
        not errors,
        not errors,
        "See the findings." if errors else "",
    )
    if structure is None or soundness is None or footer is None:
        lacking = (_shortfall(readable),)
        none_ready = tuple(Readiness(purpose, lacking, lacking) for purpose in PURPOSES)
        return AzureVerdict(None, (readable,), none_ready, partitions)
    size = align_up(soundness.guest_size, FOOTER_SIZE)
    upload_size = align_up(size, MIB) + FOOTER_SIZE
    checks = (
        readable,
        _type_check(footer.disk_type),
        *_base_check(soundness.surplus, base_known),
        _footer_check(structure),
        _file_check(structure, footer.current_size),
        _mib_check(footer.current_size, size),
        *_limit_checks(upload_size, footer.current_size + FOOTER_SIZE),
        *_os_checks(align_up(size, MIB), partitions),
    )
    uploaded = judge_bytes(
        upload_size,
        upload_size - FOOTER_SIZE,
        [_shortfall(check) for check in checks if check.code in _SOUND and not check.uploaded],
        (),
        partitions,
    )
    as_is = judge_bytes(
        structure.file_size,
        footer.current_size,
        [] if readable.as_is else [_shortfall(readable)],
        [_shortfall(check) for check in checks if check.code in _AS_IS and not check.as_is],
        partitions,
    )
    readiness = tuple(Readiness(purpose, uploaded[purpose], as_is[purpose]) for purpose in PURPOSES)
    return AzureVerdict(upload_size, checks, readiness, partitions)


# The limits are judged for each purpose by themselves.
_SOUND = ("readable", "disk-type", "fixed-base")
_AS_IS = ("disk-type", "fixed-base", "footer", "file-size", "whole-mib")


def _shortfall(check: AzureCheck) -> Shortfall:
    return Shortfall(check.code, check.requirement, check.found, check.remedy)


def _type_check(disk_type: int) -> AzureCheck:
    fixed = disk_type == DiskType.FIXED
    known = disk_type in tuple(DiskType)
    return AzureCheck(
        "disk-type",
        "a fixed disk",
        disk_type_name(disk_type),
        known,
        fixed,
        "" if fixed else "vhdtool upload makes it fixed." if known else "The type is unknown.",
    )


def _base_check(surplus: int, base_known: bool) -> Iterator[AzureCheck]:
    if surplus:
        yield AzureCheck(
            "fixed-base",
            "a known first byte",
            f"the file is {size_text(surplus)} too long",
            base_known,
            False,
            "" if base_known else "Say --fixed-base start or --fixed-base end.",
        )


def _footer_check(structure: Structure) -> AzureCheck:
    end = structure.end_footer
    good = end is not None and end.valid and end.end == structure.file_size
    if end is None:
        found = "none at the end"
    elif not end.valid:
        found = "damaged"
    elif end.end != structure.file_size:
        found = f"{quantity(structure.trailing_bytes, 'byte')} follow it"
    else:
        found = quantity(end.size, "byte")
    whole = good and end is not None and end.size == FOOTER_SIZE
    return AzureCheck(
        "footer",
        "a valid footer at the end",
        found,
        True,
        whole,
        "" if whole else "vhdtool upload writes a new one.",
    )


def _file_check(structure: Structure, current_size: int) -> AzureCheck:
    wanted = current_size + FOOTER_SIZE
    fits = structure.file_size == wanted
    return AzureCheck(
        "file-size",
        "exactly disk and footer",
        f"{structure.file_size:,} bytes"
        if fits
        else f"{structure.file_size:,} bytes, not {wanted:,}",
        True,
        fits,
        "" if fits else "vhdtool upload sends exactly the disk and a footer.",
    )


def _mib_check(current_size: int, size: int) -> AzureCheck:
    """Of the disk as it is read, and of the file, which the service judges by the current size."""
    missing = -size % MIB
    found = f"{size:,} bytes"
    if align_up(current_size, FOOTER_SIZE) != size:
        found += f"; {current_size:,} by the footer"
    remedy = f"vhdtool upload pads it by {quantity(missing, 'byte')} of zeros." if missing else ""
    if current_size % MIB and not missing:
        remedy = "vhdtool upload sends the disk as it is read, which is whole MiB."
    return AzureCheck("whole-mib", "whole MiB", found, True, not current_size % MIB, remedy)


def _limit_checks(upload_size: int, size_as_is: int) -> Iterator[AzureCheck]:
    remedy = too_small(upload_size)
    if not remedy and size_as_is < MIN_UPLOAD:
        remedy = "vhdtool upload makes it large enough."
    yield AzureCheck(
        "minimum-size",
        "at least 20 MiB",
        short_size(upload_size - FOOTER_SIZE),
        upload_size >= MIN_UPLOAD,
        size_as_is >= MIN_UPLOAD,
        remedy,
    )
    fits = upload_size <= MAX_UPLOAD
    remedy = ""
    if not fits:
        remedy = "No Azure disk is that large: shrink it, or split it."
    elif upload_size > MAX_PAGE_BLOB:
        remedy = "Too large for a page blob (8 TiB): upload it straight to a managed disk."
    yield AzureCheck(
        "maximum-size",
        "at most 32,767 GiB",
        short_size(upload_size - FOOTER_SIZE),
        fits,
        fits,
        remedy,
    )


def _os_checks(size: int, partitions: PartitionTables | None) -> Iterator[AzureCheck]:
    if size > MAX_OS_DISK:
        remedy = "It can be a data disk, but no virtual machine can boot from it."
    elif size > MAX_GENERATION_1:
        remedy = (
            "A generation 1 machine cannot boot from it; a generation 2 machine can, with a GPT."
        )
        if partitions is not None and partitions.scheme == "mbr":
            remedy = (
                "It has an MBR, whose partitions end at 2,048 GiB at the latest. A generation 1 "
                "machine cannot boot from it."
            )
    else:
        remedy = ""
    yield AzureCheck(
        "os-disk",
        "to boot: at most 4,095 GiB",
        short_size(size),
        True,
        True,
        remedy,
    )
