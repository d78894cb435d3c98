"""Files that are no VHD are called what they are, with what to do."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from vhdtools.errors import UnrecognizedImageError, UsageError
from vhdtools.image import open as open_image
from vhdtools.image.recognizer import recognize


def at(offset: int, mark: bytes) -> bytes:
    return (bytes(offset) + mark).ljust(70_144, b"\0")


def tar(member: str = "disk.vhd") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(member))
    return buffer.getvalue()


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("disk.vhd", b"x" * 1000)
    return buffer.getvalue()


FILES: dict[str, tuple[bytes, str, str]] = {
    "VHDX": (at(0, b"vhdxfile"), "a VHDX disk image", "copy it again"),
    "qcow": (at(0, b"QFI\xfb\0\0\0\1"), "a qcow disk image", "copy it again"),
    "qcow2": (at(0, b"QFI\xfb\0\0\0\3"), "a qcow2 disk image", "copy it again"),
    "QED": (at(0, b"QED\0"), "a QED disk image", "copy it again"),
    "VMDK": (at(0, b"KDMV\1\0\0\0"), "a VMDK disk image", "copy it again"),
    "VMDK of ESX": (at(0, b"COWD"), "a VMDK disk image", "qemu-img convert"),
    "VMDK descriptor": (b"# Disk DescriptorFile\nversion=1\n", "a VMDK descriptor", "again"),
    "VDI": (
        at(0, b"<<< Oracle VM VirtualBox Disk Image >>>\n".ljust(64, b"\0") + b"\x7f\x10\xda\xbe"),
        "a VDI disk image",
        "copy it again",
    ),
    "Parallels": (at(0, b"WithoutFreeSpace"), "a Parallels disk image", "copy it again"),
    "WIM": (at(0, b"MSWIM\0\0\0"), "a Windows image (WIM)", "wimlib"),
    "E01": (at(0, b"EVF\x09\x0d\x0a\xff\0"), "an EnCase image (E01)", "Export it"),
    "AFF": (at(0, b"AFF10\r\n\0"), "an AFF forensic image", "Export it"),
    "DMG": (at(69_632, b"koly"), "an Apple disk image (DMG)", "-f dmg"),
    "gzip": (gzip.compress(b"disk"), "a gzip file", "gzip -dc"),
    "xz": (lzma.compress(b"disk"), "an xz file", "xz -dc"),
    "bzip2": (bz2.compress(b"disk"), "a bzip2 file", "bzip2 -dc"),
    "Zstandard": (at(0, b"\x28\xb5\x2f\xfd"), "a Zstandard file", "zstd -dc"),
    "LZ4": (at(0, b"\x04\x22\x4d\x18"), "an LZ4 file", "lz4 -dc"),
    "ZIP": (zipped(), "a ZIP archive", "unzip"),
    "7-Zip": (at(0, b"7z\xbc\xaf\x27\x1c"), "a 7-Zip archive", "Unpack it"),
    "tar": (tar(), "a tar archive", "tar -xf"),
    "OVA": (tar("box.ovf"), "an OVA, a tar archive", "tar -xf"),
    "ISO": (at(0x8000, b"\1CD001\1"), "an ISO 9660 image", "not of a hard disk"),
    "hybrid ISO": (
        at(510, b"\x55\xaa")[:0x8000] + at(0, b"\1CD001"),
        "an ISO 9660 image",
        "not of a hard disk",
    ),
    "ELF": (Path(sys.executable).read_bytes(), "a program (ELF)", "Name a disk image"),
    "program for Windows": (at(0, b"MZ"), "a program (for DOS or Windows)", "Name a disk image"),
    "MBR": (at(510, b"\x55\xaa"), "a raw disk image with an MBR", "-f raw"),
    "GPT": (at(510, b"\x55\xaaEFI PART"), "a raw disk image with a GPT", "-f raw"),
    "GPT of 4 KiB": (
        at(510, b"\x55\xaa")[:4096] + at(0, b"EFI PART"),
        "a raw disk image with a GPT in 4096-byte sectors",
        "-f raw",
    ),
    "ext4": (at(1080, b"\x53\xef"), "a raw image of an ext file system", "-f raw"),
    "XFS": (at(0, b"XFSB"), "a raw image of an XFS file system", "-f raw"),
    "Btrfs": (at(0x1_0040, b"_BHRfS_M"), "a raw image of a Btrfs file system", "-f raw"),
    "LVM": (at(536, b"LVM2 001"), "a raw image of an LVM physical volume", "-f raw"),
    "LUKS": (at(0, b"LUKS\xba\xbe\0\2"), "a raw image of a LUKS volume", "-f raw"),
    "swap": (at(4086, b"SWAPSPACE2"), "a raw image of swap space", "-f raw"),
    "NTFS": (at(3, b"NTFS    "), "a raw image of an NTFS file system", "-f raw"),
    "zeros": (bytes(70_144), "a file of zeros", "-f raw"),
    "HTML": (b"\r\n<!DOCTYPE html>\n<html><body>Sign in</body></html>", "an HTML page", "again"),
    "JSON": (b'{"error": {"code": "NotFound"}}', "JSON text", "download it again"),
    "XML": (b'<?xml version="1.0"?><disks/>', "an XML document", "Name a disk image"),
    "XML with byte order mark": (
        b"\xef\xbb\xbf<?xml version='1.0'?><Error><Code>AuthenticationFailed</Code></Error>",
        "an error message in XML (AuthenticationFailed)",
        "download it again",
    ),
    "UTF-16": ("<?xml version='1.0'?><a/>".encode("utf-16"), "an XML document", "Name a disk"),
    "OVF": (
        b'<?xml version="1.0"?>\n<ovf:Envelope xmlns="x"></ovf:Envelope>',
        "an OVF descriptor",
        "Name one of the disks",
    ),
    "Git LFS": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 25166336\n",
        "a Git LFS pointer",
        "git lfs pull",
    ),
    "VHDL": (b"-- a gate\nlibrary ieee;\nentity x is\nend;\n", "VHDL source text", "Name a disk"),
    "script": (b"#!/bin/sh\nexit 0\n", "a script", "Name a disk image"),
    "text": ("Grüße\n".encode(), "a text file", "Name a disk image"),
}


@pytest.mark.parametrize("name", FILES)
def test_files_are_called_what_they_are(tmp_path: Path, name: str) -> None:
    data, called, remedy = FILES[name]
    path = tmp_path / "my disk.vhd"
    path.write_bytes(data)
    with pytest.raises(UnrecognizedImageError) as raised:
        open_image(path)
    assert raised.value.problem.startswith(f"this is {called}")
    assert raised.value.problem.partition(";")[0].endswith("not a VHD")
    assert remedy in raised.value.remedy
    # Commands can be pasted: the name is quoted.
    assert "{" not in raised.value.remedy
    if str(tmp_path) in raised.value.remedy:
        assert f"'{path}'" in raised.value.remedy


def test_an_unknown_file(tmp_path: Path) -> None:
    path = tmp_path / "disk.vhd"
    path.write_bytes(b"what is this?\xff\0\2" * 32)
    with pytest.raises(UnrecognizedImageError, match="this is not a VHD: there is no footer"):
        open_image(path)


def test_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "disk.vhd"
    path.touch()
    with pytest.raises(UnrecognizedImageError, match="the file is empty"):
        open_image(path)


@dataclass(frozen=True)
class Held:
    """Bytes that a guest could have for a disk."""

    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)

    def read(self, offset: int, length: int) -> bytes:
        return self.data[offset : offset + length]


def test_nothing_is_nothing() -> None:
    assert recognize(Held(b"")) is None


@pytest.mark.parametrize("length", [0, 1, 64, 511, 512, 513, 4096])
@pytest.mark.parametrize("name", FILES)
def test_files_cut_anywhere_are_looked_at_within_their_bounds(name: str, length: int) -> None:
    data = FILES[name][0][:length]
    found = recognize(Held(data))
    assert found is None or found.name


@pytest.mark.parametrize("options", [{"size_rule": "chs"}, {"fixed_base": "middle"}])
def test_options_that_do_not_exist(tmp_path: Path, options: dict[str, str]) -> None:
    with pytest.raises(UsageError, match=r"Use .*\.$"):
        open_image(tmp_path / "disk.vhd", **options)  # type: ignore[arg-type]
