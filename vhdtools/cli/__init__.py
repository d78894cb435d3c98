"""The command line: `vhdtool`. The only place that prints, asks, and turns errors into exit codes.

Exit codes: 0 done, 1 failed or error findings, 2 usage, 3 stopped and resumable by the same
command, 130 interrupted by the user.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click

from vhdtools import __version__
from vhdtools.cli.formatting import printable
from vhdtools.cli.verbosity import verbose_option
from vhdtools.errors import TransferInterruptedError, UsageError, VhdToolsError

__all__ = ["main"]

FAILED, USAGE, RESUMABLE, INTERRUPTED = 1, 2, 3, 130

DEBUG_VARIABLE = "VHDTOOL_DEBUG"

# Each command is loaded when it is called: inspecting a disk must not wait for what uploading
# needs.
_COMMANDS = {
    "inspect": (
        "vhdtools.cli.inspect:inspect",
        "Say all about disks, and whether Azure takes them.",
    ),
    "upload": ("vhdtools.cli.upload:upload", "Upload a disk to a page blob, as a fixed VHD."),
    "verify": ("vhdtools.cli.verify:verify", "Prove that what is at a destination is the disk."),
    "repair": ("vhdtools.cli.repair:repair", "Mend a disk's footers."),
}


class _Commands(click.Group):
    """Loads commands by name, and turns errors into messages and exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command: as `click.Command.main`, whose arguments it takes."""

        def run() -> Any:
            name = prog_name or "vhdtool"
            return super(_Commands, self).main(args, name, complete_var, False, **extra)

        if not standalone_mode:
            return run()
        for stream in (sys.stdout, sys.stderr):
            # A terminal that cannot show a character gets its escape, never a traceback.
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        try:
            code = run()
        except click.ClickException as error:
            error.show()
            sys.exit(error.exit_code)
        except click.Abort:
            click.echo("Interrupted.", err=True)
            sys.exit(INTERRUPTED)
        except VhdToolsError as error:
            _tell(str(error))
            sys.exit(_exit_code(error))
        except Exception as error:  # noqa: BLE001  # the last resort of a program for people
            _tell_of_a_bug(error)
            sys.exit(FAILED)
        sys.exit(code if isinstance(code, int) else 0)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="vhdtool", message="%(prog)s %(version)s")
@verbose_option
@click.pass_context
def main(ctx: click.Context) -> None:
    """Inspect virtual hard disks (VHD), and upload them to Azure page blobs."""
    if os.environ.get("NO_COLOR"):
        ctx.color = False


def _debugging() -> bool:
    # Whoever has not loaded logging did not ask for it.
    logging = sys.modules.get("logging")
    logged = logging is not None and logging.getLogger("vhdtools").level == logging.DEBUG
    return logged or bool(os.environ.get(DEBUG_VARIABLE))


def _exit_code(error: VhdToolsError) -> int:
    if isinstance(error, UsageError):
        return USAGE
    if isinstance(error, TransferInterruptedError):
        return INTERRUPTED
    return RESUMABLE if error.resumable else FAILED


def _tell(message: str) -> None:
    click.echo(click.style("Error: ", fg="red", bold=True) + printable(message), err=True)


def _tell_of_a_bug(error: Exception) -> None:
    # A message may have come from anywhere, so secrets are struck out here as a last resort.
    from vhdtools.target.service_errors import without_secrets

    message = without_secrets(f"{type(error).__name__}: {error}")
    _tell(
        f"this is a bug in vhdtool {__version__}: {message}. Report it to the maintainers, with "
        f"the output of the same command under {DEBUG_VARIABLE}=1."
    )
    if _debugging():
        import traceback

        click.echo(without_secrets("".join(traceback.format_exception(error))), err=True)
