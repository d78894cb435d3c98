"""Secrets put into every place where a text goes in: none comes out, and none becomes a name.

Each run makes other secrets, and another choice of mistakes, from a seed that it prints;
VHDTOOLS_SECRETS_SEED repeats a run.
"""

from __future__ import annotations

import json
import logging
import os
import random
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import vhdtools
from tests.pageblob_server import PageBlobServer, ServerOptions
from tests.support.build_vhd import place
from tests.support.misplaced_secrets import Secret, make_secrets, mangled
from tests.support.uploads import fixed
from vhdtools.cli import main
from vhdtools.errors import VhdToolsError
from vhdtools.transfer import RetryPolicy, UploadOptions

SEED = int(os.environ.get("VHDTOOLS_SECRETS_SEED") or random.randrange(1 << 32))
VARIABLES = (
    "AZURE_STORAGE_CONNECTION_STRING",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_KEY",
    "AZURE_STORAGE_ACCOUNT",
    "AZURE_STORAGE_SERVICE_ENDPOINT",
    "AZURE_STORAGE_AUTH_MODE",
    "AZURE_CLOUD_NAME",
)
QUICK = ("--patience", "0", "--retry-delay", "0.001", "--no-progress")
RETRY = RetryPolicy(first_delay=0.001, max_delay=0.001, patience=0.001)
COMBINATIONS, CALLS, PROCESSES = 700, 300, 4

Case = tuple[list[str], dict[str, str]]


