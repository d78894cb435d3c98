"""All that is to be said about one file by itself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from vhdtools.image.reading import UNQUESTIONED, Reading
from vhdtools.image.soundness import Soundness
from vhdtools.image.structure import Structure
from vhdtools.inspection.checks.blocks import check_blocks
from vhdtools.inspection.checks.footer import check_fields, check_footers, check_sizes
from vhdtools.inspection.checks.header import check_header
from vhdtools.inspection.checks.locators import check_locators
from vhdtools.inspection.finding import Finding
from vhdtools.inspection.kinds import CATALOGUE

__all__ = ["check_flaws", "check_structure"]

_OF_THE_FILE = frozenset({"size-over-limit"})
"""Flaws whose remedy depends on more than their code."""


def check_structure(
    structure: Structure, soundness: Soundness, now: datetime, reading: Reading = UNQUESTIONED
) -> Iterator[Finding]:
    """Every finding about what the file says, its parents apart."""
    yield from check_flaws(soundness)
    if structure.used is None:
        return
    yield from check_footers(structure)
    yield from check_fields(structure.used, now)
    yield from check_sizes(structure.used, soundness, reading)
    yield from check_header(structure)
    yield from check_blocks(structure, soundness)
    yield from check_locators(structure)


def check_flaws(soundness: Soundness) -> Iterator[Finding]:
    """Whatever keeps the disk from being read."""
    for flaw in soundness.flaws:
        of_the_file = flaw.code in _OF_THE_FILE or flaw.reruns
        yield CATALOGUE[flaw.code].found(
            flaw.problem,
            flaw.offset,
            remedy=flaw.remedy if of_the_file else None,
            reruns=flaw.reruns or None,
        )
