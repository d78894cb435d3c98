"""Commands in remedies, made to be pasted: the names of files in the place of placeholders."""

from __future__ import annotations

import re
from itertools import count, islice
from pathlib import Path

from vhdtools.text import shell_quoted

__all__ = ["fill"]

_TRIES = 100
_PLACEHOLDER = re.compile(r"\{(?:(disk|vpc)|new:([^{}]*))\}")


def fill(to_do: str, path: Path) -> str:
    """`to_do` for the file `path`: the names in it are quoted for a shell.

    "{disk}" is the file, "{new:END}" one to be made beside it, which is called as the file without
    its last suffix, and END; where there is such a file, a number is put in. "{vpc}" is the file
    as `qemu-img --image-opts` reads a VHD of its current size, whoever made it.
    """

    def name(match: re.Match[str]) -> str:
        if match[1] == "disk":
            return shell_quoted(str(path))
        if match[1] == "vpc":
            named = str(path).replace(",", ",,")
            return shell_quoted(f"driver=vpc,force_size_calc=current_size,file.filename={named}")
        return shell_quoted(str(_free(path.with_name(path.stem + match[2]))))

    return _PLACEHOLDER.sub(name, to_do)


def _free(wanted: Path) -> Path:
    """`wanted`, or a name like it that no file has."""
    stem, suffix = wanted.stem, wanted.suffix
    others = (wanted.with_name(f"{stem}-{number}{suffix}") for number in count(2))
    return next((place for place in (wanted, *islice(others, _TRIES)) if not _taken(place)), wanted)


def _taken(path: Path) -> bool:
    try:
        return path.exists() or path.is_symlink()
    except OSError:
        return True
