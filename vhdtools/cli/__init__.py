"""The command line: `vhdtool`. The only place that prints, asks, and turns errors into exit codes.

Exit codes: 0 done, 1 failed or error findings, 2 usage, 3 stopped and resumable by the same
command, 130 interrupted by the user.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import click

from vhdtools import __version__
from vhdtools.cli.command import ARGUMENTS, redacted, refuse_secrets
from vhdtools.cli.formatting import printable
from vhdtools.cli.output import prepare_streams, settle_streams, tell, tell_error, told_of_stdout
from vhdtools.cli.verbosity import verbose_option
from vhdtools.errors import TransferInterruptedError, UsageError, VhdToolsError
from vhdtools.inputs import refuse_secret
from vhdtools.resources import resource_limit
from vhdtools.text import redact

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

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse what stands before a command's name, and look at the name itself."""
        ctx.meta[ARGUMENTS] = tuple(args)
        known = [at for at, arg in enumerate(args) if arg in _COMMANDS]
        refuse_secrets(self.params, args[: known[0] if known else len(args)])
        name = next((arg for arg in args if not arg.startswith("-")), "")
        refuse_secret("the command's name", name)
        return super().parse_args(ctx, args)

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
            # Commands that name another one repeat the arguments.
            words = list(sys.argv[1:] if args is None else args)
            return super(_Commands, self).main(
                args, name, complete_var, False, **{"obj": words, **extra}
            )

        if not standalone_mode:
            return run()
        prepare_streams()
        try:
            sys.exit(_exit_code_of(run, sys.argv[1:] if args is None else args))
        finally:
            settle_streams()


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 failed or error findings, 2 usage, 3 stopped, 130 interrupted. "
    "After 3 and 130, the same command goes on where an upload stopped.",
)
@click.version_option(__version__, prog_name="vhdtool", message="%(prog)s %(version)s")
@verbose_option
def main() -> None:
    """Inspect virtual hard disks (VHD), and upload them to Azure page blobs."""


def _exit_code_of(run: Callable[[], Any], arguments: Sequence[str]) -> int:
    """Run a command; whatever it raises is told, and has its exit code."""
    try:
        code = run()
    except click.ClickException as error:
        tell(redacted(error))
        return error.exit_code
    except click.Abort:
        tell("Interrupted.")
        return INTERRUPTED
    except Exception as raised:  # noqa: BLE001  # the last resort of a program for people
        told = told_of_stdout(raised)
        if isinstance(told, TransferInterruptedError):
            _tell_of_a_stop(told, arguments)
            return INTERRUPTED
        if not isinstance(told, VhdToolsError):
            told = resource_limit(told) or told
        if isinstance(told, VhdToolsError):
            tell_error(_error_text(told, arguments))
            return _exit_code(told)
        _tell_of_a_bug(told)
        return FAILED
    return code if isinstance(code, int) else 0


def _debugging() -> bool:
    # Whoever has not loaded logging did not ask for it.
    logging = sys.modules.get("logging")
    logged = logging is not None and logging.getLogger("vhdtools").level == logging.DEBUG
    return logged or bool(os.environ.get(DEBUG_VARIABLE))


def _exit_code(error: VhdToolsError) -> int:
    if isinstance(error, UsageError):
        return USAGE
    return RESUMABLE if error.resumable else FAILED


def _error_text(error: VhdToolsError, arguments: Sequence[str]) -> str:
    if not error.reruns:
        return str(error)
    from vhdtools.cli.rerunning import error_text

    return error_text(error, arguments)


def _tell_of_a_stop(error: TransferInterruptedError, arguments: Sequence[str]) -> None:
    """No error: somebody asked for it. What is safe, and the command that resumes."""
    from vhdtools.cli.stopping import command_text

    command = command_text(arguments)
    tell(printable(f"{error.subject}: {error.problem}."))
    if command is None:
        tell(printable(error.remedy or "Run the same command again."))
    else:
        tell(f"{printable(error.remedy.rstrip('.') or 'Run the same command again')}:")
        tell(f"  {printable(command)}")


def _tell_of_a_bug(error: Exception) -> None:
    # A message may have come from anywhere, so secrets are struck out here as a last resort.
    message = redact(f"{type(error).__name__}: {error}")
    tell_error(
        f"this is a bug in vhdtool {__version__}: {message}. Report it to the maintainers, with "
        f"the output of the same command under {DEBUG_VARIABLE}=1."
    )
    if _debugging():
        import traceback

        tell(redact("".join(traceback.format_exception(error))))
