"""What the raw values of a VHD's fields mean to a person."""

from __future__ import annotations

from datetime import datetime, timedelta

from vhdtools.layout import EPOCH, Footer
from vhdtools.text import printable

__all__ = [
    "CREATORS",
    "creator_name",
    "disk_type_name",
    "host_os_name",
    "printable",
    "quantity",
    "short_size",
    "size_text",
    "time_of",
    "version_text",
]

CREATORS = {
    b"win ": "Windows",
    b"d2v\0": "Disk2vhd",
    b"vpc ": "Virtual PC",
    b"vs  ": "Virtual Server",
    b"wa\0\0": "Azure",
    b"qemu": "QEMU",
    b"qem2": "QEMU (exact size)",
    b"vbox": "VirtualBox",
    b"tap\0": "Xen blktap",
    b"xo  ": "Xen Orchestra",
    b"caml": "ocaml-vhd (XAPI)",
    b"pvhd": "pyvhd",
    b"mVHD": "MiniVHD",
    b"DBox": "DOSBox",
    b"simh": "SIMH",
    b"dutl": "DiscUtils",
    b"vhdt": "vhdtools",
}
"""Known values of the field creator application."""

_HOSTS = {b"Wi2k": "Windows", b"Mac ": "Macintosh"}
_DISK_TYPES = {
    0: "none",
    1: "deprecated (1)",
    2: "fixed",
    3: "dynamic",
    4: "differencing",
    5: "deprecated (5)",
    6: "deprecated (6)",
}
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def creator_name(code: bytes) -> str:
    """The program behind a creator application, or the code itself where it is none known."""
    return CREATORS.get(code) or code.decode("latin-1").rstrip("\0 ") or "not given"


def host_os_name(code: bytes) -> str:
    """The operating system behind a creator host OS, or the code itself."""
    return _HOSTS.get(code) or code.decode("latin-1").rstrip("\0 ") or "not given"


def disk_type_name(value: int) -> str:
    """The disk type in words."""
    return _DISK_TYPES.get(value, f"unknown ({value})")


def version_text(value: int) -> str:
    """Major and minor of a 32-bit version, such as "1.0"."""
    return f"{value >> 16}.{value & 0xFFFF}"


def time_of(footer: Footer) -> datetime:
    """When the disk was made; Xen Orchestra's time stamps count from 1970."""
    if counts_from_1970(footer):
        return datetime.fromtimestamp(footer.timestamp, tz=EPOCH.tzinfo)
    return footer.created


def counts_from_1970(footer: Footer) -> bool:
    """Whether the time stamp is by its creator's habit a Unix one."""
    years_30 = EPOCH - datetime.fromtimestamp(0, tz=EPOCH.tzinfo)
    return footer.creator_application == b"xo  " and timedelta(seconds=footer.timestamp) > years_30


def quantity(number: int, noun: str) -> str:
    """A number with its noun: "1 block", "1,024 blocks"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def size_text(size: int) -> str:
    """A size for reading, in a binary unit and, from 1 KiB, in bytes too."""
    return short_size(size) if size < 1024 else f"{short_size(size)} ({size:,} bytes)"


def short_size(size: int) -> str:
    """A size in a binary unit alone, rounded to two digits where it is not whole."""
    if size < 1024:
        return quantity(size, "byte")
    exponent = min((size.bit_length() - 1) // 10, len(_UNITS) - 1)
    whole, rest = divmod(size, 1 << (10 * exponent))
    text = f"{size / (1 << (10 * exponent)):,.2f}" if rest else f"{whole:,}"
    return f"{text} {_UNITS[exponent]}"
