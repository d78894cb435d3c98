"""Where the parent of a differencing disk is: every spelling of its path, every place to look.

A file is taken for the parent only if it is a VHD with the unique id that the child asks for. A
null id proves nothing: a raw file, or a VHD with a null id, is taken only where that is allowed.
Of any other file, its first 512 bytes and last 64 KiB are all that is ever read, whatever path the
child names.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import unquote_to_bytes

from vhdtools.errors import SourceReadError
from vhdtools.image.footers import find_end_footer, footers_at_the_ends
from vhdtools.image.source import Source, open_source
from vhdtools.image.structure import Structure, read_structure

__all__ = ["NO_PARENT_ID", "ParentSearch", "find_parent", "places_to_look"]

NO_PARENT_ID = bytes(16)
"""The parent unique id of a disk over a raw file (blktap), which has no id to compare."""

Outcome: TypeAlias = Literal["found", "raw", "missing", "wrong-id", "cycle", "raw-not-allowed"]

_MAX_PLACES = 1000
_MAX_PATH = 4096  # characters: Linux's limit; Windows' is 260 for nearly every program
_MAX_NAMES = 64
_MAX_SUFFIX = 8
_MAX_LISTED = 100_000
_NO_VHD = "not a VHD"
# A drive, a share, or a device path's prefix: what a path on Windows begins with.
_WINDOWS_ROOT = re.compile(r"(?:\\\\[?.]\\)?(?:UNC\\[^\\]+|\\\\[^\\]+|[A-Za-z]:)?\\|[A-Za-z]:")


@dataclass(frozen=True, slots=True)
class ParentSearch:
    """How a search for a parent ended.

    `outcome`: "found" (a VHD with the right id; `source` is open and the caller's, `structure`
    what it holds) or "raw" (a file without a footer; `source` as before); "missing" (no file at
    any place), "wrong-id" (only other files), "cycle" (a file that is in the chain already),
    "raw-not-allowed" (a null parent id, and such parents were not asked for). `places` are all
    that were looked at, each with why it was not the one.
    """

    outcome: Outcome
    places: tuple[tuple[Path, str], ...]
    source: Source | None = None
    structure: Structure | None = None


def find_parent(
    child: Structure,
    chain: Collection[tuple[int, int]],
    *,
    parent_dirs: Sequence[Path] = (),
    raw_parent: bool = False,
) -> ParentSearch:
    """Look for the parent of `child`, a disk with a dynamic disk header.

    `chain` is the (device, inode) of every file from the first child down to this one.
    """
    wanted = NO_PARENT_ID if child.header is None else child.header.parent_unique_id
    known_by_id = wanted != NO_PARENT_ID
    places: list[tuple[Path, str]] = []
    seen: set[tuple[int, int]] = set()
    cycle = False
    for place in places_to_look(child, parent_dirs):
        try:
            source = open_source(place, devices=False)
        except SourceReadError as exc:
            places.append((place, exc.problem))
            continue
        identity = source.fingerprint.identity
        if identity in chain:
            cycle = True
            reason = "a disk of the chain itself"
        elif identity in seen:
            reason = "the same file as one before"
        else:
            seen.add(identity)
            try:
                structure, reason = _examine(source, wanted)
            except SourceReadError as exc:
                structure, reason = None, exc.problem
            if structure is not None and (known_by_id or raw_parent):
                return ParentSearch("found", tuple(places), source, structure)
            if reason == _NO_VHD and not known_by_id and raw_parent:
                return ParentSearch("raw", tuple(places), source)
        source.close()
        places.append((place, reason))
    if cycle:
        return ParentSearch("cycle", tuple(places))
    if not known_by_id and not raw_parent:
        return ParentSearch("raw-not-allowed", tuple(places))
    return ParentSearch("wrong-id" if seen else "missing", tuple(places))


def places_to_look(child: Structure, parent_dirs: Sequence[Path] = ()) -> list[Path]:
    """Every path that the parent may have by the child's words, the likeliest first, each once.

    Relative names are meant from the child's folder, never from the working directory. Then come
    the last names of each path, next to the child and in each of `parent_dirs`, whatever the case
    of their letters. A server that a path names is never asked: it could be anybody's.
    """
    folder = child.path.parent
    spellings = list(dict.fromkeys(_spellings(child)))
    list_names = cache(_list_names)
    places: dict[Path, None] = {}
    for text in spellings:
        names = _names(text)
        if Path(text).is_absolute():
            if not text.replace("/", "\\").startswith("\\\\"):
                places.setdefault(Path(text))
        elif not _WINDOWS_ROOT.match(text) and len(names) <= _MAX_NAMES:
            places.setdefault(_in_any_case(folder, names, list_names))
    for base in (*parent_dirs, folder):
        for text in spellings:
            names = [name for name in _names(text) if name != ".."]
            for number in range(1, min(len(names), _MAX_SUFFIX) + 1):
                place = _in_any_case(base, names[-number:], list_names)
                if number == 1 or _exists(place):  # a missing file is told of once
                    places.setdefault(place)
    return list(places)[:_MAX_PLACES]


def _examine(source: Source, wanted: bytes) -> tuple[Structure | None, str]:
    """The structure of the parent, or None and why this is not it."""
    footers = footers_at_the_ends(source)
    if not footers and wanted != NO_PARENT_ID:  # a raw parent may hold what looks like a footer
        behind = find_end_footer(source)
        footers = [behind] if behind is not None and behind.valid else []
    ids = {found.footer.unique_id for found in footers}
    if wanted in ids:
        structure = read_structure(source)
        if structure.footer is not None and structure.footer.unique_id == wanted:
            return structure, "a VHD with this id"
    if not ids:
        return None, _NO_VHD
    return None, "another VHD, with the unique id " + " or ".join(sorted(i.hex() for i in ids))


def _spellings(child: Structure) -> Iterator[str]:
    """What the parent is called: relative locators, then others, then the header's name."""
    texts = [found for found in child.parent_locators if found.text is not None]
    texts.sort(key=lambda found: found.locator.platform_code != b"W2ru")
    for found in texts:
        text = found.text or ""
        if found.locator.platform_code == b"MacX":
            text = _path_of_url(text)
        yield from _usable(text)
    if child.parent_name is not None:
        yield from _usable(child.parent_name.text)


