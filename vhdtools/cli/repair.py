"""`vhdtool repair`."""

from __future__ import annotations

from collections.abc import Iterator

import click

from vhdtools.cli.command import DISK, Command
from vhdtools.cli.formatting import heading, printable, quantity
from vhdtools.cli.output import say
from vhdtools.cli.stopping import command_text
from vhdtools.cli.verbosity import verbose_option
from vhdtools.inspection.repair import (
    CHECKSUM_PARTS,
    ChecksumPart,
    Patch,
    Which,
    plan_checksums,
    plan_footers,
)
from vhdtools.inspection.repairing import plan_repair, plan_undo, way_back, write_repair

__all__ = ["repair"]

_SHOWN = 8


@click.command(cls=Command, short_help="Mend a disk's footers.")
@click.argument("disk", type=DISK)
@click.option("--write", is_flag=True, help="Write to the disk, instead of only saying what.")
@click.option(
    "--use",
    type=click.Choice(["end", "copy"]),
    help="Of two valid footers that differ, this one is right.",
)
@click.option(
    "--fix-checksum",
    "checksums",
    multiple=True,
    type=click.Choice(CHECKSUM_PARTS),
    help="Do only this: make the checksum of this part fit its fields.",
)
@click.option(
    "--undo",
    metavar="BACKUP",
    type=click.Path(dir_okay=False),
    help="Put back what a repair replaced.",
)
@verbose_option
def repair(
    disk: str,
    *,
    write: bool,
    use: Which | None,
    checksums: tuple[ChecksumPart, ...],
    undo: str | None,
) -> None:
    """Mend the footers of DISK: a lost or damaged one is made anew from the other one.

    Says what it would do; --write does it, after every byte that is replaced was saved in a file
    beside the disk. A wrong checksum is fixed only if its part is named, since one of the fields
    may be what is wrong. BAT and blocks are never touched.
    """
    if (use is not None) + bool(checksums) + (undo is not None) > 1:
        raise click.UsageError("--use, --fix-checksum and --undo go one at a time.")
    if undo is not None:
        planned = plan_undo(disk, undo)
    elif checksums:
        planned = plan_repair(disk, lambda found, source: plan_checksums(found, source, checksums))
    else:
        planned = plan_repair(disk, lambda found, source: plan_footers(found, source, use))
    if not planned.patches:
        say(f"{printable(disk)}: there is nothing to repair.")
        return
    lines = [heading(printable(disk))]
    for patch in planned.patches:
        lines += _told(patch)
    if not write:
        say(
            "\n".join(
                [
                    *lines,
                    f"Nothing was written. To write it: {_with_write(disk, use, checksums, undo)}",
                ]
            )
        )
        return
    say("\n".join(lines), done="Nothing was written to the disk.")
    backup = write_repair(planned)
    back = way_back(planned, backup)
    say(printable(f"Written. {back}"), done=f"But the disk is written. {back}")


def _with_write(
    disk: str, use: Which | None, checksums: tuple[ChecksumPart, ...], undo: str | None
) -> str:
    options = ["--use", use] if use else ["--undo", undo] if undo else []
    for part in checksums:
        options += ["--fix-checksum", part]
    return f"`{command_text(['repair', *options, disk, '--write'])}`"


def _told(patch: Patch) -> Iterator[str]:
    changed = [
        at
        for at in range(max(len(patch.old), len(patch.new)))
        if patch.old[at : at + 1] != patch.new[at : at + 1]
    ]
    yield (
        f"  {patch.why}: {quantity(len(patch.new), 'byte')} at byte {patch.offset:,}, "
        f"{len(changed):,} of them new"
    )
    for at in changed[:_SHOWN]:
        old = patch.old[at : at + 1].hex() or "--"
        yield f"    byte {patch.offset + at:,}: {old} → {patch.new[at : at + 1].hex() or '--'}"
    if len(changed) > _SHOWN:
        yield f"    and {len(changed) - _SHOWN:,} more"
