"""Text where a disk should be: what kind of text it is."""

from __future__ import annotations

import codecs
import re
from typing import NamedTuple

__all__ = ["TextKind", "recognize_text"]

_LOOKED_AT = 4096
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_AGAIN = "The download did not bring the disk: see what the message says, and download it again."
_NOT_A_DISK = "Name a disk image."


class TextKind(NamedTuple):
    """`format` in a word, `name` with an article, and what `to_do`."""

    format: str
    name: str
    to_do: str


_LFS = TextKind(
    "git-lfs",
    "a Git LFS pointer",
    "Fetch the disk itself: git lfs pull, in the repository that the file is in.",
)
_OVF = TextKind("ovf", "an OVF descriptor", "Name one of the disks that it describes.")
_HTML = TextKind("html", "an HTML page", _AGAIN)
_KINDS = (  # compiled when they are needed, which is rarely
    (r"version https://git-lfs\.github\.com/spec/", _LFS),
    (r"<(?:\?xml\b[^>]*>\s*<)?(?:\w+:)?Envelope\b", _OVF),
    (r"(?i)<(?:!doctype html|html)\b", _HTML),
    (r"<\?xml\b", TextKind("xml", "an XML document", _NOT_A_DISK)),
    (r"[{\[]\s*[\"{\[\]}]", TextKind("json", "JSON text", _AGAIN)),
    (r"#!", TextKind("script", "a script", _NOT_A_DISK)),
    (
        (
            r"(?i)(?:--[^\n]*\n|\s)*(?:library\s+\w+\s*;|use\s+[\w.]+\s*;|entity\s+\w+\s+is\b"
            r"|package\s+(?:body\s+)?\w+\s+is\b|architecture\s+\w+\s+of\b)"
        ),
        TextKind("vhdl", "VHDL source text", _NOT_A_DISK),
    ),
)
_ERROR_CODE = r"<Error>\s*<Code>\s*(\w{1,64})\s*</Code>"
_TEXT = TextKind("text", "a text file", _NOT_A_DISK)


def recognize_text(head: bytes, tail: bytes) -> TextKind | None:
    """The kind of text that a file is, by its first and last bytes; None where it is none."""
    text = _decoded(head[:_LOOKED_AT])
    if text is None or (b"\0" in tail and b"\0" not in head[:_LOOKED_AT]):
        return None
    text = text.lstrip()
    error = re.search(_ERROR_CODE, text)
    if error is not None:
        name = f"an error message in XML ({error[1]})"
        return TextKind("xml", name, _AGAIN)
    return next((kind for pattern, kind in _KINDS if re.match(pattern, text)), _TEXT)


def _decoded(head: bytes) -> str | None:
    encoding = "utf-8"
    for mark, name in _BOMS:
        if head.startswith(mark):
            head, encoding = head[len(mark) :], name
            break
    if not head.strip():
        return None
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        text = decoder.decode(head)  # the last character may be cut
    except UnicodeDecodeError:
        return None
    printable = all(character.isprintable() or character in "\t\r\n\f" for character in text)
    return text if text and printable else None
