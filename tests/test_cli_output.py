"""Standard output and standard error: closed, full, without a reader, of few characters."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import vhdtools.cli.inspect
from tests.support.build_vhd import Recipe, place, write
from tests.test_cli_upload import shown_on, terminal
from vhdtools.cli import main
from vhdtools.inspection import Inspection
from vhdtools.inspection import inspect as inspect_disk

VHDTOOL = [sys.executable, "-m", "vhdtools"]
FAILING = ">&-", ">/dev/full", ">&- 2>&-", ">/dev/full 2>/dev/full", ">/dev/full 2>&-"


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    return place(tmp_path / "disk.vhd", Recipe("A" * 9 + "-" * 7))


def shell(redirection: str, *command: object, **environment: str) -> tuple[int, str, str]:
    """Run a command with its streams as a shell redirects them."""
    done = subprocess.run(
        ["sh", "-c", f'"$@" {redirection}', "sh", *map(str, command)],
        capture_output=True,
        check=False,
        env={**os.environ, **environment},
    )
    return done.returncode, done.stdout.decode("ascii"), done.stderr.decode("ascii")


@pytest.mark.parametrize("redirection", FAILING)
@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["inspect"], ["inspect", "--json"], ["repair"]]
)
def test_what_stdout_does_not_take_is_an_error(
    arguments: list[str], redirection: str, disk: Path
) -> None:
    named = [disk] if arguments[0] in ("inspect", "repair") else []
    code, _, errors = shell(redirection, *VHDTOOL, *arguments, *named)
    assert code == 1
    if "2>" not in redirection:
        why = "it is closed" if redirection == ">&-" else "No space left on device"
        assert errors == f"Error: standard output: the result cannot be written: {why}.\n"


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_an_upload_that_cannot_be_told_is_complete(
    options: list[str], disk: Path, tmp_path: Path
) -> None:
    command = [*VHDTOOL, "upload", disk, f"file:{tmp_path / 'out.vhd'}", *options]
    code, _, errors = shell(">/dev/full", *command)
    assert code == 1
    assert errors.endswith("No space left on device. The file itself is complete.\n")
    again = json.loads(shell("", *VHDTOOL, "verify", disk, command[5], "--json")[1])
    assert again["verified"] is True


def test_a_verification_that_cannot_be_told_says_how_it_ended(disk: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.vhd"
    shell("", *VHDTOOL, "upload", disk, f"file:{out}")
    errors = shell(">/dev/full", *VHDTOOL, "verify", disk, f"file:{out}")[2]
    assert errors.endswith(f"But {out} is equal to the disk.\n")
    with out.open("r+b") as file:
        file.write(b"other")
    code, _, errors = shell(">/dev/full", *VHDTOOL, "verify", disk, f"file:{out}", "--json")
    assert code == 1
    assert "standard output" in errors
    assert str(out) in errors


def test_a_repair_that_cannot_be_told_is_not_made(tmp_path: Path) -> None:
    disk = place(tmp_path / "disk.vhd", Recipe("A" * 8, end_size=0))
    before = disk.read_bytes()
    code, _, errors = shell(">/dev/full", *VHDTOOL, "repair", disk, "--write")
    assert code == 1
    assert "Nothing was written to the disk." in errors
    assert disk.read_bytes() == before


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full"])
def test_no_work_fails_because_stderr_takes_nothing(
    redirection: str, disk: Path, tmp_path: Path
) -> None:
    command = [*VHDTOOL, "upload", disk, f"file:{tmp_path / 'out.vhd'}", "--verify"]
    code, output, _ = shell(redirection, *command)
    assert code == 0
    assert output.startswith("Wrote: ")
    assert shell(redirection, *VHDTOOL, "inspect", "--nonsense")[0] == 2
    assert shell(redirection, *VHDTOOL, "verify", disk, "file:missing.vhd")[0] == 1


def test_no_file_gets_the_number_of_a_closed_stream(tmp_path: Path) -> None:
    script = (
        "import os, sys; from vhdtools.cli.output import prepare_streams\n"
        "prepare_streams(); sys.exit(os.open(sys.argv[1], os.O_RDWR | os.O_CREAT))"
    )
    assert shell("<&- >&- 2>&-", sys.executable, "-c", script, tmp_path / "file")[0] > 2


def test_a_reader_of_an_upload_that_went_away_is_told_of(disk: Path, tmp_path: Path) -> None:
    command = [*VHDTOOL, "upload", str(disk), f"file:{tmp_path / 'out.vhd'}", "--no-progress"]
    with subprocess.Popen(
        ["sh", "-c", 'read go; exec "$@"', "sh", *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stdin.write(b"go\n")
        process.stdin.close()
        errors = process.stderr.read()
    assert process.returncode == 1
    assert b"Broken pipe. The file itself is complete." in errors
    assert b"Traceback" not in errors


def test_each_disk_is_printed_before_the_next_is_inspected(
    disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that their number costs no memory."""
    printed = []

    def inspect(path: str, **options: object) -> Inspection:
        printed.append(sys.stdout.buffer.getvalue())  # type: ignore[union-attr]  # CliRunner's
        return inspect_disk(path)

    monkeypatch.setattr(vhdtools.cli.inspect, "inspect_disk", inspect)
    for options, sign in ([], b"conectix"), (["--json"], b'"azure"'):
        printed.clear()
        CliRunner().invoke(main, ["inspect", *options, *3 * [str(disk)]])
        before = [text.count(sign) for text in printed]
        assert before == [0, before[1], 2 * before[1]]
        assert before[1] > 0


