"""The marks that formats other than VHD begin or end with: a table, and nothing but data.

Sources: each format's own documentation. The first row that fits counts, so that containers come
before what they may contain, and what a whole disk or partition begins with comes last.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

__all__ = ["HEAD_BYTES", "MARKS", "TRAILER_MARKS", "Family", "Mark"]

HEAD_BYTES = 0x1_0048
"""How many bytes from the start the marks reach."""


class Family(Enum):
    """What a format is to somebody who expects a VHD."""

    CONTAINER = "a container, with files or a disk inside: an archive, a compressed file"
    DISK = "another format of disk images"
    MEDIUM = "an image of something that is no hard disk"
    RAW = "a disk or a file system, byte for byte"
    TEXT = "text"
    OTHER = "nothing that could be a disk"


class Mark(NamedTuple):
    """`mark` at byte `offset` means `format`, whose `name` has an article.

    `to_do` says what to do with such a file, with the placeholders of `vhdtools.image.filling`.
    """

    offset: int
    mark: bytes
    format: str
    name: str
    family: Family
    to_do: str


_NOT_A_DISK = "Name a disk image."
_DVD = "It is an image of a DVD, not of a hard disk: attach it as a DVD, or install from it."
_FORENSIC = "Export it as a raw image with the program that made it."
_WIM = "A WIM holds files, not a disk: apply it to a disk with DISM or wimlib."
_UNPACK = "Unpack it, and name the disk that is in it."


def _convert(format: str) -> str:
    return (
        f"Convert it: `qemu-img convert -f {format} -O vpc -o subformat=fixed,force_size=on "
        "{disk} {new:.vhd}`"
    )


def _decompress(program: str) -> str:
    return f"Unpack it: `{program} -dc {{disk}} > {{new:}}`"


def _container(offset: int, mark: bytes, format: str, name: str, to_do: str) -> Mark:
    return Mark(offset, mark, format, name, Family.CONTAINER, to_do)


def _disk(offset: int, mark: bytes, format: str, name: str) -> Mark:
    return Mark(offset, mark, format, name, Family.DISK, _convert(format))


def _raw(offset: int, mark: bytes, name: str) -> Mark:
    return Mark(offset, mark, "raw", name, Family.RAW, _convert("raw"))


MARKS = (
    _container(257, b"ustar", "tar", "a tar archive", "Unpack it: `tar -xf {disk}`"),
    _container(0, b"PK\x03\x04", "zip", "a ZIP archive", "Unpack it: `unzip {disk}`"),
    _container(0, b"PK\x05\x06", "zip", "an empty ZIP archive", _NOT_A_DISK),
    _container(0, b"7z\xbc\xaf\x27\x1c", "7z", "a 7-Zip archive", _UNPACK),
    _container(0, b"Rar!\x1a\x07", "rar", "a RAR archive", _UNPACK),
    _container(0, b"MSCF\0\0\0\0", "cab", "a Windows cabinet", _UNPACK),
    _container(0, b"\x1f\x8b", "gzip", "a gzip file", _decompress("gzip")),
    _container(0, b"\xfd7zXZ\0", "xz", "an xz file", _decompress("xz")),
    _container(0, b"\x28\xb5\x2f\xfd", "zstd", "a Zstandard file", _decompress("zstd")),
    _container(0, b"\x04\x22\x4d\x18", "lz4", "an LZ4 file", _decompress("lz4")),
    _container(0, b"BZh", "bzip2", "a bzip2 file", _decompress("bzip2")),
    Mark(0, b"MSWIM\0\0\0", "wim", "a Windows image (WIM)", Family.CONTAINER, _WIM),
    Mark(0, b"EVF\x09\x0d\x0a\xff\0", "ewf", "an EnCase image (E01)", Family.CONTAINER, _FORENSIC),
    Mark(0, b"EVF2\x0d\x0a\x81\0", "ewf", "an EnCase image (Ex01)", Family.CONTAINER, _FORENSIC),
    Mark(0, b"AFF10\x0d\x0a\0", "aff", "an AFF forensic image", Family.CONTAINER, _FORENSIC),
    _disk(0, b"vhdxfile", "vhdx", "a VHDX disk image"),
    _disk(0, b"QFI\xfb\x00\x00\x00\x01", "qcow", "a qcow disk image"),
    _disk(0, b"QFI\xfb", "qcow2", "a qcow2 disk image"),
    _disk(0, b"QED\0", "qed", "a QED disk image"),
    _disk(0, b"KDMV", "vmdk", "a VMDK disk image"),
    _disk(0, b"COWD", "vmdk", "a VMDK disk image (ESX, sparse)"),
    _disk(0, b"# Disk DescriptorFile", "vmdk", "a VMDK descriptor, which names the disk's files"),
    _disk(64, b"\x7f\x10\xda\xbe", "vdi", "a VDI disk image"),
    _disk(0, b"WithoutFreeSpace", "parallels", "a Parallels disk image"),
    _disk(0, b"WithouFreSpacExt", "parallels", "a Parallels disk image"),
    Mark(0, b"\xed\xab\xee\xdb", "rpm", "an RPM package", Family.OTHER, _NOT_A_DISK),
    Mark(0, b"\x7fELF", "elf", "a program (ELF)", Family.OTHER, _NOT_A_DISK),
    Mark(0, b"\xcf\xfa\xed\xfe", "mach-o", "a program (Mach-O)", Family.OTHER, _NOT_A_DISK),
    Mark(0, b"%PDF-", "pdf", "a PDF document", Family.OTHER, _NOT_A_DISK),
    Mark(0x8001, b"CD001", "iso", "an ISO 9660 image", Family.MEDIUM, _DVD),
    Mark(0x8001, b"BEA01", "udf", "a UDF image", Family.MEDIUM, _DVD),
    # Whole disks and partitions; some of the files above begin as they do.
    _raw(512, b"EFI PART", "a raw disk image with a GPT"),
    _raw(4096, b"EFI PART", "a raw disk image with a GPT in 4096-byte sectors"),
    _raw(3, b"NTFS    ", "a raw image of an NTFS file system"),
    _raw(3, b"EXFAT   ", "a raw image of an exFAT file system"),
    _raw(3, b"-FVE-FS-", "a raw image of a BitLocker volume"),
    _raw(82, b"FAT32   ", "a raw image of a FAT file system"),
    _raw(54, b"FAT1", "a raw image of a FAT file system"),
    _raw(510, b"\x55\xaa", "a raw disk image with an MBR"),
    _raw(0, b"XFSB", "a raw image of an XFS file system"),
    _raw(1080, b"\x53\xef", "a raw image of an ext file system"),
    _raw(0x10040, b"_BHRfS_M", "a raw image of a Btrfs file system"),
    _raw(0, b"LUKS\xba\xbe", "a raw image of a LUKS volume"),
    _raw(536, b"LVM2 001", "a raw image of an LVM physical volume"),
    _raw(24, b"LVM2 001", "a raw image of an LVM physical volume"),
    _raw(4086, b"SWAPSPACE2", "a raw image of swap space"),
    _raw(0, b"hsqs", "a raw image of a SquashFS file system"),
    # Programs for DOS and Windows: two letters alone, which a boot sector may begin with, too.
    Mark(0, b"MZ", "pe", "a program (for DOS or Windows)", Family.OTHER, _NOT_A_DISK),
)
"""What a file may begin with."""

TRAILER_MARKS = (
    Mark(-512, b"koly", "dmg", "an Apple disk image (DMG)", Family.DISK, _convert("dmg")),
)
"""What a file may end with; the offset counts from its end."""
