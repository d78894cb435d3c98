"""The command as a whole: how it starts, and how it ends when something is wrong."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

import vhdtools.cli
from tests.support.build_vhd import Recipe, place
from vhdtools import __version__
from vhdtools.cli import main
from vhdtools.cli.stopping import command_text
from vhdtools.errors import (
    AccessError,
    DamagedImageError,
    TransferInterruptedError,
    UnavailableError,
    UsageError,
    VhdToolsError,
)


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Make `vhdtool inspect` raise."""

    @click.command()
    def inspect() -> None:
        raise error

    monkeypatch.setattr(vhdtools.cli._Commands, "get_command", lambda *_: inspect)


@pytest.fixture
def quiet_again() -> Iterator[None]:
    """Logging as it was, after a test that asked for more."""
    root, ours = logging.getLogger(), logging.getLogger("vhdtools")
    handlers, level = root.handlers[:], ours.level
    yield
    root.handlers[:] = handlers
    ours.setLevel(level)


def run(*arguments: str, **environment: str | None) -> Result:
    return CliRunner().invoke(main, arguments, env={"VHDTOOL_DEBUG": None, **environment})


def test_the_version() -> None:
    result = run("--version")
    assert result.exit_code == 0
    assert result.output == f"vhdtool {__version__}\n"


def test_the_help_lists_every_command_without_loading_one() -> None:
    script = (
        "import sys; from click.testing import CliRunner; from vhdtools.cli import main\n"
        "result = CliRunner().invoke(main, ['--help'])\n"
        "print(result.output)\n"
        "print([n for n in sys.modules if n.startswith(('vhdtools.transfer', 'vhdtools.target'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True
    )
    for name in ("inspect", "upload", "verify", "repair"):
        assert f"  {name} " in done.stdout
    assert done.stdout.endswith("[]\n")


@pytest.mark.parametrize("name", ["inspect", "upload", "verify", "repair"])
def test_every_command_explains_itself(name: str) -> None:
    result = run(name, "--help")
    assert result.exit_code == 0
    assert result.output.startswith(f"Usage: main {name} ") or "Usage: vhdtool" in result.output


def test_inspect_loads_nothing_that_uploading_needs(tmp_path: Path) -> None:
    path = place(tmp_path / "disk.vhd", Recipe("A-"))
    script = (
        "import sys; from vhdtools.cli import main\n"
        f"main(['inspect', {str(path)!r}], standalone_mode=False)\n"
        "heavy = ('azure', 'awscrt', 'tqdm', 'matplotlib', 'jsonschema', 'crcmod', 'requests', "
        "'vhdtools.transfer', 'vhdtools.target')\n"
        "print([name for name in sys.modules if name.startswith(heavy)])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True
    )
    assert done.stdout.endswith("[]\n")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DamagedImageError("disk.vhd", "a hole in it"), 1),
        (VhdToolsError("disk.vhd", "something"), 1),
        (UsageError("disk.vhd", "what is this"), 2),
        (AccessError("blob", "expired"), 3),
        (UnavailableError("blob", "no answer"), 3),
    ],
)
def test_errors_become_exit_codes(
    error: VhdToolsError, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, error)
    result = run("inspect")
    assert result.exit_code == code
    assert result.stderr == f"Error: {error}\n"
    assert result.stdout == ""


def test_a_stop_is_no_error_and_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, TransferInterruptedError("blob", "stopped", "Run it again."))
    result = run("inspect")
    assert result.exit_code == 130
    assert result.stderr == "blob: stopped.\nRun it again:\n  vhdtool inspect\n"


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["upload", "a disk.vhd", "c/b.vhd"], "vhdtool upload 'a disk.vhd' c/b.vhd"),
        (["upload", "--max-rate=1 M", "d", "$x"], "vhdtool upload '--max-rate=1 M' d '$x'"),
        (["upload", "d", "https://host/c/b?sv=1&sig=SECRET"], None),
        (["upload", "d", "c/b", "--connection-string", "AccountKey=SECRET"], None),
    ],
)
def test_a_command_is_repeated_without_secrets(arguments: list[str], command: str | None) -> None:
    assert command_text(arguments) == command


def test_messages_cannot_move_the_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, DamagedImageError("\x1b[2J.vhd", "a hole"))
    assert run("inspect").stderr == "Error: \\x1b[2J.vhd: a hole.\n"


def test_ctrl_c_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, KeyboardInterrupt())
    result = run("inspect")
    assert result.exit_code == 130
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("arguments", [["nonsense"], ["inspect", "--nonsense"], ["--nonsense"]])
def test_usage_is_2(arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert "Error: " in result.stderr


def test_a_bug_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, ZeroDivisionError("at https://x/y?sv=1&sig=SECRET%2F&se=2"))
    result = run("inspect")
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "bug" in result.stderr
    assert "ZeroDivisionError" in result.stderr
    assert "SECRET" not in result.stderr


@pytest.mark.usefixtures("quiet_again")
@pytest.mark.parametrize(
    ("arguments", "environment"), [(["-vv"], {}), ([], {"VHDTOOL_DEBUG": "1"})]
)
def test_a_bug_shows_where_it_is_if_asked(
    arguments: list[str], environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, ZeroDivisionError("sig=SECRET"))
    result = run(*arguments, "inspect", **environment)
    assert result.exit_code == 1
    assert "Traceback (most recent call last)" in result.stderr
    assert "SECRET" not in result.stderr


def test_a_reader_that_goes_away_is_no_bug(tmp_path: Path) -> None:
    paths = [str(place(tmp_path / f"{number}.vhd", Recipe("A-"))) for number in range(60)]
    with subprocess.Popen(
        [sys.executable, "-m", "vhdtools", "inspect", *paths],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""


def test_logging_is_on_request(tmp_path: Path) -> None:
    path = str(place(tmp_path / "disk.vhd", Recipe("A-")))
    script = (
        "import logging, sys; from vhdtools.cli import main\n"
        "main([*sys.argv[1:]], standalone_mode=False)\n"
        "print(logging.getLogger('vhdtools').getEffectiveLevel())"
    )
    levels = []
    for flags in ([], ["-v"], ["-vv"]):
        done = subprocess.run(
            [sys.executable, "-c", script, *flags, "inspect", path],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        levels.append(int(done.stdout.split()[-1]))
    assert levels == [30, 20, 10]
