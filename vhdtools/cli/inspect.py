"""`vhdtool inspect`."""

from __future__ import annotations

import json
from typing import Any

import click

from vhdtools.cli.inspect_text import inspection_text
from vhdtools.cli.options import disk_options
from vhdtools.inspection import Inspection
from vhdtools.inspection import inspect as inspect_disk

__all__ = ["inspect"]


@click.command(short_help="Say all about disks, and whether Azure takes them.")
@click.argument("disks", metavar="DISK...", nargs=-1, required=True)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print JSON: an object, or for several disks an array of them.",
)
@click.option("--deep", is_flag=True, help="Read the whole disk, too.")
@disk_options
@click.pass_context
def inspect(
    ctx: click.Context, disks: tuple[str, ...], *, as_json: bool, deep: bool, **reading: Any
) -> None:
    """Say all about each DISK."""
    inspections = [inspect_disk(disk, deep=deep, **reading) for disk in disks]
    if as_json:
        objects = [inspection.to_json() for inspection in inspections]
        click.echo(json.dumps(objects[0] if len(objects) == 1 else objects, indent=2))
    else:
        click.echo("\n\n".join(map(inspection_text, inspections)))
    ctx.exit(1 if any(inspection.has_errors for inspection in inspections) else 0)
