"""A disk's map on the terminal."""

from __future__ import annotations

import click

from vhdtools.cli.formatting import (
    can_show,
    format_size,
    heading,
    printable,
    share_text,
    table,
    terminal_width,
)
from vhdtools.inspection.describe import short_size
from vhdtools.inspection.disk_map import Cell, DiskMap

__all__ = ["block_map_text", "cells_that_fit"]

_UNICODE = ("░▒▓█", "◦", "·")
_ASCII = (".:+#", "o", "-")
_LABEL = 12
_ROWS = 24


def cells_that_fit() -> int:
    """The most cells that a map on the terminal has."""
    return _columns() * _ROWS


def block_map_text(disk_map: DiskMap) -> str:
    """The map, a line for each row of cells, and its legend."""
    shades, inherited, zero = _UNICODE if can_show("".join(_UNICODE)) else _ASCII
    width = _columns()
    lines = [heading(f"Map of {printable(disk_map.path)}")]
    for start in range(0, len(disk_map.cells), width):
        cells = disk_map.cells[start : start + width]
        drawn = "".join(_character(cell, shades, inherited, zero) for cell in cells)
        label = short_size(start * disk_map.cell_size)
        lines.append(f"{label:>{_LABEL}}  {drawn}")
    lines.append(f"{'':{_LABEL}}  one character is {short_size(disk_map.cell_size)}")
    total = disk_map.total
    rows = [
        (_data(shades), "data", total.own),
        (_parent(inherited), "data of a parent", total.inherited),
        (_zero(zero), "zeros: not in the file, or holes of it", total.zero),
    ]
    return "\n".join(
        lines
        + table(
            [
                (sign, name, format_size(size), share_text(size, disk_map.virtual_size))
                for sign, name, size in rows
                if size or name == "data"
            ],
            indent=_LABEL + 2,
        )
    )


def _columns() -> int:
    """Cells to a line: a multiple of 8 that fits the terminal."""
    return max(16, (terminal_width() - _LABEL - 4) // 8 * 8)


def _character(cell: Cell, shades: str, inherited: str, zero: str) -> str:
    if cell.own:
        # The darkest is for cells that are all data, the lightest for any at all.
        share = cell.own / cell.size
        return _data(shades[-1] if share == 1 else shades[int(share * (len(shades) - 1))])
    return _parent(inherited) if cell.inherited else _zero(zero)


def _data(text: str) -> str:
    return click.style(text, fg="green")


def _parent(text: str) -> str:
    return click.style(text, fg="blue")


def _zero(text: str) -> str:
    return click.style(text, dim=True)
