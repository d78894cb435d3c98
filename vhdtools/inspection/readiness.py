"""What a disk is ready for in Azure, purpose by purpose, and what is lacking.

A disk is judged by its size, its VHD structure and its partition tables; the operating system in
it is not looked at. Where these do not decide, the answer is that it is not known.

Sources of the limits (Azure documentation): "Scalability and performance targets for Blob storage"
(page blobs), "Upload a VHD to a managed disk", "Azure managed disks" (OS disks), "Support for
generation 2 VMs".
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias, get_args

from vhdtools.errors import NotUploadableError, UsageError
from vhdtools.inspection.describe import short_size
from vhdtools.inspection.partitions import BIOS_BOOT, EFI_SYSTEM, PartitionTables
from vhdtools.layout import FOOTER_SIZE
from vhdtools.ranges import PAGE, align_up

__all__ = [
    "MAX_GENERATION_1",
    "MAX_OS_DISK",
    "MAX_PAGE_BLOB",
    "MAX_UPLOAD",
    "MIB",
    "MIN_UPLOAD",
    "PURPOSES",
    "Purpose",
    "Readiness",
    "Shortfall",
    "check_purposes",
    "check_required",
    "judge_bytes",
    "readiness_of_size",
    "readiness_to_json",
    "too_small",
]

Purpose: TypeAlias = Literal["page-blob", "managed-disk", "boot-gen1", "boot-gen2"]
"""A use of a disk in Azure: a page blob, a managed disk, the disk that a virtual machine of
generation 1 or 2 boots from."""
PURPOSES: tuple[Purpose, ...] = get_args(Purpose)

MIN_UPLOAD = 20_972_032
"""The least bytes of a direct upload to a managed disk, the footer included: 20 MiB + 512."""
MAX_UPLOAD = 35_183_298_347_520
"""The most bytes of a direct upload to a managed disk, the footer included."""
MAX_PAGE_BLOB = 8 << 40
MIB = 1 << 20
MAX_OS_DISK = 4095 << 30
MAX_GENERATION_1 = 2048 << 30

_OTHER_SECTORS = "Copy the partitions to a disk with 512-byte sectors."


@dataclass(frozen=True, slots=True)
class Shortfall:
    """One requirement that is not met, or, if not `known`, of which that cannot be determined.

    `code` is stable. `requirement` and `actual` are noun phrases; `remedy` says what to do, or
    what `vhdtool upload` does about it.
    """

    code: str
    requirement: str
    actual: str
    remedy: str = ""
    known: bool = True

    @property
    def text(self) -> str:
        """The requirement and what there is instead, in words."""
        verb = "requires" if self.known else "normally requires"
        return f"{verb} {self.requirement}, found {self.actual}"


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether a disk is ready for one purpose.

    `lacking` is what is lacking in what `vhdtool upload` makes of the disk, `lacking_as_is` in the
    file's own bytes (None where there is no file, or it was not looked at).
    """

    purpose: Purpose
    lacking: tuple[Shortfall, ...]
    lacking_as_is: tuple[Shortfall, ...] | None = None

    @property
    def ready(self) -> bool | None:
        """Whether what `vhdtool upload` makes is ready; None where that cannot be determined."""
        return _answer(self.lacking)

    @property
    def ready_as_is(self) -> bool | None:
        """Whether the file's own bytes are ready; None where that cannot be determined."""
        return None if self.lacking_as_is is None else _answer(self.lacking_as_is)


def check_purposes(subject: str, require: Iterable[str]) -> None:
    """Raise UsageError, naming `subject`, for a purpose that does not exist."""
    for name in [require] if isinstance(require, str) else require:
        if isinstance(require, str) or name not in PURPOSES:
            raise UsageError(
                subject,
                f"require is not a list of purposes: {name!r}",
                f"The purposes are {', '.join(PURPOSES)}.",
            )


def check_required(
    subject: str,
    readiness: Iterable[Readiness],
    require: Container[str],
    *,
    as_is: bool = False,
) -> None:
    """Raise NotUploadableError if the disk `subject` is not ready for a purpose in `require`.

    A purpose for which readiness cannot be determined is not met. `as_is` judges the bytes as they
    are, not what `vhdtool upload` makes of them.
    """
    problems, remedies = [], []
    for each in readiness:
        lacking = (each.lacking_as_is or ()) if as_is else each.lacking
        if each.purpose not in require or not lacking:
            continue
        word = "not ready" if _answer(lacking) is False else "not known to be ready"
        problems.append(f"{word} for {each.purpose}: {'; '.join(item.text for item in lacking)}")
        remedies += [item.remedy for item in lacking if item.remedy]
    if problems:
        raise NotUploadableError(subject, ". ".join(problems), " ".join(dict.fromkeys(remedies)))


def _answer(lacking: Iterable[Shortfall]) -> bool | None:
    known = [lack.known for lack in lacking]
    return not known or (False if any(known) else None)


def readiness_of_size(virtual_size: int, tables: PartitionTables | None) -> tuple[Readiness, ...]:
    """The readiness of what `vhdtool upload` makes of a sound disk of `virtual_size` bytes."""
    size = align_up(virtual_size, MIB)
    lacking = judge_bytes(size + FOOTER_SIZE, size, (), (), tables)
    return tuple(Readiness(purpose, lacking[purpose]) for purpose in PURPOSES)


def readiness_to_json(readiness: Iterable[Readiness]) -> dict[str, Any]:
    """The readiness as JSON, keyed by purpose: page_blob, managed_disk, boot_gen1, boot_gen2."""

    def listed(lacking: Iterable[Shortfall] | None) -> list[dict[str, Any]] | None:
        return None if lacking is None else [asdict(lack) for lack in lacking]

    return {
        each.purpose.replace("-", "_"): {
            "ready": each.ready,
            "lacking": listed(each.lacking),
            "ready_as_is": each.ready_as_is,
            "lacking_as_is": listed(each.lacking_as_is),
        }
        for each in readiness
    }