def test_an_array_is_as_one_call_of_json_prints_it(disk: Path) -> None:
    one = json.loads(CliRunner().invoke(main, ["inspect", "--json", str(disk)]).stdout)
    many = CliRunner().invoke(main, ["inspect", "--json", *3 * [str(disk)]]).stdout
    assert many == json.dumps([one, one, one], indent=2) + "\n"


@pytest.mark.parametrize("no_color", ["", "1"])
def test_each_stream_has_colour_by_itself(no_color: str, disk: Path) -> None:
    for wrong in ("missing.vhd", str(disk)):
        ours, theirs = terminal()
        command = ["upload", wrong, "file:no/such/folder/out.vhd"]
        done = subprocess.run(
            [*VHDTOOL, *command],
            check=False,
            stdout=subprocess.PIPE,
            stderr=theirs,
            env={**os.environ, "NO_COLOR": no_color},
        )
        shown = shown_on(ours, theirs)
        assert done.returncode != 0
        assert "Error: " in shown
        assert ("\x1b[" in shown) is (not no_color)


ASCII = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
LOCALES = {"utf-8": {}, "C": {"LC_ALL": "C"}, "ascii": {**ASCII, "PYTHONIOENCODING": "ascii"}}


@pytest.fixture
def odd_disks(tmp_path: Path) -> list[bytes]:
    names = [b"caf\xc3\xa9.vhd", b"odd\xff.vhd", "日本.vhd".encode()]
    for name in names:
        place(tmp_path / os.fsdecode(name), Recipe("A" * 8, end_size=0))
    return names


@pytest.mark.parametrize("locale", LOCALES)
def test_names_are_told_in_every_locale(
    locale: str, odd_disks: list[bytes], tmp_path: Path
) -> None:
    environment = {**os.environ, **LOCALES[locale]}

    def output(*arguments: str | bytes) -> bytes:
        done = subprocess.run(
            [*VHDTOOL, *arguments], cwd=tmp_path, env=environment, capture_output=True, check=False
        )
        assert b"bug" not in done.stderr
        assert b"Traceback" not in done.stderr
        return done.stdout + done.stderr

    documents = json.loads(output("inspect", "--json", *odd_disks).decode("ascii"))
    assert [document["path"] for document in documents] == ["café.vhd", "odd\\xff.vhd", "日本.vhd"]
    encoding = "ascii" if locale == "ascii" else "utf-8"
    for command in (["inspect"], ["inspect", "--map"], ["repair"], ["verify", *odd_disks[:1]]):
        for name in odd_disks:
            assert output(*command, name).decode(encoding)
    for name in odd_disks:
        output("upload", name, b"file:out" + name)
        assert (tmp_path / os.fsdecode(b"out" + name)).exists()


NAMES = [
    b"-x.vhd",
    b"--help",
    b"a b.vhd",
    b'it\'s \\ "$HOME".vhd',
    b"~.vhd",
    b"odd\xff1.vhd",
    b"new\nline's \\.vhd",
    "caf\u00e9 \u202e.vhd".encode(),
]


@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_commands_that_are_shown_can_be_copied(name: bytes, tmp_path: Path) -> None:
    disk = place(tmp_path / os.fsdecode(name), Recipe("A" * 8, end_size=0))
    inspected = subprocess.run(
        [*VHDTOOL, "inspect", "--", os.fsdecode(name)],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    commands = re.findall(r"To do: `vhdtool (repair .* --write)`$", inspected.stdout, re.M)
    assert commands
    copied = ["bash", "-c", f"{shlex.join(VHDTOOL)} {commands[0]}"]
    subprocess.run(copied, cwd=tmp_path, stdout=subprocess.PIPE, check=True)
    assert disk.read_bytes()[-512:] == disk.read_bytes()[:512]


def test_commands_that_convert_can_be_copied(tmp_path: Path) -> None:
    disk = write(tmp_path / "-x y.vhd", bytes(510) + b"\x55\xaa" + b"disk" * 128)
    done = subprocess.run(
        [*VHDTOOL, "upload", "--", disk.name, "file:out.vhd"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert "force_size=on './-x y.vhd' './-x y-2.vhd'`" in done.stderr
