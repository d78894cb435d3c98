"""The catalogue: every kind of finding there is, by its code. FINDINGS.md shows it to people."""

from __future__ import annotations

from vhdtools.inspection.finding import Kind
from vhdtools.inspection.kinds import blocks, file, footer, guest, header, parents, remote

__all__ = ["CATALOGUE"]

CATALOGUE: dict[str, Kind] = {
    kind.code: kind
    for module in (file, footer, header, blocks, parents, guest, remote)
    for kind in module.KINDS
}
"""Every kind by its code, in the order of the page."""
