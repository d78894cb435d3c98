"""What is measured: each case is one target, and contenders that take turns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

FEW, MANY = 3, 5

MOST_ROUNDS = {"azcopy": FEW, "azcopy_tuned": FEW, "convert_azcopy": FEW, "upload_blob": 1}
"""Slow contenders take part in so many rounds at the most, whatever the case says."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A contender, and the disk that it is given."""

    contender: str
    disk: str


@dataclass(frozen=True, slots=True)
class Case:
    """Entries that take turns, `rounds` times each; `target` is None where nothing is uploaded."""

    name: str
    title: str
    target: str | None
    entries: tuple[Entry, ...]
    rounds: int = MANY


def product(contenders: Iterable[str], disks: Iterable[str]) -> tuple[Entry, ...]:
    """Every contender with every disk, disk by disk."""
    contenders = tuple(contenders)
    return tuple(Entry(contender, disk) for disk in disks for contender in contenders)


def _case(
    name: str, title: str, target: str | None, disk: str, *contenders: str, rounds: int = MANY
) -> Case:
    return Case(name, title, target, product(contenders, [disk]), rounds)


INSPECTED = (
    *("os", "os-dynamic", "os-child", "os-allocated", "scattered", "dense"),
    *("huge", "huge-dynamic", "full-table"),
)

_PEERS = ("azcopy", "azcopy_tuned", "upload_blob")

FULL = (
    _case(
        "os-azurite335",
        "30 GiB OS disk, sparse fixed, to Azurite 3.35.0",
        "azurite335",
        "os",
        *("vhdtool", *_PEERS, "limit", "bare"),
    ),
    _case(
        "dynamic-azurite335",
        "The same, dynamic",
        "azurite335",
        "os-dynamic",
        *("vhdtool", "convert_azcopy", "limit"),
    ),
    _case(
        "child-azurite335",
        "A differencing disk over it (no peer reads one whole)",
        "azurite335",
        "os-child",
        *("vhdtool", "limit"),
    ),
    _case(
        "allocated-azurite335",
        "8 GiB OS disk, fixed, zeros really on disk, to Azurite 3.35.0",
        "azurite335",
        "os-allocated",
        *("vhdtool", "azcopy", "azcopy_tuned", "limit"),
    ),
    _case(
        "os-azurite337",
        "30 GiB OS disk, sparse fixed, to Azurite 3.37.0",
        "azurite337",
        "os",
        *("vhdtool", "azcopy", "azcopy_tuned", "limit"),
        rounds=FEW,
    ),
    _case(
        "dynamic-azurite337",
        "The same, dynamic",
        "azurite337",
        "os-dynamic",
        *("vhdtool", "convert_azcopy", "limit"),
        rounds=FEW,
    ),
    _case(
        "scattered-azurite335",
        "4 GiB, 0.92 GB scattered in runs of 4 KiB to 8 MiB, to Azurite 3.35.0",
        "azurite335",
        "scattered",
        *("vhdtool", *_PEERS, "limit", "bare"),
    ),
    _case(
        "dense-discard-http",
        "2 GiB of random bytes, to a server that drops them, HTTP",
        "discard-http",
        "dense",
        *("vhdtool", *_PEERS, "limit", "bare"),
    ),
    _case(
        "dense-discard-tls",
        "2 GiB of random bytes, to a server that drops them, TLS",
        "discard-tls",
        "dense",
        *("vhdtool", *_PEERS, "limit", "bare"),
    ),
    _case(
        "dense-azurite335",
        "2 GiB of random bytes, to Azurite 3.35.0",
        "azurite335",
        "dense",
        *("vhdtool", "azcopy", "azcopy_tuned", "limit"),
    ),
    _case(
        "dense-azurite337",
        "2 GiB of random bytes, to Azurite 3.37.0",
        "azurite337",
        "dense",
        *("vhdtool", "azcopy", "azcopy_tuned", "limit"),
        rounds=FEW,
    ),
    _case(
        "zeros",
        "8 GiB of zeros, really on disk: reading",
        "discard-http",
        "zeros",
        *("vhdtool", "azcopy", "upload_blob", "cat", "qemu_read"),
    ),
    Case(
        "growth",
        "The same data in a 30 GiB and in a 2040 GiB disk, to Azurite 3.35.0",
        "azurite335",
        product(["vhdtool"], ["os", "huge", "os-dynamic", "huge-dynamic"]),
    ),
    Case(
        "threads",
        "Workers: 2 GiB of random bytes, to a server that drops them, HTTP",
        "discard-http",
        product(
            ["vhdtool-1", "vhdtool-4", "vhdtool-8", "vhdtool-16", "vhdtool-32", "limit-32"],
            ["dense"],
        ),
    ),
    *(
        _case(
            f"{disk}-strict",
            f"Azure's limits for one blob, emulated: {title}",
            "strict",
            disk,
            *("vhdtool", *others),
            rounds=FEW,
        )
        for disk, title, others in (
            ("os", "30 GiB OS disk", ("azcopy", "azcopy_tuned")),
            ("os-dynamic", "30 GiB OS disk, dynamic", ("convert_azcopy",)),
            ("scattered", "4 GiB, 0.92 GB scattered", ("azcopy", "azcopy_tuned")),
            ("dense", "2 GiB of random bytes", ("azcopy", "azcopy_tuned")),
        )
    ),
    Case(
        "peppered-strict",
        "Azure's limits for one blob, emulated: 4,096 single pages, 8 and 32 workers",
        "strict",
        product(["vhdtool", "vhdtool-32", "limit", "limit-32"], ["peppered"]),
        rounds=FEW,
    ),
    Case(
        "dense-strict-far",
        "Azure's limits for one blob, emulated, 100 ms away: 2 GiB, 1 and 8 workers",
        "strict-far",
        product(["vhdtool-1", "vhdtool"], ["dense"]),
        rounds=FEW,
    ),
    Case(
        "inspect",
        "Inspection",
        None,
        product(
            ["inspect", "imports", "qemu_info", "vhdiinfo"],
            INSPECTED,
        ),
        rounds=11,
    ),
)
"""All that is measured; the order is that of the report."""

QUICK = (
    *(
        _case(
            f"quick-{disk}-{target}",
            f"{disk} to {target}",
            target,
            disk,
            *contenders,
            rounds=2,
        )
        for disk, target, contenders in (
            ("small-os", "azurite337", ("vhdtool", "upload_blob", "limit")),
            ("small-dynamic", "azurite337", ("vhdtool",)),
            ("small-scattered", "azurite337", ("vhdtool", "limit")),
            ("small-scattered", "strict", ("vhdtool",)),
            ("small-dense", "discard-http", ("vhdtool", "upload_blob", "limit", "bare")),
            ("small-dense", "discard-tls", ("vhdtool", "limit")),
            ("small-zeros", "discard-http", ("vhdtool", "cat")),
        )
    ),
    Case(
        "quick-inspect",
        "inspection",
        None,
        product(["inspect", "imports"], ["small-os", "small-dynamic"]),
        rounds=3,
    ),
)
"""A few small disks and no AzCopy: whether all of it still works, in less than a minute."""
