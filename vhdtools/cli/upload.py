"""`vhdtool upload`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import click

from vhdtools.cli.command import DISK, Command
from vhdtools.cli.credentials import find_credentials
from vhdtools.cli.difference import told_difference
from vhdtools.cli.options import (
    RATE,
    access_options,
    disk_options,
    progress_options,
    require_option,
    retry_options,
    worker_option,
)
from vhdtools.cli.output import say, say_json
from vhdtools.cli.progress import ProgressKind, shown_progress
from vhdtools.cli.readiness_text import TITLES, warning_rows
from vhdtools.cli.stopping import stop_on_signals
from vhdtools.cli.upload_report import (
    preview_text,
    preview_to_json,
    result_text,
    result_to_json,
)
from vhdtools.cli.verbosity import verbose_option
from vhdtools.errors import TransferInterruptedError, VhdToolsError
from vhdtools.inspection import Inspection, Purpose
from vhdtools.progress import Progress
from vhdtools.transfer import RetryPolicy, UploadOptions
from vhdtools.transfer.api import preview
from vhdtools.transfer.api import upload as upload_disk
from vhdtools.transfer.result import local_path

__all__ = ["upload"]

_AGAIN = "Then run the same command again: it goes on from what is there."


@click.command(cls=Command)
@click.argument("disk", type=DISK)
@click.argument("destination")
@click.option("--overwrite", is_flag=True, help="Replace what is there, or start anew.")
@worker_option
@click.option("--max-rate", type=RATE, help="Bytes per second, such as 10M; all workers together.")
@click.option("--verify", is_flag=True, help="Read the blob back at the end and compare it.")
@click.option("--content-md5", is_flag=True, help="Hash the whole blob, and record its MD5.")
@require_option
@click.option("--dry-run", is_flag=True, help="Say what would be sent, and send nothing.")
@click.option(
    "--managed-disk",
    is_flag=True,
    help="The URL is a managed disk's upload SAS (known by itself for md-* hosts).",
)
@click.option(
    "--checkpoint-interval",
    type=click.FloatRange(min=0.1),
    default=3.0,
    show_default=True,
    help="Seconds between checkpoints.",
)
@retry_options
@access_options
@disk_options
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@progress_options
@verbose_option
def upload(
    disk: str,
    destination: str,
    *,
    overwrite: bool,
    workers: int,
    max_rate: float | None,
    verify: bool,
    content_md5: bool,
    require: tuple[Purpose, ...],
    dry_run: bool,
    managed_disk: bool,
    checkpoint_interval: float,
    retry_delay: float,
    max_retry_delay: float,
    patience: float,
    connection_string: str | None,
    sas_file: str | None,
    account_name: str | None,
    cloud: str | None,
    api_version: str | None,
    as_json: bool,
    progress: ProgressKind,
    no_progress: bool,
    **reading: Any,
) -> None:
    """Upload the VHD DISK to DESTINATION, as a fixed disk.

    DESTINATION is a page blob's URL, with or without a SAS; CONTAINER/BLOB in the account that
    --account-name or the environment names; or file:PATH.vhd for a sparse local file. Dynamic and
    differencing disks are turned into fixed ones on the way. An upload that was stopped goes on
    where it was when the same command runs again, once the disk is found to be the same.

    \b
    vhdtool upload disk.vhd "https://ACCOUNT.blob.core.windows.net/vhds/disk.vhd?$SAS"
    vhdtool upload disk.vhd vhds/disk.vhd --dry-run
    vhdtool upload disk.vhd file:fixed.vhd

    The first credentials that are there are used: a SAS in the URL, --connection-string,
    --sas-file, AZURE_STORAGE_CONNECTION_STRING, AZURE_STORAGE_SAS_TOKEN, AZURE_STORAGE_ACCOUNT
    with AZURE_STORAGE_KEY, or whoever is signed in.
    """  # noqa: D301  # click looks for the backspace
    credentials = find_credentials(
        destination,
        connection_string=connection_string,
        sas_file=sas_file,
        account_name=account_name,
        cloud=cloud,
    )
    with (
        stop_on_signals() as stop,
        shown_progress("none" if no_progress else progress) as shown,
        closing(
            credentials.open_target(
                destination,
                workers=workers,
                managed_disk=managed_disk,
                api_version=api_version,
                note=shown.note,
            )
        ) as target,
    ):
        options = UploadOptions(
            overwrite=overwrite,
            workers=workers,
            max_rate=max_rate,
            verify=verify,
            content_md5=content_md5,
            checkpoint_seconds=checkpoint_interval,
            retry=RetryPolicy(
                first_delay=retry_delay, max_delay=max_retry_delay, patience=patience
            ),
            progress=shown,
        )
        if dry_run:
            found = preview(disk, target, options=options, stop=stop, require=require, **reading)
            said: dict[str, Any] | str = (
                preview_to_json(found, credentials.description)
                if as_json
                else preview_text(found, credentials.description)
            )
        else:
            with told_difference(as_json=as_json), _told_how_to_go_on():
                result = upload_disk(
                    disk,
                    target,
                    options=options,
                    stop=stop,
                    require=require,
                    inspected=lambda found: _note(found, shown),
                    **reading,
                )
            said = result_to_json(result) if as_json else result_text(result)
    done = ""
    if not dry_run:
        done = f"The {'upload' if local_path(target) is None else 'file'} itself is complete."
    if isinstance(said, str):
        say(said, done=done)
    else:
        say_json(said, done=done)


def _note(inspection: Inspection, shown: Progress) -> None:
    """Before anything is sent: warnings, and that no managed disk could be made of the blob."""
    for name, text in warning_rows(inspection.findings):
        shown.note(f"{name}: {text}")
    for each in inspection.readiness:
        if each.purpose in ("page-blob", "managed-disk") and each.lacking:
            lacking = "; ".join(item.text for item in each.lacking)
            shown.note(f"not ready: {TITLES[each.purpose]}: {lacking}")


@contextmanager
def _told_how_to_go_on() -> Iterator[None]:
    try:
        yield
    except TransferInterruptedError:
        raise  # says it itself
    except VhdToolsError as error:
        if error.resumable:
            error.remedy = f"{error.remedy} {_AGAIN}".strip()
        raise
