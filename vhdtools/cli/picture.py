"""A disk's map as a picture file, drawn by matplotlib (extra `map`)."""

from __future__ import annotations

import warnings
from pathlib import Path

from vhdtools.cli.formatting import format_size, printable, share_text
from vhdtools.errors import UsageError
from vhdtools.inspection.describe import short_size
from vhdtools.inspection.disk_map import Cell, DiskMap

__all__ = ["PICTURE_CELLS", "draw_picture"]

_COLUMNS, _ROWS = 128, 64
PICTURE_CELLS = _COLUMNS * _ROWS

# Colours that are told apart by the colour-blind, too (Okabe and Ito).
_OWN, _INHERITED, _ZERO = (0.0, 0.45, 0.70), (0.90, 0.62, 0.0), (0.93, 0.93, 0.93)


def draw_picture(disk_map: DiskMap, path: Path) -> None:
    """Write the map to an .svg or .png file. UsageError without matplotlib, or where it fails."""
    try:
        from matplotlib.figure import Figure
        from matplotlib.patches import Patch
    except ImportError as error:
        raise UsageError(
            str(path),
            "a picture is drawn by matplotlib, which is not installed",
            "Install it: pip install 'vhdtools[map]'",
        ) from error
    cells = disk_map.cells
    rows = -(-len(cells) // _COLUMNS)
    blank = (1.0, 1.0, 1.0)
    colours = [_colour(cell) for cell in cells] + [blank] * (rows * _COLUMNS - len(cells))
    figure = Figure(figsize=(12, 1.6 + 0.09 * rows), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(
        [colours[row * _COLUMNS : (row + 1) * _COLUMNS] for row in range(rows)],
        aspect="auto",
        interpolation="nearest",
        extent=(0, _COLUMNS, rows, 0),
    )
    ticks = sorted({0, rows // 4, rows // 2, 3 * rows // 4})
    axes.set_yticks(ticks, [short_size(row * _COLUMNS * disk_map.cell_size) for row in ticks])
    axes.set_xticks([])
    title = f"{printable(Path(disk_map.path).name)}: {format_size(disk_map.virtual_size)}"
    axes.set_title(title, loc="left", parse_math=False)
    axes.set_xlabel(f"one cell is {short_size(disk_map.cell_size)}, a row {_COLUMNS} cells")
    total = disk_map.total
    parts = [
        (_OWN, "data", total.own),
        (_INHERITED, "data of a parent", total.inherited),
        (_ZERO, "zeros", total.zero),
    ]
    axes.legend(
        handles=[
            Patch(color=colour, label=f"{name}: {share_text(size, disk_map.virtual_size)}")
            for colour, name, size in parts
            if size or name == "data"
        ],
        loc="lower right",
        bbox_to_anchor=(1, 1),
        ncols=3,
        frameon=False,
    )
    try:
        with warnings.catch_warnings():
            # A character that the font has not is drawn as a box.
            warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font", UserWarning)
            figure.savefig(path)
    except OSError as error:
        raise UsageError(str(path), f"cannot be written: {error.strerror or error}") from error


def _colour(cell: Cell) -> tuple[float, ...]:
    """A mixture of the kinds by their shares; even a little data shows."""
    if not cell.size:
        return _ZERO
    shares = [cell.own / cell.size, cell.inherited / cell.size]
    shares = [share and max(share, 0.25) for share in shares]
    zero = max(0.0, 1 - sum(shares))
    total = sum(shares) + zero
    return tuple(
        (own * shares[0] + inherited * shares[1] + nothing * zero) / total
        for own, inherited, nothing in zip(_OWN, _INHERITED, _ZERO, strict=True)
    )
