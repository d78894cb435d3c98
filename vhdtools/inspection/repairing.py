"""Repairs carried out: planned, backed up, written, made lasting, and looked at again."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from vhdtools.errors import SourceChangedError, SourceReadError, UsageError
from vhdtools.image.source import Fingerprint, Readable, open_source
from vhdtools.image.structure import Structure, read_structure
from vhdtools.inspection.repair import Patch

__all__ = ["Repair", "plan_repair", "plan_undo", "write_repair"]

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
    """Look at a disk and plan its repair by `plan`. Raises as `plan` does, and SourceReadError."""
    source = open_source(path, devices=False)
    try:
        return Repair(source.path, source.fingerprint, plan(read_structure(source), source))
    finally:
        source.close()


def plan_undo(path: str | os.PathLike[str], backup: str | os.PathLike[str]) -> Repair:
    """Plan to put back what a repair replaced, by the backup that it wrote.

    Raises UsageError where `backup` is no such file, or not of this disk as it is now.
    """
    try:
        with Path(backup).open("rb") as file:
            saved = json.loads(file.read(_MAX_BACKUP))
        size = int(saved["file_size"])
        patches = tuple(
            Patch(
                int(item["offset"]),
                bytes.fromhex(item["new"]),
                bytes.fromhex(item["old"]),
                f"back: {item['why']}",
            )
            for item in saved["patches"]
        )
    except OSError as error:
        raise UsageError(str(backup), f"cannot be read: {error.strerror or error}") from error
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(str(backup), "this is no backup of a repair") from error
    source = open_source(path, devices=False)
    try:
        for patch in patches:
            there = max(0, min(len(patch.old), source.size - patch.offset))
            if source.read(patch.offset, there) != patch.old:
                raise UsageError(str(backup), f"this is no backup of {path} as it is now")
        return Repair(source.path, source.fingerprint, patches, size)
    finally:
        source.close()


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
                file.seek(patch.offset)
                file.write(patch.new)
            if repair.truncate_to is not None:
                file.truncate(repair.truncate_to)
            os.fsync(file.fileno())
            _check_written(file, repair, backup)
    except OSError as error:
        raise SourceReadError(
            str(error.filename or repair.path),
            f"cannot be written: {error.strerror or error}",
            "The disk was not touched."
            if backup is None
            else f"What was there before is in {backup}.",
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
                f"What was there before is in {backup}.",
                patch.offset,
            )


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
