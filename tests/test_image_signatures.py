"""Files that are no VHD are called what they are, with what to do."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from vhdtools.errors import UnrecognizedImageError, UsageError
from vhdtools.image import open as open_image
from vhdtools.image.signatures import SIGNATURE_HEAD, recognize


def at(offset: int, mark: bytes) -> bytes:
    return (bytes(offset) + mark).ljust(70_000, b"\0")


def tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("disk.vhd"))
    return buffer.getvalue()


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("disk.vhd", b"x" * 1000)
    return buffer.getvalue()


FILES: dict[str, tuple[bytes, str, str]] = {
    "VHDX": (at(0, b"vhdxfile"), "a VHDX disk image", "qemu-img convert -O vpc"),
    "qcow": (at(0, b"QFI\xfb\0\0\0\1"), "a qcow disk image", "qemu-img convert"),
    "qcow2": (at(0, b"QFI\xfb\0\0\0\3"), "a qcow2 disk image", "qemu-img convert"),
    "QED": (at(0, b"QED\0"), "a QED disk image", "qemu-img convert"),
    "VMDK": (at(0, b"KDMV\1\0\0\0"), "a VMDK disk image", "qemu-img convert"),
    "VMDK of ESX": (at(0, b"COWD"), "a VMDK disk image", "qemu-img convert"),
    "VMDK descriptor": (b"# Disk DescriptorFile\nversion=1\n", "a VMDK descriptor", "qemu-img"),
    "VDI": (
        at(0, b"<<< Oracle VM VirtualBox Disk Image >>>\n".ljust(64, b"\0") + b"\x7f\x10\xda\xbe"),
        "a VDI disk image",
        "qemu-img convert",
    ),
    "Parallels": (at(0, b"WithoutFreeSpace"), "a Parallels disk image", "qemu-img convert"),
    "WIM": (at(0, b"MSWIM\0\0\0"), "a Windows image (WIM)", "wimlib-imagex"),
    "E01": (at(0, b"EVF\x09\x0d\x0a\xff\0"), "an EnCase image (E01)", "ewfexport"),
    "AFF": (at(0, b"AFF10\r\n\0"), "an AFF forensic image", "affconvert"),
    "DMG": (at(69_488, b"koly"), "an Apple disk image (DMG)", "-f dmg"),
    "gzip": (gzip.compress(b"disk"), "a gzip file", "gzip -d"),
    "xz": (lzma.compress(b"disk"), "an xz file", "xz -d"),
    "bzip2": (bz2.compress(b"disk"), "a bzip2 file", "bzip2 -d"),
    "Zstandard": (at(0, b"\x28\xb5\x2f\xfd"), "a Zstandard file", "zstd -d"),
    "ZIP": (zipped(), "a ZIP archive", "unzip"),
    "7-Zip": (at(0, b"7z\xbc\xaf\x27\x1c"), "a 7-Zip archive", "7z x"),
    "tar": (tar(), "a tar archive", "tar -xf"),
    "ISO": (at(0x8000, b"\1CD001\1"), "an ISO 9660 image", "no hard disk"),
    "hybrid ISO": (
        at(510, b"\x55\xaa")[:0x8000] + at(0, b"\1CD001"),
        "an ISO 9660 image",
        "no hard disk",
    ),
    "ELF": (Path(sys.executable).read_bytes(), "a program (ELF)", "Name a disk image"),
    "MBR": (at(510, b"\x55\xaa"), "a raw disk image with an MBR", "-f raw"),
    "GPT": (at(510, b"\x55\xaaEFI PART"), "a raw disk image with a GPT", "-f raw"),
    "ext4": (at(1080, b"\x53\xef"), "a raw image of an ext file system", "-f raw"),
    "NTFS": (at(3, b"NTFS    "), "a raw image of an NTFS file system", "-f raw"),
    "zeros": (bytes(70_000), "a file of zeros", "-f raw"),
}


@pytest.mark.parametrize("name", FILES)
def test_files_are_called_what_they_are(tmp_path: Path, name: str) -> None:
    data, called, remedy = FILES[name]
    path = tmp_path / "my disk.vhd"
    path.write_bytes(data)
    with pytest.raises(UnrecognizedImageError) as raised:
        open_image(path)
    assert raised.value.problem.startswith(f"this is {called}")
    assert raised.value.problem.endswith("not a VHD")
    assert remedy in raised.value.remedy
    # Commands can be pasted: the name is quoted.
    assert "{path}" not in raised.value.remedy
    if str(tmp_path) in raised.value.remedy:
        assert f"'{path}'" in raised.value.remedy


def test_an_unknown_file(tmp_path: Path) -> None:
    path = tmp_path / "disk.vhd"
    path.write_bytes(b"what is this" * 1000)
    with pytest.raises(UnrecognizedImageError, match="this is not a VHD: there is no footer"):
        open_image(path)


def test_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "disk.vhd"
    path.touch()
    with pytest.raises(UnrecognizedImageError, match="the file is empty"):
        open_image(path)


def test_the_last_mark_is_within_the_head() -> None:
    head = at(0x1_0040, b"_BHRfS_M")[:SIGNATURE_HEAD]
    found = recognize(head, b"", 1 << 30)
    assert found is not None
    assert found.name == "a raw image of a Btrfs file system"


def test_nothing_is_nothing() -> None:
    assert recognize(b"", b"", 0) is None


@pytest.mark.parametrize("options", [{"size_rule": "chs"}, {"fixed_base": "middle"}])
def test_options_that_do_not_exist(tmp_path: Path, options: dict[str, str]) -> None:
    with pytest.raises(UsageError, match=r"Use .*\.$"):
        open_image(tmp_path / "disk.vhd", **options)  # type: ignore[arg-type]
