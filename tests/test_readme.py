"""Every example of the README runs."""

from __future__ import annotations

import base64
import json
import re
import shlex
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from azure.core.credentials import AccessToken
from azure.storage.blob import ContainerClient
from click.testing import CliRunner

from tests.support.azurite import Azurite, start_azurite
from vhdtools.cli import main

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)
COMMANDS = [
    line.removeprefix("$ ")
    for language, text in BLOCKS
    if language == "console"
    for line in text.splitlines()
]
PROGRAMS = [text for language, text in BLOCKS if language == "python"]
ACCOUNT = "https://myaccount.blob.core.windows.net"


@pytest.fixture
def folder(
    sample_disk: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A working folder that holds the disk.vhd of the examples."""
    shutil.copy(sample_disk("disks/dynamic-gpt-fat-ext4.vhd"), tmp_path / "disk.vhd")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def vhds(azurite: Azurite) -> Iterator[ContainerClient]:
    """The container of the examples, empty."""
    with ContainerClient.from_connection_string(azurite.connection_string, "vhds") as client:
        client.create_container()
        yield client
        client.delete_container()


def run(command: str) -> str:
    """The output of a `vhdtool` command, run in this process; it must succeed."""
    program, *arguments = shlex.split(command, comments=True)
    assert program == "vhdtool"
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    return result.output


def vhdtool_commands(*holding: str) -> list[str]:
    return [c for c in COMMANDS if c.startswith("vhdtool") and all(h in c for h in holding)]


def test_every_example_is_run_by_a_test() -> None:
    ours = {"make demo", "make test"}
    others = [c for c in COMMANDS if not c.startswith("vhdtool") and c not in ours]
    assert [c.split()[0] for c in others] == ["pip", "export"]
    known = ("inspect", "$SAS", ACCOUNT, "vhds/disk.vhd", "file:")
    for command in vhdtool_commands():
        assert any(part in command for part in known), command


@pytest.mark.parametrize("command", vhdtool_commands("inspect"))
def test_inspecting(command: str, folder: Path) -> None:
    assert "disk.vhd" in run(command)


def test_with_a_sas(folder: Path, azurite: Azurite, vhds: ContainerClient) -> None:
    sas = azurite.sas("vhds", "disk.vhd")
    commands = vhdtool_commands("$SAS")
    assert len(commands) >= 3
    for command in commands:
        output = run(command.replace(ACCOUNT, azurite.endpoint).replace("$SAS", sas))
        assert sas not in output
    with vhds.get_blob_client("disk.vhd") as blob:
        assert blob.get_blob_properties().size == 64 * 2**20 + 512


def test_with_a_connection_string(
    folder: Path, azurite: Azurite, vhds: ContainerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", azurite.connection_string)
    commands = vhdtool_commands("upload", " vhds/disk.vhd")
    assert len(commands) == 5
    for command in commands:
        run(command)


def test_to_a_file(folder: Path) -> None:
    (command,) = vhdtool_commands("file:")
    run(command)
    assert (folder / "fixed.vhd").stat().st_size == 64 * 2**20 + 512


def token(scopes: tuple[str, ...]) -> AccessToken:
    """A token as Microsoft Entra ID would issue it, but for its signature, which nobody checks."""
    now = int(time.time())
    claims = {
        "aud": scopes[0].removesuffix("/.default"),
        "iss": "https://sts.windows.net/00000000-0000-0000-0000-000000000000/",
        "iat": now,
        "nbf": now,
        "exp": now + 3600,
    }
    parts: tuple[dict[str, Any], ...] = ({"alg": "RS256", "typ": "JWT"}, claims, {})
    text = ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts
    )
    return AccessToken(text, now + 3600)


def test_as_the_signed_in_identity(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Identity:
        def get_token(self, *scopes: str, **_: Any) -> AccessToken:
            asked.extend(scopes)
            return token(scopes)

        def close(self) -> None: ...

    monkeypatch.setattr("azure.identity.DefaultAzureCredential", lambda **_: Identity())
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path("ca.pem")
    certificate.cert_chain_pems[0].write_to_path("cert.pem")
    certificate.private_key_pem.write_to_path("key.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(folder / "ca.pem"))
    (command,) = [c for c in vhdtool_commands("upload", ACCOUNT) if "$SAS" not in c]
    with start_azurite("--cert", "cert.pem", "--key", "key.pem", "--oauth", "basic") as azurite:
        with ContainerClient.from_connection_string(azurite.connection_string, "vhds") as client:
            client.create_container()
        run(command.replace(ACCOUNT, azurite.endpoint))
    assert asked
    assert all(scope == "https://storage.azure.com/.default" for scope in asked)


def test_programs(folder: Path, azurite: Azurite, vhds: ContainerClient) -> None:
    assert len(PROGRAMS) == 2
    for text in PROGRAMS:
        exec(compile(text, "README.md", "exec"), {"connection_string": azurite.connection_string})
    with vhds.get_blob_client("disk.vhd") as blob:
        assert blob.get_blob_properties().metadata["vhdtools_crc64"]
