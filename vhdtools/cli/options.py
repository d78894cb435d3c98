"""Options that several commands share, and the values they take."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

__all__ = [
    "RATE",
    "access_options",
    "disk_options",
    "progress_options",
    "require_option",
    "retry_options",
    "worker_option",
]

Command = TypeVar("Command", bound=Callable[..., Any])

_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3}
_SLOWEST = 1024  # below it, a number lacks its unit
_RATE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([KMG]?)(?:i?B)?(?:/s)?", re.IGNORECASE)


class _Rate(click.ParamType):  # type: ignore[type-arg]  # click before 8.4 has no argument
    name = "rate"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if isinstance(value, float):
            return value
        match = _RATE.fullmatch(str(value).strip())
        rate = float(match[1]) * _UNITS[match[2].upper()] if match else 0.0
        if not rate:
            self.fail(
                f"{value!r} is no rate in bytes per second, such as 800K, 10M or 1.5G.",
                param,
                ctx,
            )
        if rate < _SLOWEST:
            self.fail(
                f"{value!r} is {rate:g} bytes per second. Say the unit: 800K, 10M.", param, ctx
            )
        return rate


RATE = _Rate()
"""Bytes per second: 800K, 10M, 1.5GiB/s; K, M and G are powers of 1024."""


def _together(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


disk_options = _together(
    click.option(
        "--parent",
        "parents",
        multiple=True,
        metavar="FILE",
        type=click.Path(dir_okay=False, exists=True),
        help="This file is a parent of a differencing disk, whatever it is called.",
    ),
    click.option(
        "--parent-dir",
        "parent_dirs",
        multiple=True,
        type=click.Path(file_okay=False, exists=True),
        help="Look for parents of differencing disks here, too.",
    ),
    click.option(
        "--raw-parent",
        is_flag=True,
        help="Allow a parent without a unique id (a null parent id), as a raw disk is.",
    ),
    click.option(
        "--size-rule",
        "size_rule",
        type=click.Choice(["auto", "current", "geometry"]),
        default="auto",
        show_default=True,
        help="Which footer field gives the virtual size; auto: as the file shows.",
    ),
    click.option(
        "--fixed-base",
        "fixed_base",
        type=click.Choice(["start", "end"]),
        help="Where the data of a fixed disk lies whose file is longer than it should be.",
    ),
    click.option(
        "--bitmap-rule",
        "bitmap_rule",
        type=click.Choice(["auto", "bitmap", "data"]),
        default="auto",
        show_default=True,
        help="What counts in an allocated block: its sector bitmap, or all of its data.",
    ),
)
"""How to read a disk."""

require_option = click.option(
    "--require",
    multiple=True,
    type=click.Choice(["page-blob", "managed-disk", "boot-gen1", "boot-gen2"]),
    help="Fail if the disk is not ready for this purpose; may be repeated.",
)
"""What the disk must be ready for."""

access_options = _together(
    click.option(
        "--connection-string",
        help="Connection string of the storage account (UseDevelopmentStorage=true: the emulator).",
    ),
    click.option(
        "--sas-file",
        type=click.Path(dir_okay=False, exists=True),
        help="File with a SAS token; read again when the service says that it expired.",
    ),
    click.option(
        "--account-name",
        metavar="NAME",
        help="Storage account that CONTAINER/BLOB is in. [env: AZURE_STORAGE_ACCOUNT]",
    ),
    click.option(
        "--cloud",
        metavar="NAME",
        help="Cloud of --account-name and of the sign-in: AzureCloud, AzureUSGovernment or "
        "AzureChinaCloud. [env: AZURE_CLOUD_NAME]",
    ),
    click.option(
        "--api-version",
        envvar="AZCOPY_DEFAULT_SERVICE_API_VERSION",
        metavar="DATE",
        help="Version of the storage service's API, for one that knows older ones alone. "
        "By default the newest that it knows. [env: AZCOPY_DEFAULT_SERVICE_API_VERSION]",
    ),
)
"""Which credentials to use, and by which version of the API."""

worker_option = click.option(
    "--workers",
    type=click.IntRange(1, 128),
    default=8,
    show_default=True,
    help="Requests in flight, at the most.",
)

progress_options = _together(
    click.option(
        "--progress",
        type=click.Choice(["auto", "lines", "json", "none"]),
        default="auto",
        show_default=True,
        help="How to show progress on stderr: a bar on a terminal and lines elsewhere (auto), "
        "lines, one JSON object a line, or none.",
    ),
    click.option("--no-progress", is_flag=True, help="Show no progress: --progress none."),
)
"""How progress is shown."""

retry_options = _together(
    click.option(
        "--retry-delay",
        type=click.FloatRange(min=0, min_open=True),
        default=0.5,
        show_default=True,
        help="Seconds before the first try again; doubles from try to try.",
    ),
    click.option(
        "--max-retry-delay",
        type=click.FloatRange(min=0, min_open=True),
        default=60.0,
        show_default=True,
        help="Seconds between tries, at the most.",
    ),
    click.option(
        "--patience",
        type=click.FloatRange(min=0),
        default=900.0,
        show_default=True,
        help="Seconds that one request may go on failing before the command gives up.",
    ),
)
"""How long to put up with a failing service."""
