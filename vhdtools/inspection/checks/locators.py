"""What is to be said about the names that a differencing disk has for its parent."""

from __future__ import annotations

import ntpath
from collections.abc import Iterator
from urllib.parse import unquote

from vhdtools.image.locators import FoundLocator, ParentName
from vhdtools.image.structure import Structure
from vhdtools.inspection.describe import printable, size_text
from vhdtools.inspection.finding import Finding
from vhdtools.inspection.kinds import parents as kinds
from vhdtools.layout import DYNAMIC_HEADER_FIELDS, DiskType

__all__ = ["check_locators", "file_name"]

_KNOWN_CODES = (b"W2ku", b"W2ru", b"MacX", b"Mac ", b"Wi2r", b"Wi2k")
_TEXT_CODES = (b"W2ku", b"W2ru", b"MacX")
_AT = {place.name: place.offset for place in DYNAMIC_HEADER_FIELDS}


def check_locators(structure: Structure) -> Iterator[Finding]:
    """The parent name and the parent locators of a differencing disk."""
    at, footer = structure.header_offset, structure.footer
    if at is None or footer is None or footer.disk_type != DiskType.DIFFERENCING:
        return
    if structure.parent_name is not None:
        yield from _check_name(structure.parent_name, at + _AT["parent_name"])
    seen: set[bytes] = set()
    for found in structure.parent_locators:
        code = found.locator.platform_code
        place = at + _AT[f"parent_locators[{found.index}].platform_code"]
        yield from _check_locator(found, place, structure.data_end)
        if code in seen:
            yield kinds.LOCATOR_DUPLICATE.found(
                f"parent locator {found.index + 1} is another one of the kind {_code(found)}", place
            )
        seen.add(code)
    yield from _check_unused(structure, at)
    yield from _compare_names(structure, at + _AT["parent_name"])


def _check_name(name: ParentName, at: int) -> Iterator[Finding]:
    if not name.encoding:
        yield kinds.PARENT_NAME_UNDECODABLE.found("the parent's name is not UTF-16", at)
    elif name.encoding == "utf-16-le":
        yield kinds.PARENT_NAME_LE.found(
            f"the parent's name, '{printable(name.text)}', is written in UTF-16LE", at
        )


def _check_locator(found: FoundLocator, at: int, data_end: int) -> Iterator[Finding]:
    locator, which = found.locator, f"parent locator {found.index + 1} ({_code(found)})"
    if locator.platform_code not in _KNOWN_CODES:
        yield kinds.LOCATOR_UNKNOWN.found(f"{which} is of no known kind", at)
    if not locator.data_offset or not locator.data_length or not locator.data_space:
        yield kinds.LOCATOR_EMPTY.found(f"{which} says nothing of where its path is", at)
    elif found.data is None or locator.data_offset + locator.data_length > data_end:
        yield kinds.LOCATOR_OUTSIDE.found(
            f"{which} says that its path is {size_text(locator.data_length)} long, "
            f"at byte {locator.data_offset:,}",
            at,
        )
    elif found.text is None and locator.platform_code in _TEXT_CODES:
        yield kinds.LOCATOR_UNDECODABLE.found(
            f"the path of {which} is not text", locator.data_offset
        )
    if locator.reserved:
        yield kinds.LOCATOR_RESERVED.found(f"reserved bytes of {which} are not zero", at)


def _check_unused(structure: Structure, at: int) -> Iterator[Finding]:
    locators = () if structure.header is None else structure.header.parent_locators
    for index, locator in enumerate(locators):
        rest = (locator.data_space, locator.data_length, locator.reserved, locator.data_offset)
        if not any(locator.platform_code) and any(rest):
            yield kinds.LOCATOR_UNUSED.found(
                f"parent locator {index + 1} is not in use, but its fields are not zero",
                at + _AT[f"parent_locators[{index}].platform_code"],
            )


def _compare_names(structure: Structure, at: int) -> Iterator[Finding]:
    spellings = [found.text for found in structure.parent_locators if found.text]
    if structure.parent_name is not None and structure.parent_name.text:
        spellings.append(structure.parent_name.text)
    names = {file_name(text).lower(): printable(file_name(text)) for text in spellings}
    if len(names) > 1:
        yield kinds.LOCATOR_NAME_DIFFERS.found(
            "the parent is called " + " and ".join(f"'{name}'" for name in names.values()), at
        )


def file_name(path: str) -> str:
    """The last part of a path as Windows, POSIX or a file: URL writes it."""
    if path.lower().startswith("file:"):
        path = unquote(path)
    return ntpath.basename(path)


def _code(found: FoundLocator) -> str:
    return printable(found.locator.platform_code.decode("latin-1").strip("\0 "))
