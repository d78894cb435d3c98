"""`vhdtool verify`."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import click

from vhdtools.cli.command import DISK, Command
from vhdtools.cli.credentials import find_credentials
from vhdtools.cli.difference import told_difference
from vhdtools.cli.options import (
    access_options,
    disk_options,
    progress_options,
    retry_options,
    worker_option,
)
from vhdtools.cli.output import say, say_json
from vhdtools.cli.progress import ProgressKind, shown_progress
from vhdtools.cli.stopping import stop_on_signals
from vhdtools.cli.upload_report import verify_text, verify_to_json
from vhdtools.cli.verbosity import verbose_option
from vhdtools.transfer import RetryPolicy
from vhdtools.transfer.api import verify as verify_disk

__all__ = ["verify"]


@click.command(cls=Command)
@click.argument("disk", type=DISK)
@click.argument("destination")
@worker_option
@retry_options
@access_options
@disk_options
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@progress_options
@verbose_option
def verify(
    disk: str,
    destination: str,
    *,
    workers: int,
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
    """Read DESTINATION back and compare it with the VHD DISK, byte for byte.

    DESTINATION is given as for `vhdtool upload`. Only its page ranges are read: what is in none of
    them is zero. The exit code is 0 only if both are equal.
    """
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
                destination, workers=workers, api_version=api_version, note=shown.note
            )
        ) as target,
        told_difference(as_json=as_json),
    ):
        result = verify_disk(
            disk,
            target,
            workers=workers,
            retry=RetryPolicy(
                first_delay=retry_delay, max_delay=max_retry_delay, patience=patience
            ),
            progress=shown,
            stop=stop,
            **reading,
        )
    done = f"But {result.blob_url} is equal to the disk."
    if as_json:
        say_json(verify_to_json(result), done=done)
    else:
        say(verify_text(result), done=done)
