"""`vhdtool inspect`."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import click

from vhdtools.cli.command import ARGUMENTS, Command
from vhdtools.cli.formatting import printable
from vhdtools.cli.inspect_text import inspection_text
from vhdtools.cli.options import access_options, disk_options, require_option, retry_options
from vhdtools.cli.output import say, say_json, say_json_array, tell, tell_error
from vhdtools.cli.rerunning import for_command
from vhdtools.cli.verbosity import verbose_option
from vhdtools.errors import NotUploadableError, SourceReadError, UsageError
from vhdtools.image import SizeRule
from vhdtools.inputs import looks_like_url, may_be_blob, names_blob, shown
from vhdtools.inspection import Inspection, Purpose
from vhdtools.inspection import inspect as inspect_disk
from vhdtools.inspection.outcomes import unreadable
from vhdtools.inspection.readiness import check_required
from vhdtools.progress import NoProgress, Progress
from vhdtools.text import holds_secret

__all__ = ["inspect"]

_TERMINAL = "the terminal"
_PICTURES = (".svg", ".png")
_LINES_AT_ONCE = 1000


@click.command(cls=Command, short_help="Say all about disks, and whether Azure takes them.")
@click.argument("disks", metavar="DISK...", nargs=-1)
@click.option(
    "--json", "as_json", is_flag=True, help="Print JSON: an object, or for several disks an array."
)
@click.option("--deep", is_flag=True, help="Read all of the disk, too: bitmaps, zeros, CRC-64.")
@click.option(
    "--map",
    "map_to",
    is_flag=False,
    flag_value=_TERMINAL,
    metavar="[FILE]",
    help="Draw where the data is: here, or into FILE.svg or FILE.png.",
)
@click.option("--bat", is_flag=True, help="List where the blocks are, in runs.")
@click.option(
    "--hex",
    "hex_of",
    metavar="PART",
    help="Show the bytes of a part: footer, copy, header, bat, batmap or block:N.",
)
@require_option
@disk_options
@access_options
@retry_options
@click.pass_context
@verbose_option
def inspect(
    ctx: click.Context,
    /,
    disks: tuple[str, ...],
    *,
    as_json: bool,
    deep: bool,
    map_to: str | None,
    bat: bool,
    hex_of: str | None,
    require: tuple[Purpose, ...],
    connection_string: str | None,
    sas_file: str | None,
    account_name: str | None,
    cloud: str | None,
    retry_delay: float,
    max_retry_delay: float,
    patience: float,
    api_version: str | None,
    **reading: Any,
) -> None:
    """Say all about each DISK: what it is, what is wrong with it, and whether Azure takes it.

    A DISK is a file, or a page blob: its URL; blob:CONTAINER/BLOB in the account that
    --account-name, --connection-string or the environment names; or CONTAINER/BLOB alone with one
    of these options. Of a blob, a few ranges are read.

    A summary with what the disk is ready for in Azure comes first, then the findings, Azure's
    requirements, and the fields. The exit code is 1 if any finding is an error, or if a disk is not
    ready for a purpose given with --require. FINDINGS.md in the package explains every code.
    """
    disks, map_to = _map_argument(disks, map_to)
    if not disks:
        raise click.UsageError("Missing argument 'DISK...'.")
    retries = (retry_delay, max_retry_delay, patience)
    access = _Access(connection_string, sas_file, account_name, cloud, api_version, retries)
    views = _given({"map": map_to, "bat": bat, "hex": hex_of})
    for_files = _given(
        {key: value for key, value in reading.items() if key != "size_rule" and value != "auto"}
    )
    if views:
        _refuse(
            f"{views[0]} does not go with",
            _given({"json": as_json, "deep": deep, "require": require}),
        )
        _refuse("--map does not go with", views[1:] if map_to else [])
    if bat or hex_of:
        ruled = ["--size-rule"] if reading["size_rule"] != "auto" else []
        _refuse(
            f"{views[0]} shows what is written in one file; it does not go with",
            [*for_files, *ruled],
        )
    if any(_is_remote(disk, access) for disk in disks):
        _refuse("Files alone can be inspected with", [*views, *_given({"deep": deep}), *for_files])
    if map_to is not None:
        _show_map(disks, map_to, reading)
    elif bat or hex_of:
        from vhdtools.cli.hex_dump import bat_text, hex_text

        if bat:
            _show_lines(disks, bat_text)
        if hex_of:
            _show_lines(disks, lambda disk: hex_text(disk, hex_of))
    else:
        arguments = ctx.meta.get(ARGUMENTS, ("inspect", *disks))
        code = _inspect(
            disks,
            arguments,
            as_json=as_json,
            deep=deep,
            require=require,
            reading=reading,
            access=access,
        )
        ctx.exit(code)


@dataclass(frozen=True, slots=True)
class _Access:
    """What the command line gives for getting at page blobs."""

    connection_string: str | None = field(repr=False)
    sas_file: str | None
    account_name: str | None
    cloud: str | None
    api_version: str | None
    retries: tuple[float, float, float]
    """First delay, longest delay and patience, in seconds."""

    @property
    def names_account(self) -> bool:
        """Whether the command line names the account that CONTAINER/BLOB is in."""
        return self.connection_string is not None or self.account_name is not None


def _inspect(
    disks: tuple[str, ...],
    arguments: tuple[str, ...],
    *,
    as_json: bool,
    deep: bool,
    require: tuple[Purpose, ...],
    reading: dict[str, Any],
    access: _Access,
) -> int:
    failed = False

    def inspections() -> Iterator[Inspection]:
        nonlocal failed
        for disk in disks:
            if _is_remote(disk, access):
                inspection = _inspect_remote(disk, access, reading["size_rule"])
            elif _is_missing_blob(disk):
                inspection = unreadable(disk, _no_such_file(disk))
            else:
                with _progress(wanted=deep) as progress:
                    inspection = inspect_disk(disk, deep=deep, progress=progress, **reading)
            failed = failed or inspection.has_errors
            yield for_command(inspection, arguments, {*disks} - {disk})
            failed = _lacks(inspection, require) or failed

    # Each is printed before the next is made: together they might not fit into memory.
    if not as_json:
        for number, inspection in enumerate(inspections()):
            say(("\n\n" if number else "") + inspection_text(inspection))
            if deep and inspection.deep is None:
                tell("The content was not read: see the findings.")
    elif len(disks) == 1:
        for inspection in inspections():
            say_json(inspection.to_json())
    else:
        say_json_array(inspection.to_json() for inspection in inspections())
    return 1 if failed else 0


def _lacks(inspection: Inspection, require: tuple[Purpose, ...]) -> bool:
    """Whether a required purpose is not met, which is told; a blob is judged as it is."""
    as_is = inspection.remote is not None
    try:
        check_required(inspection.path, inspection.readiness, require, as_is=as_is)
    except NotUploadableError as error:
        tell_error(str(error))
        return True
    return False


def _given(options: Mapping[str, Any]) -> list[str]:
    """What those of `options` are called on the command line that have a value."""
    names = {"parents": "parent", "parent_dirs": "parent-dir"}
    return [f"--{names.get(key, key.replace('_', '-'))}" for key, value in options.items() if value]


def _refuse(problem: str, options: list[str]) -> None:
    if options:
        raise click.UsageError(f"{problem} {', '.join(options)}.")


def _is_remote(disk: str, access: _Access) -> bool:
    """Whether `disk` is in a page blob.

    CONTAINER/BLOB alone is one only where the command line names its account: one that is known
    to the environment alone does not make a request of a path that was mistyped; a SAS after it
    does.
    """
    if os.path.lexists(disk):
        return False
    if looks_like_url(disk) or names_blob(disk):
        return True
    return may_be_blob(disk) and (access.names_account or holds_secret(disk))


def _is_missing_blob(disk: str) -> bool:
    return may_be_blob(disk) and not os.path.lexists(disk)


def _no_such_file(disk: str) -> SourceReadError:
    command = shlex.join(["vhdtool", "inspect", f"blob:{disk}"])
    return SourceReadError(
        disk,
        "there is no such file",
        f"Check the path. A blob in the account that the environment names is inspected by "
        f"`{command}`",
    )


def _inspect_remote(disk: str, access: _Access, size_rule: SizeRule) -> Inspection:
    from vhdtools.cli.credentials import find_credentials
    from vhdtools.cli.progress import shown_progress
    from vhdtools.cli.stopping import stop_on_signals
    from vhdtools.inspection.page_blob import UploadMarks, inspect_page_blob
    from vhdtools.transfer.checkpoint import Checkpoint, finished_crc64
    from vhdtools.transfer.connection import Connection
    from vhdtools.transfer.pacing import Pacer
    from vhdtools.transfer.retry import RetryPolicy

    def marks_in(metadata: Mapping[str, str]) -> UploadMarks:
        checkpoint = Checkpoint.read(metadata)
        return UploadMarks(
            None if checkpoint is None else checkpoint.offset, finished_crc64(metadata)
        )

    try:
        credentials = find_credentials(
            disk,
            connection_string=access.connection_string,
            sas_file=access.sas_file,
            account_name=access.account_name,
            cloud=access.cloud,
        )
        target = credentials.open_target(disk, api_version=access.api_version, note=tell)
    except UsageError as error:  # of this disk; the others are inspected all the same
        return unreadable(shown(disk, error.subject), error)
    first, longest, patience = access.retries
    policy = RetryPolicy(first_delay=first, max_delay=longest, patience=patience)
    with closing(target), stop_on_signals() as stop, shown_progress("auto") as progress:
        connection = Connection(target, policy, Pacer(1), stop, progress)
        return inspect_page_blob(connection, marks_in, size_rule=size_rule)


def _progress(*, wanted: bool) -> AbstractContextManager[Progress]:
    """A bar on a terminal; nothing elsewhere."""
    if not wanted or not sys.stderr.isatty():
        return nullcontext(NoProgress())
    from vhdtools.cli.progress import shown_progress

    return shown_progress("auto")


def _map_argument(disks: tuple[str, ...], map_to: str | None) -> tuple[tuple[str, ...], str | None]:
    """A word after --map that is no picture's name is a disk."""
    if map_to is None or map_to == _TERMINAL or Path(map_to).suffix.lower() in _PICTURES:
        return disks, map_to
    return (map_to, *disks), _TERMINAL


def _show_map(disks: tuple[str, ...], map_to: str, reading: dict[str, Any]) -> None:
    from vhdtools.inspection.disk_map import map_disk

    if map_to == _TERMINAL:
        from vhdtools.cli.block_map import block_map_text, cells_that_fit

        for disk in disks:
            say(block_map_text(map_disk(disk, cells_that_fit(), **reading)))
        return
    from vhdtools.cli.picture import PICTURE_CELLS, draw_picture

    if len(disks) > 1:
        raise click.UsageError("A picture is of one disk.")
    picture = Path(map_to)
    if any(picture.exists() and Path(disk).exists() and picture.samefile(disk) for disk in disks):
        raise click.UsageError(f"{map_to} is the disk itself: name another file for the picture.")
    draw_picture(map_disk(disks[0], PICTURE_CELLS, **reading), Path(map_to))
    tell(f"Wrote {printable(map_to)}")


def _show_lines(disks: tuple[str, ...], lines_of: Callable[[str], Iterable[str]]) -> None:
    for disk in disks:
        lines = iter(lines_of(disk))
        while some := list(islice(lines, _LINES_AT_ONCE)):
            say("\n".join(some))
