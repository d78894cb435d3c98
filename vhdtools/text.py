"""Text on its way out: printable, quoted for a shell, and without secrets.

Everything that leaves vhdtools passes `redact`: messages, log records, JSON, `repr`.
"""

from __future__ import annotations

import re
import shlex
from functools import cache
from typing import NamedTuple
from urllib.parse import unquote

__all__ = ["holds_secret", "name_bytes", "printable", "redact", "shell_quoted"]


def printable(text: str) -> str:
    """`text` with everything escaped that could move a terminal's cursor, or deceive the eye."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def name_bytes(name: str) -> bytes:
    """The bytes of a file's name: UTF-8, but for those that Python shows as lone surrogates."""
    try:
        return name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a surrogate that stands for no byte, as Windows allows in names
        return name.encode("utf-8", "backslashreplace")


def shell_quoted(path: str) -> str:
    """A file's name for a command that is shown, to be copied: one word, and no option."""
    if path.startswith("-"):
        path = f"./{path}"
    if path.isprintable():
        return shlex.quote(path)
    # What is shown escaped can be copied only if the shell undoes it.
    shown = "".join(
        chr(byte) if 0x20 <= byte < 0x7F and byte not in b"'\\" else f"\\x{byte:02x}"
        for byte in name_bytes(path)
    )
    return f"$'{shown}'"


_NAMES = (
    r"sig|signature|(?:account|storage)_?key|shared_?access_?(?:signature|key)|client_?secret|password"
    r"|token"
)
_EQUALS = r"(?:=|%(?:25)*3D)"
# An account key is 64 bytes in base64, in a URL perhaps escaped.
_KEY = r"(?:[A-Za-z0-9+/_-]|%(?:25)*2[BF]){86}(?:==|(?:%(?:25)*3D){2})"
# A JSON web token: two objects in base64, and a signature.
_JWT = r"(?:\beyJ[A-Za-z0-9_-]{20,}|eyJ[A-Za-z0-9_-]{8,}=*(?=\.eyJ))(?:=*\.[A-Za-z0-9_-]*)*"


class _Form(NamedTuple):
    """How a secret looks; none is in a case-folded text without one of the `hints`."""

    hints: tuple[str, ...]
    pattern: str
    replacement: str = "REDACTED"


_FORMS = (
    # NAME=value, 'NAME': 'value', "NAME": "value"; up to what ends a value or the URL it is in.
    _Form(
        ("sig", "key", "secret", "password", "token"),
        rf"(?i)((?:{_NAMES})(?:[\"']?\s*{_EQUALS}|[\"']\s*:)\s*\\?[\"']?)"
        r"[A-Za-z0-9+/%_=-][^\s'\"<>;,]*",
        r"\1REDACTED",
    ),
    _Form(
        ("authorization",),
        r"(?i)(authorization[\"']?\s*[:=]\s*[\"']?\w+\s+)[^\s'\",;]+",
        r"\1REDACTED",
    ),
    # A word such as "Basic authentication" is no credential: that has a digit, or mixed case.
    _Form(
        ("bearer", "sharedkey", "basic"),
        r"\b((?i:bearer|sharedkey(?:lite)?|basic)(?:\s|%20)+)"
        r"(?=\S*(?:\d|=|[a-z]\S*[A-Z]))[^\s'\",;]{6,}",
        r"\1REDACTED",
    ),
    _Form(("==", "3d"), rf"(?i){_KEY}"),
    _Form(("eyj",), _JWT),
    # User and password in a URL; of wasbs://CONTAINER@HOST it is the container.
    _Form(("@",), r"(?<!wasb://|abfs://)(?<!wasbs://|abfss://)(?<=://)[^/@\s]+(?=@)"),
)


def redact(text: str) -> str:
    """`text` with signatures, account keys, tokens and URLs' passwords replaced by REDACTED."""
    folded = text.casefold()
    for form in _FORMS:
        # Nearly all texts hold nothing, and the patterns are dear to compile and to search by.
        if any(hint in folded for hint in form.hints):
            text = _compiled(form.pattern).sub(form.replacement, text)
    return text


_SECRET = (
    rf"(?i:sig\s*=|[\"']sig[\"']\s*:|(?:account|storage)_?key\s*=|shared_?access_?(?:signature|key)\b|{_KEY})"
    rf"|(?i:\bbearer\s+[\w.~+/=-]{{16,}})|{_JWT}"
)
_SECRET_HINTS = ("sig", "key", "bearer", "==", "3d", "eyj")
_ESCAPES = ("%", "&")


def holds_secret(text: str) -> bool:
    """Whether a SAS, an account key, a connection string or a token is in what a user typed.

    Also where it was escaped for a URL or for HTML, or has blanks or quotation marks within.
    """
    for _ in range(4):
        if _looks_secret(text):
            return True
        if not any(escape in text for escape in _ESCAPES):
            break
        import html  # its table of entities takes as long to load as inspecting a disk

        plain = html.unescape(unquote(text))
        if plain == text:
            break
        text = plain
    return _looks_secret(re.sub(r"[\s\"'\\]", "", text))


def _looks_secret(text: str) -> bool:
    folded = text.casefold()
    return (
        any(hint in folded for hint in _SECRET_HINTS)
        and _compiled(_SECRET).search(text) is not None
    )


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
