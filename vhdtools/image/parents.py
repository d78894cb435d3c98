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
from vhdtools.image.footers import find_copy, find_end_footer, footers_at_the_ends
from vhdtools.image.source import Source, open_source
from vhdtools.image.structure import Structure, read_structure
from vhdtools.layout.unique_id import guid

__all__ = ["NO_PARENT_ID", "ParentSearch", "find_parent", "places_to_look"]

NO_PARENT_ID = bytes(16)
"""The parent unique id of a disk over a raw file (blktap), which has no id to compare."""

Outcome: TypeAlias = Literal[
    "found", "raw", "missing", "wrong-id", "cycle", "raw-not-allowed", "unnamed", "several"
]

_MAX_PLACES = 1000
_MAX_PATH = 4096  # characters: Linux's limit; Windows' is 260 for nearly every program
_MAX_NAMES = 64
_MAX_SUFFIX = 8
_MAX_LISTED = 100_000
_MAX_SEARCHED = 1000
_NO_VHD = "not a VHD"
_IN_CHAIN = "a disk of the chain itself"
# A drive, a share, or a device path's prefix: what a path on Windows begins with.
_WINDOWS_ROOT = re.compile(r"(?:\\\\[?.]\\)?(?:UNC\\[^\\]+|\\\\[^\\]+|[A-Za-z]:)?\\|[A-Za-z]:")


@dataclass(frozen=True, slots=True)
class ParentSearch:
    """How a search for a parent ended.

    `outcome`: "found" (a VHD with the right id, perhaps damaged; `source` is open and the
    caller's, `structure` what it holds) or "raw" (a file without a footer; `source` as before);
    "missing" (no file at any place), "wrong-id" (only other files), "cycle" (a file that is in the
    chain already), "raw-not-allowed" (a null parent id, and such parents were not asked for),
    "unnamed" (a null parent id, and no name), "several" (more than one file of a folder has the
    id). `places` are all that were looked at, each with why it was not the one.
    """

    outcome: Outcome
    places: tuple[tuple[Path, str], ...]
    source: Source | None = None
    structure: Structure | None = None


def find_parent(
    child: Structure,
    chain: Collection[tuple[int, int]],
    *,
    parents: Sequence[Path] = (),
    parent_dirs: Sequence[Path] = (),
    raw_parent: bool = False,
    notation: bytes = b"",
) -> ParentSearch:
    """Look for the parent of `child`, a disk with a dynamic disk header.

    `chain` is the (device, inode) of every file from the first child down to this one, `parents`
    are files that may be parents, whatever the child calls them. Where none of the names leads to
    the parent, the files of the child's folder and of `parent_dirs` are searched for its unique
    id, a bounded number. Ids are told in the notation of the creator `notation`.
    """
    look = _Search(child, set(chain), raw_parent, notation)
    try:
        named = [*parents, *places_to_look(child, parent_dirs)]
        found = look.at(named)
        if found is None and look.known_by_id:
            found = look.through([*parent_dirs, child.path.parent])
        if found is None and look.damaged is not None:
            found = look.end("found", *look.take_damaged())
        if found is not None:
            return found
        if look.cycle:
            return look.end("cycle")
        if not look.known_by_id and not raw_parent:
            return look.end("raw-not-allowed" if look.places else "unnamed")
        if not look.known_by_id and not look.places:
            return look.end("unnamed")
        return look.end("wrong-id" if look.seen else "missing")
    finally:
        look.close()