@pytest.fixture(scope="module")
def server() -> Iterator[PageBlobServer]:
    with PageBlobServer(ServerOptions()) as running:
        running.create_container("disks")
        yield running


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A disk that can be uploaded, in the working directory; no account in the environment."""
    for name in [*VARIABLES, "AZURE_AUTHORITY_HOST"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(sys.modules, "azure.identity", None)  # nobody is signed in
    monkeypatch.chdir(tmp_path)
    return place(tmp_path / "disk.vhd", fixed("A-"))


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("vhdtools")
    handlers, level = root.handlers[:], ours.level
    yield
    root.handlers[:] = handlers
    ours.setLevel(level)


def command_lines(disk: str, text: str) -> Iterator[Case]:
    """Every argument, option and variable of every command, with `text` in it."""
    blob = "disks/other.vhd"
    halves = [text[: len(text) // 2], text[len(text) // 2 :]]
    for command in ("upload", "verify"):
        yield [command, text, blob, *QUICK], {}
        yield [command, disk, text, *QUICK], {}
        yield [command, disk, text, "--json", *QUICK], {}
        yield [command, disk, *halves, *QUICK], {}
        yield [command, disk, blob, text, *QUICK], {}
        yield [command, disk, *text.split("&"), *QUICK], {}
        for option in ("--workers", "--patience", "--retry-delay", "--nonsense", "--json"):
            yield [command, disk, blob, *QUICK, option, text], {}
            yield [command, disk, blob, *QUICK, f"{option}={text}"], {}
        for option in ("--connection-string", "--sas-file", "--account-name", "--cloud"):
            yield [command, disk, blob, *QUICK, option, text], {}
        for option in ("--parent-dir", "--size-rule", "--fixed-base"):
            yield [command, disk, blob, *QUICK, option, text], {}
        for name in VARIABLES:
            yield [command, disk, blob, *QUICK], {name: text}
        yield [command, disk, blob, *QUICK, "--sas-file", "sas.txt"], {}
    yield ["upload", disk, text, "--dry-run"], {}
    yield ["upload", disk, "disks/o.vhd", "--max-rate", text], {}
    yield ["upload", disk, "disks/o.vhd", "--checkpoint-interval", text], {}
    for options in ([], ["--json"], ["--deep"], ["--bat"], ["--map"]):
        yield ["inspect", text, *options], {}
        yield ["inspect", disk, text, *options], {}
    yield ["inspect", *halves], {}
    for option in ("--hex", "--map", "--parent-dir", "--size-rule", "--sas-file", "--account-name"):
        yield ["inspect", disk, option, text], {}
    yield ["inspect", blob, "--connection-string", text], {}
    yield ["inspect", f"blob:{blob}", "--cloud", text], {}
    for name in VARIABLES:
        yield ["inspect", f"blob:{blob}", "--json"], {name: text}
    yield ["repair", text], {}
    yield ["repair", disk, "--undo", text], {}
    yield ["repair", disk, "--use", text], {}
    yield ["repair", disk, "--fix-checksum", text], {}
    yield ["repair", disk, text, "--write"], {}
    yield [text], {}
    yield [text, "inspect", disk], {}
    yield ["--version", text], {}
    yield [f"-v{text}", "inspect", disk], {}


def library_calls(disk: str, text: str) -> Iterator[Callable[[], Any]]:
    """Every text parameter of every public function, with `text` in it."""
    options = UploadOptions(retry=RETRY, workers=1)
    odd: Any = text
    blob = "disks/other.vhd"
    yield lambda: vhdtools.open(text)
    yield lambda: vhdtools.open(Path(text))
    yield lambda: vhdtools.open(disk, parent_dirs=[text])
    yield lambda: vhdtools.open(disk, size_rule=odd)
    yield lambda: vhdtools.open(disk, fixed_base=odd)
    yield lambda: vhdtools.inspect(text)
    yield lambda: vhdtools.inspect(disk, parent_dirs=[Path(text)])
    yield lambda: vhdtools.inspect(disk, size_rule=odd)
    yield lambda: vhdtools.open_target(text)
    yield lambda: vhdtools.open_target(blob, connection_string=text)
    yield lambda: vhdtools.open_target(blob, account_url=text)
    yield lambda: vhdtools.open_target("http://127.0.0.1:9/acct/disks/o.vhd", credential=text)
    for call in (vhdtools.upload, vhdtools.verify):
        how: dict[str, Any] = {"options": options} if call is vhdtools.upload else {"retry": RETRY}
        yield lambda call=call, how=how: call(text, blob, **how)  # type: ignore[misc]
        yield lambda call=call, how=how: call(disk, text, **how)  # type: ignore[misc]
        yield lambda call=call, how=how: call(disk, blob, connection_string=text, **how)  # type: ignore[misc]
        yield lambda call=call, how=how: call(  # type: ignore[misc]
            disk, "http://127.0.0.1:9/acct/disks/o.vhd", credential=text, **how
        )


def seen_of(error: BaseException) -> Iterator[str]:
    """All that can be seen of an error and of those that it came from."""
    yield "".join(traceback.format_exception(error))
    seen: list[BaseException] = []
    pending: list[BaseException | None] = [error]
    while pending:
        current = pending.pop()
        if current is None or current in seen:
            continue
        seen.append(current)
        yield from (str(current), repr(current), repr(current.args), repr(vars(current)))
        pending += [current.__cause__, current.__context__]


Choice = tuple[str, Secret, str]


@pytest.fixture(scope="module")
def choices(server: PageBlobServer) -> list[Choice]:
    """Secrets in all their forms, at a service and at a port where none is, in a random order."""
    chance = random.Random(SEED)
    every: list[Choice] = []
    for endpoint in (server.url, "http://127.0.0.1:9/acct"):
        every += mangled(make_secrets(chance, endpoint))
    chance.shuffle(every)
    return every


@pytest.fixture(autouse=True)
def nothing_stays(server: PageBlobServer, choices: list[Choice], disk: Path) -> Iterator[None]:
    """Neither the service nor a file has any secret: not in a name, and not in metadata."""
    print(f"VHDTOOLS_SECRETS_SEED={SEED}")
    yield
    names = {record.name for record in server.requests}
    kept = [*names, *map(str, disk.parent.rglob("*"))]
    for name in names:
        if name.count("/") == 1 and server.blob(name).exists:
            kept += [repr(server.blob(name).metadata), repr(dict(server.blob(name).properties))]
    for path in disk.parent.rglob("*"):
        if path.is_file() and path.name != "sas.txt":
            kept.append(path.read_bytes().decode("latin-1"))
    everything = "\n".join(kept)
    for name, secret, _ in choices:
        assert not secret.found_in(everything), name


def test_commands(
    server: PageBlobServer,
    choices: list[Choice],
    disk: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("VHDTOOL_DEBUG", "1")
    caplog.set_level(logging.DEBUG)
    chance = random.Random(SEED)
    for number in range(COMBINATIONS):
        name, secret, text = choices[number % len(choices)]
        cases = list(command_lines(str(disk), text))
        arguments, variables = cases[number % len(cases)]
        Path("sas.txt").write_text(text, encoding=chance.choice(["utf-8", "utf-8-sig", "utf-16"]))
        if chance.random() < 0.5:
            variables = {"AZURE_STORAGE_CONNECTION_STRING": server.connection_string} | variables
        caplog.clear()
        found = CliRunner().invoke(main, ["-vv", *arguments], env=variables)
        what = f"{name}: {[arg.replace(text, '<SECRET>') for arg in arguments]} {[*variables]}"
        assert not secret.found_in(found.output), f"{what}\n{found.output}"
        assert not secret.found_in(caplog.text), what
        assert "a bug" not in found.output, f"{what}\n{found.output}"


@pytest.mark.usefixtures("server")
def test_library(choices: list[Choice], disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for number in range(CALLS):
        name, secret, text = choices[-1 - number % len(choices)]
        calls = list(library_calls(str(disk), text))
        what = f"{name}: call {number % len(calls)}"
        caplog.clear()
        try:
            result = calls[number % len(calls)]()
        except VhdToolsError as error:
            for seen in seen_of(error):
                assert not secret.found_in(seen), f"{what}\n{seen}"
        else:
            shown = repr(result) + str(result)
            if hasattr(result, "to_json"):
                shown += json.dumps(result.to_json())
            assert not secret.found_in(shown), what
            if hasattr(result, "close"):
                result.close()
        assert not secret.found_in(caplog.text), what


def test_the_command_itself(choices: list[Choice], disk: Path) -> None:
    """In a process of its own: its standard streams, and the interpreter's own messages."""
    chance = random.Random(SEED)
    for name, secret, text in choices[:PROCESSES]:
        arguments, variables = chance.choice(list(command_lines(str(disk), text)))
        Path("sas.txt").write_text(text)
        done = subprocess.run(
            [sys.executable, "-m", "vhdtools", "-vv", *arguments],
            env={**os.environ, "VHDTOOL_DEBUG": "1", **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert not secret.found_in(done.stdout), f"{name}\n{done.stdout}"
        assert "Traceback" not in done.stdout, f"{name}\n{done.stdout}"


def test_a_search_that_finds() -> None:
    """What looks for secrets sees them in any case and encoding."""
    for name, secret, text in mangled(make_secrets(random.Random(SEED), "http://127.0.0.1:9/acct")):
        assert secret.found_in(f"before {text} after"), name
        assert not secret.found_in("nothing of the kind")