def judge_bytes(
    blob_size: int,
    disk_size: int,
    unsound: Sequence[Shortfall],
    not_a_fixed_vhd: Sequence[Shortfall],
    tables: PartitionTables | None,
) -> dict[Purpose, tuple[Shortfall, ...]]:
    """What is lacking for each purpose in a blob of `blob_size` bytes.

    `disk_size` is that of the disk in it, by its footer. `unsound` stands against every purpose,
    and nothing else is then judged; `not_a_fixed_vhd` stands against all but a page blob. `tables`
    is None where nothing was read.
    """
    if unsound:
        return dict.fromkeys(PURPOSES, tuple(unsound))
    managed = (*not_a_fixed_vhd, *_managed_disk(disk_size + FOOTER_SIZE))
    return {
        "page-blob": tuple(_page_blob(blob_size)),
        "managed-disk": managed,
        "boot-gen1": (*managed, *_generation_1(disk_size, tables)),
        "boot-gen2": (*managed, *_generation_2(disk_size, tables)),
    }


def too_small(size: int) -> str:
    """What to do about a disk that is too small for a managed disk; "" for one that is not."""
    if size >= MIN_UPLOAD:
        return ""
    return (
        "Enlarge the disk to 20 MiB or more with the program that made it (Hyper-V: Resize-VHD, "
        "VirtualBox: VBoxManage modifymedium)."
    )


def _page_blob(size: int) -> Iterator[Shortfall]:
    if size % PAGE:
        yield Shortfall(
            "whole-pages",
            "whole pages of 512 bytes",
            f"{size:,} bytes",
            "vhdtool upload sends whole pages.",
        )
    if size > MAX_PAGE_BLOB:
        yield Shortfall(
            "page-blob-size",
            "at most 8 TiB",
            short_size(size),
            "Upload it straight to a managed disk.",
        )


def _managed_disk(size: int) -> Iterator[Shortfall]:
    if size < MIN_UPLOAD:
        found = short_size(max(0, size - FOOTER_SIZE))
        yield Shortfall("minimum-size", "at least 20 MiB", found, too_small(size))
    if size > MAX_UPLOAD:
        yield Shortfall(
            "maximum-size",
            "at most 32,767 GiB",
            short_size(size - FOOTER_SIZE),
            "No Azure disk is that large: shrink it, or split it.",
        )


def _common(size: int, limit: int, tables: PartitionTables | None) -> Iterator[Shortfall]:
    if size > limit:
        yield Shortfall(
            "boot-size",
            f"at most {limit >> 30:,} GiB",
            short_size(size),
            "It can be a data disk. Shrink it to boot from it.",
        )
    if tables is None:
        yield Shortfall("partition-table", "a partition table", "none that was read", known=False)
    elif tables.sector_size != PAGE:
        yield Shortfall(
            "sector-size",
            "a partition table for 512-byte sectors",
            f"one for {tables.sector_size}-byte sectors",
            _OTHER_SECTORS,
        )


def _generation_1(size: int, tables: PartitionTables | None) -> Iterator[Shortfall]:
    """What a BIOS needs: code in the first sector, and a partition that it goes on to.

    A GPT with a BIOS boot partition (GRUB), a legacy BIOS bootable one (Syslinux) or a hybrid MBR
    boots; what the code does without one is not known.
    """
    yield from _common(size, MAX_GENERATION_1, tables)
    if tables is None or tables.sector_size != PAGE:
        return
    if not tables.boot_signature:
        yield Shortfall("boot-sector", "a boot sector that ends with 55 AA", "none")
        return
    if not tables.boot_code:
        remedy = "Install a boot loader for BIOS, or use generation 2."
        yield Shortfall("boot-code", "boot code in the first sector", "none", remedy)
        return
    bootable = any(part.bootable for part in tables.partitions)
    if tables.scheme is None:
        yield Shortfall(
            "partition-table", "a partition table", "a boot sector without one", known=False
        )
    elif tables.scheme == "mbr" and not bootable:
        yield Shortfall("active-partition", "an active partition", "none", known=False)
    elif tables.scheme == "gpt" and not (
        bootable or tables.hybrid or any(part.type == BIOS_BOOT for part in tables.partitions)
    ):
        yield Shortfall(
            "bios-boot-partition", "a BIOS boot partition", "a GPT without one", known=False
        )


def _generation_2(size: int, tables: PartitionTables | None) -> Iterator[Shortfall]:
    """What UEFI needs: a valid partition table, and an EFI system partition with a FAT.

    Firmware may boot from another FAT file system, too; without any, it cannot.
    """
    yield from _common(size, MAX_OS_DISK, tables)
    if tables is None or tables.sector_size != PAGE:
        return
    if tables.scheme == "gpt" and "valid" not in (tables.primary, tables.backup):
        remedy = "Restore the partition table with gdisk."
        yield Shortfall("gpt", "a valid GPT", "damaged or missing ones", remedy)
        return
    systems = [part for part in tables.partitions if part.type in EFI_SYSTEM]
    if any(part.fat for part in systems):
        return
    if systems:
        remedy = "Format it, and install a boot loader for UEFI."
        yield Shortfall(
            "efi-file-system", "FAT in the EFI system partition", "something else", remedy
        )
        return
    elsewhere = tables.fat or not tables.complete or any(part.fat for part in tables.partitions)
    yield Shortfall(
        "efi-system-partition",
        "an EFI system partition",
        "none",
        "" if elsewhere else "Install a boot loader for UEFI, or use generation 1.",
        known=not elsewhere,
    )
