"""What something is that is not what it says: a file, or what a guest has for a disk.

The same eyes look at both. What they know is in `signatures` (a table), `foreign_disks` (what a
header says of the state of a disk image) and `foreign_text`.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from vhdtools.image.partitions import Bytes
from vhdtools.image.signatures import HEAD_BYTES, MARKS, TRAILER_MARKS, Family, Mark
from vhdtools.ranges import align_up
from vhdtools.text import printable

__all__ = ["Recognized", "is_no_vhd", "recognize"]

_FOREIGN = (Family.CONTAINER, Family.DISK, Family.MEDIUM)
_TAR = "tar"
_TAR_EXTENSIONS = (b"x", b"g", b"L", b"K")
"""Headers in front of a file's own, of pax and GNU tar."""


class Recognized(NamedTuple):
    """What something is. `format` is its name in a word ("vhdx"), `name` has an article.

    `about` says more of it, with "it" before it ("" where there is no more to say). `to_do` is as
    in `Mark`.
    """

    format: str
    name: str
    family: Family
    to_do: str
    about: str = ""

    def remedy(self, path: Path) -> str:
        """What to do with the file `path`, in a command that can be pasted where there is one."""
        from vhdtools.image.filling import fill

        return fill(self.to_do, path)


def recognize(disk: Bytes, folder: Path | None = None) -> Recognized | None:
    """What `disk` is, if it is not a VHD; None where that cannot be seen.

    `folder` is where a file's companions are looked for, the parts of a VMDK and the backing file
    of a qcow2 (None: nowhere, as for what a guest sees). Of the file, its head, its tail and the
    header of the format are read.
    """
    head = disk.read(0, min(disk.size, HEAD_BYTES))
    tail = disk.read(max(0, disk.size - 512), min(disk.size, 512))
    for mark in TRAILER_MARKS:
        if len(tail) == 512 and tail.startswith(mark.mark, 512 + mark.offset):
            return _of(mark)
    for mark in MARKS:
        if head.startswith(mark.mark, mark.offset) and _fits(mark, head):
            return _with_state(mark, disk, head, folder)
    if head[:1].strip(b"\0"):  # text has no NUL
        from vhdtools.image.foreign_text import recognize_text

        text = recognize_text(head, tail)
        if text is not None:
            return Recognized(text.format, text.name, Family.TEXT, text.to_do)
    if disk.size >= 512 and not any(head) and not any(tail):
        raw = next(mark for mark in MARKS if mark.format == "raw")
        return Recognized("raw", "a file of zeros, at least at both ends", Family.RAW, raw.to_do)
    return None


def is_no_vhd(disk: Bytes) -> bool:
    """Whether the head is that of a container, or of a disk image of another format.

    What looks like a VHD's footer near the end of such a file is a part of what it contains.
    """
    head = disk.read(0, min(disk.size, HEAD_BYTES))
    return any(
        head.startswith(mark.mark, mark.offset) and _fits(mark, head)
        for mark in MARKS
        if mark.family in _FOREIGN
    )


def _of(mark: Mark) -> Recognized:
    return Recognized(mark.format, mark.name, mark.family, mark.to_do)


def _with_state(mark: Mark, disk: Bytes, head: bytes, folder: Path | None) -> Recognized:
    if mark.format == _TAR:
        member = _first_member(head)
        about = f"begins with '{printable(member)}'" if member else ""
        name = "an OVA, a tar archive" if member.lower().endswith(".ovf") else mark.name
        return Recognized(mark.format, name, mark.family, mark.to_do, about)
    # Loaded here, as sound disks have no use for it.
    from vhdtools.image.foreign_disks import STATES

    look = STATES.get(mark.format)
    state = None if look is None else look(disk, folder)
    if state is None:
        return _of(mark)
    return Recognized(mark.format, mark.name, mark.family, state.to_do, printable(state.about))


def _fits(mark: Mark, head: bytes) -> bool:
    """Whether more than the mark is right, where that is short, or a guest may have it, too."""
    if mark.format == _TAR:
        return _tar_checksum_ok(head[:512])
    if mark.mark == b"MZ":
        return len(head) >= 64 and head[510:512] != b"\x55\xaa"
    if mark.mark == b"BZh":
        return head[3:4] in b"123456789" and head[4:10] in (b"1AY&SY", b"\x17rE8P\x90")
    return True


def _first_member(head: bytes) -> str:
    """What the first file of a tar archive is called; "" where its header lies further back."""
    at = 0
    while at + 512 <= len(head):
        header = head[at : at + 512]
        if not _tar_checksum_ok(header):
            return ""
        if header[156:157] not in _TAR_EXTENSIONS:
            return header[:100].split(b"\0")[0].decode("utf-8", "replace")
        size = _octal(header[124:136])
        at += 512 + align_up(size or 0, 512)
    return ""


def _octal(field: bytes) -> int | None:
    digits = field.strip(b"\0 ")
    return int(digits, 8) if digits and not digits.strip(b"01234567") else None


def _tar_checksum_ok(header: bytes) -> bool:
    stated = _octal(header[148:156])
    return stated == sum(header[:148]) + 8 * 0x20 + sum(header[156:512])
