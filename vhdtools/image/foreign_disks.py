"""What a disk image of another format needs before it can be converted, by its own header.

Sources: MS-VHDX 20230104; qemu docs/interop/qcow2.txt and qed_spec.txt; VMware Virtual Disk Format
5.0; VirtualBox VDICore.h. A header that is not to be believed has no command for its remedy: the
command would fail.
"""

from __future__ import annotations

import re
import struct
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from vhdtools.image.partitions import Bytes

__all__ = ["STATES", "State"]

_KIB, _MIB = 1 << 10, 1 << 20
_DAMAGED = "Its header is damaged, or the file was cut: copy it again from where it came from."
_MAX_DESCRIPTOR = 64 * _KIB
_MAX_ENTRIES = 2047  # of a VHDX's region table and metadata table alike

_FIXED_VHD = "-O vpc -o subformat=fixed,force_size=on"


class State(NamedTuple):
    """What is special about a disk image: `about` it, in words, and what `to_do` (see `Mark`)."""

    about: str
    to_do: str


Look = Callable[[Bytes, "Path | None"], "State | None"]


def _vhdx(disk: Bytes) -> State | None:
    headers = [disk.read(at, 80) for at in (64 * _KIB, 128 * _KIB) if at + 80 <= disk.size]
    valid = [header for header in headers if header.startswith(b"head")]
    region = _vhdx_metadata(disk)
    if not valid or region is None:
        return State("is damaged", _DAMAGED)
    flags = _vhdx_item(disk, region, "caa16737-fa36-4d43-b3b6-33f0aa44e76b", 8)
    sector = _vhdx_item(disk, region, "8141bf1d-a96f-4709-ba47-f233a8faab5f", 4)
    if flags is None or sector is None:
        return State("is damaged", _DAMAGED)
    if flags[4] & 0b10:
        return State(
            "is differencing: a part of the disk is in its parents",
            "On the Hyper-V host that has its parents, make a whole disk of it with Convert-VHD, "
            "or delete the checkpoint, which merges it; then take that disk.",
        )
    if int.from_bytes(sector, "little") != 512:
        return State(
            f"has {int.from_bytes(sector, 'little')}-byte sectors",
            "Azure presents 512-byte sectors, so that its partitions would not be found: on the "
            "Hyper-V host, copy its file systems to a new disk with 512-byte sectors "
            "(New-VHD -LogicalSectorSizeBytes 512).",
        )
    newest = max(valid, key=lambda header: int.from_bytes(header[8:16], "little"))
    if any(newest[48:64]):
        return State(
            "has changes in its log that were not applied yet",
            "Apply them to a copy, and convert that: `cp {disk} {new:-replayed.vhdx} && "
            f"qemu-img check -r all {{new:-replayed.vhdx}} && "
            f"qemu-img convert -f vhdx {_FIXED_VHD} "
            "{new:-replayed.vhdx} {new:.vhd}`",
        )
    return None


def _vhdx_metadata(disk: Bytes) -> int | None:
    wanted = uuid.UUID("8b7ca206-4790-4b9a-b8fe-575f050f886e").bytes_le
    for at in (192 * _KIB, 256 * _KIB):
        if at + 64 * _KIB > disk.size:
            continue
        table = disk.read(at, 64 * _KIB)
        count = min(int.from_bytes(table[8:12], "little"), _MAX_ENTRIES)
        for place in range(16, 16 + 32 * count, 32) if table.startswith(b"regi") else ():
            if table[place : place + 16] == wanted:
                offset = int.from_bytes(table[place + 16 : place + 24], "little")
                return offset if offset + 64 * _KIB <= disk.size else None
    return None


def _vhdx_item(disk: Bytes, region: int, guid: str, length: int) -> bytes | None:
    table = disk.read(region, 64 * _KIB)
    count = min(int.from_bytes(table[10:12], "little"), _MAX_ENTRIES)
    for place in range(32, 32 + 32 * count, 32) if table.startswith(b"metadata") else ():
        if table[place : place + 16] == uuid.UUID(guid).bytes_le:
            offset = region + int.from_bytes(table[place + 16 : place + 20], "little")
            return disk.read(offset, length) if offset + length <= disk.size else None
    return None


def _qcow2(disk: Bytes, folder: Path | None) -> State | None:
    if disk.size < 104:
        return State("is damaged", _DAMAGED)
    header = disk.read(0, 104)
    (version,) = struct.unpack_from(">I", header, 4)
    backing_at, backing_length, cluster_bits, size, crypt, l1_size, l1_at = struct.unpack_from(
        ">QIIQIIQ", header, 8
    )
    features = struct.unpack_from(">Q", header, 72)[0] if version >= 3 else 0
    l1_end = l1_at + 8 * l1_size
    if version not in (2, 3) or not 9 <= cluster_bits <= 21 or not size or l1_end > disk.size:
        return State("is damaged", _DAMAGED)
    if crypt:
        return _encrypted()
    if features & 0b100:
        return State(
            "has its data in another file",
            "Convert it where that file is, with the program that made it.",
        )
    if features & 0b10:
        return State("is marked as corrupt", "Restore it from a backup, or export it again.")
    return _backed("qcow2", disk, folder, backing_at, backing_length)


def _qcow(disk: Bytes, folder: Path | None) -> State | None:
    if disk.size < 48:
        return State("is damaged", _DAMAGED)
    header = disk.read(0, 48)
    backing_at, backing_length, _, size = struct.unpack_from(">QIIQ", header, 8)
    if not 9 <= header[32] <= 16 or not size:
        return State("is damaged", _DAMAGED)
    if any(header[36:40]):
        return _encrypted()
    return _backed("qcow", disk, folder, backing_at, backing_length)


