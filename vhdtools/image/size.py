"""Which of its two sizes a VHD shows to its guest."""

from __future__ import annotations

from typing import Literal, TypeAlias

from vhdtools.layout import Footer

__all__ = ["GEOMETRY_CREATORS", "SizeRule", "guest_size"]

SizeRule: TypeAlias = Literal["auto", "current", "geometry"]
"""How the virtual size is found: by the creator's habit, by current size, or by the geometry."""

GEOMETRY_CREATORS = frozenset({b"vpc ", b"vs  ", b"qemu"})
"""Creators whose guests see the geometry's size (qemu, block/vpc.c)."""


def guest_size(footer: Footer, rule: SizeRule = "auto") -> int:
    """The bytes that the guest sees; not necessarily whole sectors.

    By "auto" the current size, but the geometry's for `GEOMETRY_CREATORS`, unless that is at its
    maximum (and so says nothing), nothing, or more than the current size.
    """
    by_geometry = footer.geometry.size
    if rule == "current":
        return footer.current_size
    if rule == "geometry":
        return by_geometry
    habit = footer.creator_application in GEOMETRY_CREATORS and not footer.geometry.is_maximal
    return by_geometry if habit and 0 < by_geometry <= footer.current_size else footer.current_size