class _Search:
    """One search: what was looked at, and a damaged file with the right id, if there is any."""

    def __init__(
        self, child: Structure, chain: set[tuple[int, int]], raw_parent: bool, notation: bytes
    ) -> None:
        header = child.header
        self.wanted = NO_PARENT_ID if header is None else header.parent_unique_id
        self.known_by_id = self.wanted != NO_PARENT_ID
        self.places: list[tuple[Path, str]] = []
        self.seen: set[tuple[int, int]] = set()
        self.cycle = False
        self.damaged: tuple[Source, Structure] | None = None
        self._chain = chain
        self._raw_parent = raw_parent
        self._notation = notation

    def at(self, named: Sequence[Path]) -> ParentSearch | None:
        """The parent among the places that have a name."""
        for place in named:
            try:
                source = open_source(place, devices=False)
            except SourceReadError as exc:
                self.places.append((place, exc.problem))
                continue
            identity = source.fingerprint.identity
            if identity in self._chain:
                self.cycle = True
                reason = _IN_CHAIN
            elif identity in self.seen:
                reason = "the same file as one before"
            else:
                self.seen.add(identity)
                structure, reason = self._examine(source)
                if structure is not None and (self.known_by_id or self._raw_parent):
                    return self.end("found", source, structure)
                if reason == _NO_VHD and not self.known_by_id and self._raw_parent:
                    return self.end("raw", source)
                if self.damaged is not None and self.damaged[0] is source:
                    continue
            source.close()
            self.places.append((place, reason))
        return None

    def through(self, folders: Sequence[Path]) -> ParentSearch | None:
        """The parent among the files of folders, by its id alone."""
        for folder in dict.fromkeys(folders):
            matching: list[tuple[Source, Structure]] = []
            others = 0
            names = _list_names(folder)
            for name in names[:_MAX_SEARCHED]:
                found, is_vhd = self._known(folder / name)
                others += is_vhd
                if found is not None:
                    matching.append(found)
                if len(matching) > 1:
                    for source, _ in matching:
                        source.close()
                        self.places.append((source.path, "has this id"))
                    return self.end("several")
            if matching:
                return self.end("found", *matching[0])
            if len(names) > _MAX_SEARCHED:
                first = f"none of its first {_MAX_SEARCHED:,} files has this id"
                self.places.append((folder, f"{first}; the others were not looked at"))
            elif others:
                self.places.append((folder, f"none of the {others} other VHDs in it has this id"))
        return None

    def _known(self, path: Path) -> tuple[tuple[Source, Structure] | None, bool]:
        """The disk `path`, if it is the parent, and whether it is another VHD."""
        try:
            source = open_source(path, devices=False)
        except SourceReadError:
            return None, False
        identity = source.fingerprint.identity
        if identity in self._chain or identity in self.seen:
            source.close()
            return None, False
        self._searched(identity)
        structure, reason = self._examine(source)
        if structure is not None:
            return (source, structure), False
        if self.damaged is None or self.damaged[0] is not source:
            source.close()
        return None, reason != _NO_VHD

    def _searched(self, identity: tuple[int, int]) -> None:
        self._chain.add(identity)  # not to be looked at twice; none of the child's names leads here

    def _examine(self, source: Source) -> tuple[Structure | None, str]:
        """The structure of the parent, or None and why this is not it."""
        try:
            structure, reason = _examine(source, self.wanted, self._notation)
        except SourceReadError as exc:
            return None, exc.problem
        if structure is not None and not _is_valid(structure):
            if self.damaged is None:
                self.damaged = (source, structure)
            return None, "this VHD, but its footer is damaged"
        return structure, reason

    def take_damaged(self) -> tuple[Source, Structure]:
        """The damaged file, which is the caller's from now on."""
        assert self.damaged is not None
        taken, self.damaged = self.damaged, None
        return taken

    def end(
        self, outcome: Outcome, source: Source | None = None, structure: Structure | None = None
    ) -> ParentSearch:
        """How it ended."""
        return ParentSearch(outcome, tuple(self.places), source, structure)

    def close(self) -> None:
        """Close what nobody took."""
        if self.damaged is not None:
            self.damaged[0].close()


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


def _examine(source: Source, wanted: bytes, notation: bytes) -> tuple[Structure | None, str]:
    """The structure of the parent, or None and why this is not it."""
    footers = footers_at_the_ends(source)
    if not footers and wanted != NO_PARENT_ID:  # a raw parent may hold what looks like a footer
        behind = find_end_footer(source)
        # By a damaged footer, too, a disk is known: its id is what counts.
        footers = [found for found in (behind, find_copy(source)) if found and found.cookie_ok]
    ids = {found.footer.unique_id for found in footers}
    if wanted in ids:
        structure = read_structure(source)
        if structure.footer is not None and structure.footer.unique_id == wanted:
            return structure, "a VHD with this id"
    if not ids:
        return None, _NO_VHD
    told = " or ".join(sorted(guid(raw, notation) for raw in ids))
    return None, f"another VHD, with the unique id {told}"


def _is_valid(structure: Structure) -> bool:
    return structure.used is not None and structure.used.valid


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
    """`names` under `base`, as the folders spell them, which may differ in the case of letters."""
    path = base
    for index, name in enumerate(names):
        found = name
        listed = [] if name == ".." else list_names(path)
        if name != ".." and name not in listed:
            like = [other for other in listed if other.casefold() == name.casefold()]
            if not like and not _exists(path / name):
                return path.joinpath(*names[index:])
            found = like[0] if like else name
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