def _qed(disk: Bytes, folder: Path | None) -> State | None:
    if disk.size < 64:
        return State("is damaged", _DAMAGED)
    fields = struct.unpack("<4sIIIQQQQQII", disk.read(0, 64))
    cluster, features, size, backing_at, backing_length = (
        fields[1],
        fields[4],
        fields[8],
        fields[9],
        fields[10],
    )
    if not 4 * _KIB <= cluster <= 64 * _MIB or cluster & (cluster - 1) or not size or size % 512:
        return State("is damaged", _DAMAGED)
    backed = backing_length if features & 1 else 0
    return _backed("qed", disk, folder, backing_at, backed)


def _encrypted() -> State:
    return State(
        "is encrypted", "Decrypt it first: Azure has no way to give its guest the passphrase."
    )


def _backed(
    format: str, disk: Bytes, folder: Path | None, offset: int, length: int
) -> State | None:
    if not offset or not length:
        return None
    if length > 1023 or offset + length > disk.size:
        return State("is damaged", _DAMAGED)
    name = disk.read(offset, length).decode("utf-8", "replace")
    about = f"is the difference to '{name}'"
    if folder is not None and _is_beside(folder, name):
        return State(
            about,
            "If that file is the right one, convert both into one disk: "
            f"`qemu-img convert -f {format} {_FIXED_VHD} {{disk}} {{new:.vhd}}`",
        )
    return State(about, "Convert it where that file is, or copy that file beside it first.")


def _vmdk(disk: Bytes, folder: Path | None) -> State | None:
    magic = disk.read(0, min(disk.size, 4))
    if magic == b"KDMV":
        return _vmdk_sparse(disk)
    if magic == b"COWD":
        return None if disk.size > 2048 else State("is damaged", _DAMAGED)
    text = disk.read(0, min(disk.size, _MAX_DESCRIPTOR)).decode("utf-8", "replace")
    return _vmdk_descriptor(text, folder)


def _vmdk_sparse(disk: Bytes) -> State | None:
    if disk.size < 512:
        return State("is damaged", _DAMAGED)
    version, _, capacity, grain, at, length = struct.unpack_from("<IIQQQQ", disk.read(0, 512), 4)
    at, length = at * 512, length * 512
    if version not in (1, 2, 3) or not capacity or not grain or grain & (grain - 1):
        return State("is damaged", _DAMAGED)
    if not at:
        return State(
            "is one part of a disk in several files",
            "Name the descriptor, the small .vmdk file without a number.",
        )
    if at + length > disk.size:
        return State("is damaged", _DAMAGED)
    text = disk.read(at, min(length, _MAX_DESCRIPTOR)).split(b"\0")[0].decode("utf-8", "replace")
    return _vmdk_parent(text)


def _vmdk_parent(descriptor: str) -> State | None:
    parent = re.search(r"^parentCID\s*=\s*([0-9a-fA-F]+)", descriptor, re.MULTILINE)
    if parent is None or parent[1].lower() == "ffffffff":
        return None
    return State(
        "is the difference to a parent, as a snapshot has it",
        "Delete the snapshots, or clone the disk, where its virtual machine is; then take that "
        "disk.",
    )


_EXTENT = re.compile(r'^(?:RW|RDONLY)\s+\d+\s+(\w+)(?:\s+"([^"\n]*)")?', re.MULTILINE)


def _vmdk_descriptor(text: str, folder: Path | None) -> State | None:
    parent = _vmdk_parent(text)
    if parent is not None:
        return parent
    names = [name for kind, name in _EXTENT.findall(text) if kind != "ZERO"]
    if not names:
        return State("names no files", _DAMAGED)
    lacking = [] if folder is None else [name for name in names if not _is_beside(folder, name)]
    if lacking:
        return State(
            f"names '{lacking[0]}', which is not beside it",
            "Copy all files of the disk into the folder of the descriptor.",
        )
    return None


def _vdi(disk: Bytes) -> State | None:
    if disk.size < 512:
        return State("is damaged", _DAMAGED)
    header = disk.read(0, 512)
    kind, (size, block) = (
        struct.unpack_from("<I", header, 76)[0],
        struct.unpack_from("<QI", header, 0x170),
    )
    if kind not in (1, 2, 3, 4) or not size or not block or block & (block - 1):
        return State("is damaged", _DAMAGED)
    if kind in (3, 4):
        return State(
            "is the difference to a parent, as a snapshot has it",
            "Delete the snapshots, or clone the disk, in VirtualBox; then take that disk.",
        )
    return None


def _parallels(disk: Bytes) -> State | None:
    if disk.size < 64:
        return State("is damaged", _DAMAGED)
    version, _, _, tracks, entries, sectors = struct.unpack_from("<IIIIIQ", disk.read(0, 64), 16)
    if version != 2 or not tracks or not entries or not sectors:
        return State("is damaged", _DAMAGED)
    return None


def _is_beside(folder: Path, name: str) -> bool:
    """Whether `name` is a file's in `folder` itself: a path or a URL may lead anywhere."""
    if not name or re.search(r"[/\\:\0]", name) or name in (".", ".."):
        return False
    try:
        return (folder / name).is_file()
    except OSError:  # such as a name that is too long for the file system
        return False


STATES: dict[str, Look] = {
    "vhdx": lambda disk, _: _vhdx(disk),
    "qcow2": _qcow2,
    "qcow": _qcow,
    "qed": _qed,
    "vmdk": _vmdk,
    "vdi": lambda disk, _: _vdi(disk),
    "parallels": lambda disk, _: _parallels(disk),
}
"""By format: the state that a disk image is in, or None for one that can be converted as it is."""