def _usable(text: str) -> Iterator[str]:
    text = text.split("\0", 1)[0]
    if len(text) <= _MAX_PATH and any(name != ".." for name in _names(text)):
        yield text


def _path_of_url(text: str) -> str:
    """The path of a file URL: file:///a/b, file://localhost/a/b, and blktap's file://./b."""
    if not text.lower().startswith("file:"):
        return text
    rest = text[len("file:") :]
    if rest.startswith("//"):
        rest = rest[2:].removeprefix("localhost")
    return os.fsdecode(unquote_to_bytes(rest))


def _names(text: str) -> list[str]:
    """The names that a Windows or POSIX path is made of, without drive, root and "."."""
    root = _WINDOWS_ROOT.match(text)
    relative = text if root is None else text[root.end() :]
    return [name for name in re.split(r"[\\/]+", relative) if name not in ("", ".")]


def _in_any_case(base: Path, names: Sequence[str], list_names: Callable[[Path], list[str]]) -> Path:
    """`names` under `base`; where one is not there, one that differs only in case, if it exists."""
    path = base
    for index, name in enumerate(names):
        found = name
        if name != ".." and not _exists(path / name):
            like = [other for other in list_names(path) if other.casefold() == name.casefold()]
            if not like:
                return path.joinpath(*names[index:])
            found = like[0]
        path /= found
    return path


def _exists(path: Path) -> bool:
    try:
        path.lstat()
    except (OSError, ValueError):
        return False
    return True


def _list_names(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in islice(entries, _MAX_LISTED))
    except (OSError, ValueError):
        return []
