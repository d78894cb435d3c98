"""What a file is that is no VHD, by the marks that other formats begin or end with."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SIGNATURE_HEAD", "ForeignFormat", "recognize"]

SIGNATURE_HEAD = 0x1_0048
"""How many bytes from the start of a file the marks reach."""

_CONVERT = "Convert it: qemu-img convert -O vpc -o subformat=fixed,force_size=on {path} {path}.vhd"
_CONVERT_RAW = (
    "Convert it: qemu-img convert -f raw -O vpc -o subformat=fixed,force_size=on {path} {path}.vhd"
)
_ISO = "An ISO file is no hard disk; attach it as a DVD, or install from it to a disk."
_EXECUTABLE = "Name a disk image."


@dataclass(frozen=True, slots=True)
class ForeignFormat:
    """A format that is not VHD.

    `format` is its name in a word ("vhdx"), `name` with an article ("a VHDX disk image"), `remedy`
    what to do.
    """

    format: str
    name: str
    remedy: str


@dataclass(frozen=True, slots=True)
class _Mark:
    offset: int
    mark: bytes
    format: str
    name: str
    remedy: str


# By each format's own documentation; the more specific mark of two comes first.
_AT_START = (
    _Mark(0, b"vhdxfile", "vhdx", "a VHDX disk image", _CONVERT),
    _Mark(0, b"QFI\xfb\x00\x00\x00\x01", "qcow", "a qcow disk image", _CONVERT),
    _Mark(0, b"QFI\xfb", "qcow2", "a qcow2 disk image", _CONVERT),
    _Mark(0, b"QED\0", "qed", "a QED disk image", _CONVERT),
    _Mark(0, b"KDMV", "vmdk", "a VMDK disk image", _CONVERT),
    _Mark(0, b"COWD", "vmdk", "a VMDK disk image (ESX, sparse)", _CONVERT),
    _Mark(
        0,
        b"# Disk DescriptorFile",
        "vmdk",
        "a VMDK descriptor, which names the disk's files",
        _CONVERT,
    ),
    _Mark(64, b"\x7f\x10\xda\xbe", "vdi", "a VDI disk image", _CONVERT),
    _Mark(0, b"WithoutFreeSpace", "parallels", "a Parallels disk image", _CONVERT),
    _Mark(0, b"WithouFreSpacExt", "parallels", "a Parallels disk image", _CONVERT),
    _Mark(
        0, b"MSWIM\0\0\0", "wim", "a Windows image (WIM)", "Apply it to a disk: wimlib-imagex apply"
    ),
    _Mark(
        0, b"EVF\x09\x0d\x0a\xff\0", "ewf", "an EnCase image (E01)", "Export it: ewfexport {path}"
    ),
    _Mark(0, b"EVF2\x0d\x0a\x81\0", "ewf", "an EnCase image (Ex01)", "Export it: ewfexport {path}"),
    _Mark(0, b"AFF10\x0d\x0a\0", "aff", "an AFF forensic image", "Export it: affconvert -r {path}"),
    _Mark(0, b"\x1f\x8b", "gzip", "a gzip file", "Unpack it first: gzip -d {path}"),
    _Mark(0, b"\xfd7zXZ\0", "xz", "an xz file", "Unpack it first: xz -d {path}"),
    _Mark(0, b"\x28\xb5\x2f\xfd", "zstd", "a Zstandard file", "Unpack it first: zstd -d {path}"),
    _Mark(0, b"\x04\x22\x4d\x18", "lz4", "an LZ4 file", "Unpack it first: lz4 -d {path}"),
    _Mark(0, b"BZh", "bzip2", "a bzip2 file", "Unpack it first: bzip2 -d {path}"),
    _Mark(0, b"PK\x03\x04", "zip", "a ZIP archive", "Unpack it first: unzip {path}"),
    _Mark(0, b"7z\xbc\xaf\x27\x1c", "7z", "a 7-Zip archive", "Unpack it first: 7z x {path}"),
    _Mark(0, b"Rar!\x1a\x07", "rar", "a RAR archive", "Unpack it first: unrar x {path}"),
    _Mark(0, b"MSCF\0\0\0\0", "cab", "a Windows cabinet", "Unpack it first: cabextract {path}"),
    _Mark(257, b"ustar", "tar", "a tar archive", "Unpack it first: tar -xf {path}"),
    _Mark(0, b"\xed\xab\xee\xdb", "rpm", "an RPM package", _EXECUTABLE),
    _Mark(0, b"\x7fELF", "elf", "a program (ELF)", _EXECUTABLE),
    _Mark(0, b"%PDF-", "pdf", "a PDF document", _EXECUTABLE),
    _Mark(0, b"<?xml", "xml", "an XML document", _EXECUTABLE),
    _Mark(0x8001, b"CD001", "iso", "an ISO 9660 image", _ISO),
    _Mark(0x8001, b"BEA01", "udf", "a UDF image", _ISO),
)
# These are found on whole disks or partitions, and some files above begin as they do.
_RAW = (
    _Mark(512, b"EFI PART", "raw", "a raw disk image with a GPT", _CONVERT_RAW),
    _Mark(4096, b"EFI PART", "raw", "a raw disk image with a GPT (4 KiB sectors)", _CONVERT_RAW),
    _Mark(3, b"NTFS    ", "raw", "a raw image of an NTFS file system", _CONVERT_RAW),
    _Mark(3, b"EXFAT   ", "raw", "a raw image of an exFAT file system", _CONVERT_RAW),
    _Mark(82, b"FAT32   ", "raw", "a raw image of a FAT file system", _CONVERT_RAW),
    _Mark(54, b"FAT1", "raw", "a raw image of a FAT file system", _CONVERT_RAW),
    _Mark(510, b"\x55\xaa", "raw", "a raw disk image with an MBR", _CONVERT_RAW),
    _Mark(0, b"XFSB", "raw", "a raw image of an XFS file system", _CONVERT_RAW),
    _Mark(1080, b"\x53\xef", "raw", "a raw image of an ext file system", _CONVERT_RAW),
    _Mark(0x10040, b"_BHRfS_M", "raw", "a raw image of a Btrfs file system", _CONVERT_RAW),
)
_APPLE_TRAILER = 512


def recognize(head: bytes, tail: bytes, size: int) -> ForeignFormat | None:
    """The format of a file of `size` bytes by its first and last bytes; None: none that is known.

    `head` should have `SIGNATURE_HEAD` bytes for all marks to be seen, `tail` 512. `{path}`
    in a remedy stands for the file.
    """
    if tail[-_APPLE_TRAILER:].startswith(b"koly"):
        return ForeignFormat(
            "dmg",
            "an Apple disk image (DMG)",
            "Convert it: qemu-img convert -f dmg -O vpc -o subformat=fixed,force_size=on "
            "{path} {path}.vhd",
        )
    for mark in (*_AT_START, *_RAW):
        if head.startswith(mark.mark, mark.offset):
            return ForeignFormat(mark.format, mark.name, mark.remedy)
    if size and not any(head) and not any(tail):
        return ForeignFormat("raw", "a file of zeros, at least at both ends", _CONVERT_RAW)
    return None
