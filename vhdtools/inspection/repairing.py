"""Repairs carried out: planned, backed up, written, made lasting, and looked at again."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from vhdtools.errors import SourceChangedError, SourceReadError, UsageError
from vhdtools.image.source import Fingerprint, Readable, open_source
from vhdtools.image.structure import Structure, read_structure
from vhdtools.inputs import local_path
from vhdtools.inspection.repair import Patch
from vhdtools.text import shell_quoted

__all__ = ["Repair", "plan_repair", "plan_undo", "way_back", "write_repair"]

BACKUP_SUFFIX = ".vhdtools-backup"

_MAX_BACKUP = 1 << 20


@dataclass(frozen=True, slots=True)
class Repair:
    """What is to be written to the file at `path`, as long as it is the one that was looked at.

    `truncate_to` is the size that the file gets in the end (None: whatever the patches make it).
    """

    path: Path
    fingerprint: Fingerprint
    patches: tuple[Patch, ...]
    truncate_to: int | None = None


def plan_repair(
    path: str | os.PathLike[str], plan: Callable[[Structure, Readable], tuple[Patch, ...]]
) -> Repair:
    """Look at a disk and plan its repair by `plan`.

    Raises as `plan` does, SourceReadError, and UsageError for a URL.
    """
    source = open_source(local_path(path), devices=False)
    try:
        return Repair(source.path, source.fingerprint, plan(read_structure(source), source))
    finally:
        source.close()


def plan_undo(path: str | os.PathLike[str], backup: str | os.PathLike[str]) -> Repair:
    """Plan to put back what a repair replaced, by the backup that it wrote, or had begun to.

    Raises UsageError where `backup` is no such file, or not of this disk as it is now: where it
    says something, each byte must be what was there before or what the repair wrote.
    """
    path, backup = local_path(path), local_path(backup, "the backup's path")
    try:
        with backup.open("rb") as file:
            saved = json.loads(file.read(_MAX_BACKUP))
        size = int(saved["file_size"])
        done = [
            Patch(
                int(item["offset"]),
                bytes.fromhex(item["old"]),
                bytes.fromhex(item["new"]),
                f"back: {item['why']}",
            )
            for item in saved["patches"]
        ]
    except OSError as error:
        raise UsageError(str(backup), f"cannot be read: {error.strerror or error}") from error
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(str(backup), "this is no backup of a repair") from error
    source = open_source(path, devices=False)
    try:
        patches = tuple(_back(source, patch) for patch in done)
        if not _may_have(source.size, size, done) or not all(map(_is_of, patches, done)):
            raise UsageError(str(backup), f"this is no backup of {path} as it is now")
        needed = tuple(patch for patch in patches if patch.old != patch.new)
        return Repair(source.path, source.fingerprint, needed, size)
    finally:
        source.close()


def _back(source: Readable, done: Patch) -> Patch:
    length = max(len(done.old), len(done.new))
    there = source.read(done.offset, max(0, min(length, source.size - done.offset)))
    return Patch(done.offset, there, done.old, done.why)


def _is_of(back: Patch, done: Patch) -> bool:
    """Whether each byte is the one before or after; beyond where one of them ends, a zero may be.

    Those are in a file that became longer before its bytes were written.
    """
    shorter = min(len(done.old), len(done.new))
    return all(
        back.old[at : at + 1] in (done.old[at : at + 1], done.new[at : at + 1])
        or (at >= shorter and back.old[at] == 0)
        for at in range(len(back.old))
    )


def _may_have(size: int, before: int, done: Sequence[Patch]) -> bool:
    """Whether a file that had `before` bytes may have `size` bytes now, if nobody else wrote it."""
    ends = [patch.offset + len(patch.new) for patch in done]
    cut = [end for end, patch in zip(ends, done, strict=True) if len(patch.new) < len(patch.old)]
    return min([before, *cut]) <= size <= max([before, *ends])


def write_repair(repair: Repair) -> Path:
    """Carry out a repair; the path of the backup, which has every byte that was replaced.

    The backup is lasting before the disk is touched. Raises SourceChangedError where the file is
    not what it was when the repair was planned, or is in use; SourceReadError where it, or the
    backup, cannot be written. Once the backup is there, the error names it.
    """
    backup = None
    try:
        with repair.path.open("r+b", buffering=0) as file, _locked(file, repair.path):
            _check_unchanged(file, repair)
            backup = _write_backup(repair)
            for patch in repair.patches:
                _write(file, patch)
            if repair.truncate_to is not None:
                file.truncate(repair.truncate_to)
            os.fsync(file.fileno())
            _check_written(file, repair, backup)
    except OSError as error:
        raise SourceReadError(
            str(error.filename or repair.path),
            f"cannot be written: {error.strerror or error}",
            "The disk was not touched." if backup is None else way_back(repair, backup),
        ) from error
    return backup


def _check_unchanged(file: BinaryIO, repair: Repair) -> None:
    status = os.fstat(file.fileno())
    now = Fingerprint(status.st_size, status.st_mtime_ns, status.st_dev, status.st_ino)
    same = now == repair.fingerprint
    if not same or any(
        _read(file, patch.offset, len(patch.old)) != patch.old for patch in repair.patches
    ):
        raise SourceChangedError(
            str(repair.path),
            "the file was changed since the repair was planned",
            "Stop whatever uses it, and start again.",
        )


def _check_written(file: BinaryIO, repair: Repair, backup: Path) -> None:
    for patch in repair.patches:
        if _read(file, patch.offset, len(patch.new)) != patch.new:
            raise SourceChangedError(
                str(repair.path),
                "what was written is not what is there now: somebody else writes, too",
                way_back(repair, backup),
                patch.offset,
            )


def way_back(repair: Repair, backup: Path) -> str:
    """Where the backup of a repair is, and the command that puts back what it holds."""
    disk, saved = shell_quoted(str(repair.path)), shell_quoted(str(backup))
    return (
        f"What was there before is in {backup}. To put it back: "
        f"`vhdtool repair {disk} --undo {saved} --write`"
    )


def _write(file: BinaryIO, patch: Patch) -> None:
    file.seek(patch.offset)
    left = memoryview(patch.new)
    while left:
        left = left[file.write(left) :]


def _read(file: BinaryIO, offset: int, length: int) -> bytes:
    file.seek(offset)
    return file.read(length)


def _write_backup(repair: Repair) -> Path:
    document = {
        "what": "bytes that vhdtool repair replaced, in hex; vhdtool repair --undo puts them back",
        "disk": repair.path.name,
        "file_size": repair.fingerprint.size,
        "patches": [
            {
                "offset": patch.offset,
                "old": patch.old.hex(),
                "new": patch.new.hex(),
                "why": patch.why,
            }
            for patch in repair.patches
        ],
    }
    for path in _backup_names(repair.path):
        with suppress(FileExistsError), path.open("x", encoding="ascii") as file:
            json.dump(document, file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
            _sync_folder(path.parent)
            return path
    raise AssertionError("there is always another name")


def _sync_folder(folder: Path) -> None:
    """Make a new file's name lasting, too, where folders can be opened (not on Windows)."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _backup_names(path: Path) -> Iterator[Path]:
    number = 0
    while True:
        yield path.with_name(f"{path.name}{BACKUP_SUFFIX}{f'.{number}' if number else ''}")
        number += 1


@contextmanager
def _locked(file: BinaryIO, path: Path) -> Iterator[None]:
    """Keep away from a disk that a program (qemu, for one) has locked, and hold it while we write.

    Where the platform knows no such locks, an opened disk refuses to be opened for writing.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EAGAIN):
            raise
        raise SourceChangedError(
            str(path), "another program is using the file", "Stop it, and start again."
        ) from error
    yield
