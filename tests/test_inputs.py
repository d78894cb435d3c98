"""What is made of what a user types: understood where its meaning is plain, else refused."""

from __future__ import annotations

import io
import json
import logging
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import vhdtools
from tests.pageblob_server import SAS, PageBlobServer
from tests.support.build_vhd import place
from tests.support.uploads import fixed
from vhdtools.cli import _COMMANDS, main
from vhdtools.cli.command import Command
from vhdtools.cli.credentials import find_credentials
from vhdtools.errors import UsageError, VhdToolsError
from vhdtools.inputs import local_path, refuse_secret, shown, unquoted
from vhdtools.logs import RedactingFormatter, logger
from vhdtools.target.blob_address import BlobAddress, checked_sas
from vhdtools.target.connection_string import parse_connection_string
from vhdtools.target.reference import parse_reference
from vhdtools.text import holds_secret, redact

pytest_plugins = ["tests.pageblob_server.fixtures"]

HOST = "https://acct.blob.core.windows.net"
TOKEN = "sv=2024-11-04&sp=racw&sig=S3CRET%2Bx%3D"
KEY = "S3CRET" + "A" * 80 + "=="
STRING = f"AccountName=acct;AccountKey={KEY}"
BLOB = BlobAddress(HOST, "vhds", "d.vhd")


@pytest.fixture(autouse=True)
def no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CONNECTION_STRING", "SAS_TOKEN", "KEY", "ACCOUNT", "SERVICE_ENDPOINT"):
        monkeypatch.delenv(f"AZURE_STORAGE_{name}", raising=False)
    monkeypatch.delenv("AZURE_CLOUD_NAME", raising=False)


def run(*arguments: object, **environment: str) -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments], env=environment)


class TestNamesOfBlobs:
    @pytest.mark.parametrize(
        "text",
        [
            f"{HOST}/vhds/d.vhd?{TOKEN}",
            f'"{HOST}/vhds/d.vhd?{TOKEN}"\n',
            f"'{HOST}/vhds/d.vhd?{TOKEN}'",
            f'\\"{HOST}/vhds/d.vhd?{TOKEN}\\"',
            f'{HOST}/vhds/d.vhd?{TOKEN}"',
            f"\u201c{HOST}/vhds/d.vhd?{TOKEN}\u201d",
            f"\ufeff{HOST}/vhds/d.vhd?{TOKEN}",
            f"https:/acct.blob.core.windows.net/vhds/d.vhd?{TOKEN}",
            f"acct.blob.core.windows.net/vhds/d.vhd?{TOKEN}",
            f"{HOST}/vhds/d.vhd?{TOKEN}".replace("&", "&amp;"),
            f"{HOST}/vhds/d.vhd?{TOKEN}".replace("%2B", "+"),
            f"wasbs://vhds@acct.blob.core.windows.net/d.vhd?{TOKEN}",
            f"abfss://vhds@acct.dfs.core.windows.net/d.vhd?{TOKEN}",
        ],
    )
    def test_understood(self, text: str) -> None:
        reference = parse_reference(text)
        assert (reference.address, reference.sas) == (BLOB, TOKEN)
        assert "S3CRET" not in repr(reference)

    @pytest.mark.parametrize("form", ["vhds/d.vhd", "blob:vhds/d.vhd"])
    def test_in_an_account(self, form: str) -> None:
        assert parse_reference(form).path == "vhds/d.vhd"
        reference = parse_reference(f"{form}?{TOKEN}")
        assert (reference.path, reference.sas) == ("vhds/d.vhd", TOKEN)

    def test_a_question_mark_belongs_to_the_name(self) -> None:
        assert parse_reference("vhds/what?.vhd").path == "vhds/what?.vhd"
        reference = parse_reference(f"vhds/what?.vhd?{TOKEN}")
        assert (reference.path, reference.sas) == ("vhds/what?.vhd", TOKEN)
        address = parse_reference(f"{HOST}/vhds/what%3F.vhd?{TOKEN}").address
        assert address is not None
        assert address.blob == "what?.vhd"

    @pytest.mark.parametrize(
        ("text", "word"),
        [
            (f"{HOST}/vhds/what?.vhd?{TOKEN}", "%3F"),
            (f"{HOST}/vhds/what?.vhd", "%3F"),
            (f"{HOST}/vhds/d.vhd#{TOKEN}", "#"),
            (f"{HOST}/vhds/d.vhd%3F{TOKEN}", "none belongs"),
            (f"{HOST}/vhds/d.vhd{TOKEN}", "none belongs"),
            (f"{HOST}/vhds/d.vhd?{TOKEN}".replace("&", "%26"), "none belongs"),
            (f"vhds/d.vhd{TOKEN}", "none belongs"),
            (STRING, "--connection-string"),
            (f'"{STRING}"', "--connection-string"),
            (f"ftp://acct/vhds/d.vhd?{TOKEN}", "http"),
            (f"https://acct.dfs.core.windows.net/vhds/d.vhd?{TOKEN}", "acct.blob.core"),
            (f"https://acct.file.core.windows.net/vhds/d.vhd?{TOKEN}", "Azure Files"),
            (f"{HOST}/$root/a/d.vhd?{TOKEN}", "root container"),
        ],
    )
    def test_refused_with_the_reason(self, text: str, word: str) -> None:
        with pytest.raises(UsageError) as refused:
            parse_reference(text)
        assert word in str(refused.value)
        assert "S3CRET" not in repr(refused.value)

    def test_a_path_in_the_root_container(self) -> None:
        with pytest.raises(UsageError, match="root container"):
            vhdtools.open_target("$root/a/d.vhd", connection_string=STRING)

    def test_a_managed_disk_without_its_sas(self) -> None:
        for environment in ({}, {"AZURE_STORAGE_AUTH_MODE": "login"}):
            with pytest.raises(UsageError, match="az disk grant-access"):
                find_credentials(
                    "https://md-abc.z1.blob.storage.azure.net/vnc1/abcd", environment=environment
                )


class TestCredentials:
    @pytest.mark.parametrize(
        "text", [f'"{TOKEN}"', f"'?{TOKEN}'\n", f"\ufeff{TOKEN}", TOKEN.replace("%2B", "+")]
    )
    def test_a_sas_in_any_dress(self, text: str) -> None:
        assert checked_sas("here", text) == TOKEN

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
    def test_files_of_every_editor(self, encoding: str, tmp_path: Path) -> None:
        file = tmp_path / "sas"
        file.write_text(f'"{TOKEN}"\r\n', encoding=encoding)
        found = find_credentials(f"{HOST}/vhds/d.vhd", sas_file=str(file), environment={})
        assert found.credential == TOKEN

    @pytest.mark.parametrize(
        "text",
        [
            f'"{STRING}"',
            f'AccountName="acct";AccountKey="{KEY}"',
            f"\ufeff{STRING}",
        ],
    )
    def test_connection_strings(self, text: str) -> None:
        account = parse_connection_string(text)
        assert (account.account_url, account.key) == (HOST, KEY)

    def test_a_sas_in_the_endpoint(self) -> None:
        account = parse_connection_string(f"BlobEndpoint={HOST}/?{TOKEN}")
        assert (account.account_url, account.key, account.sas) == (HOST, None, TOKEN)

    @pytest.mark.parametrize("text", [f"{HOST}/vhds/d.vhd?{TOKEN}", TOKEN, f'"{TOKEN}"'])
    def test_a_sas_for_a_connection_string(self, text: str) -> None:
        with pytest.raises(UsageError, match="--sas-file") as refused:
            parse_connection_string(text)
        assert "S3CRET" not in str(refused.value)

    def test_a_connection_string_for_a_sas(self) -> None:
        with pytest.raises(UsageError, match="--connection-string"):
            checked_sas("here", f"BlobEndpoint={HOST};SharedAccessSignature={TOKEN}")

    @pytest.mark.parametrize(
        ("variable", "value"),
        [
            ("AZURE_STORAGE_ACCOUNT", STRING),
            ("AZURE_STORAGE_ACCOUNT", "a b"),
            ("AZURE_STORAGE_SERVICE_ENDPOINT", f"{HOST}?{TOKEN}"),
            ("AZURE_CLOUD_NAME", TOKEN),
        ],
    )
    def test_a_variable_with_another_thing_in_it(self, variable: str, value: str) -> None:
        environment = {"AZURE_STORAGE_ACCOUNT": "acct", "AZURE_STORAGE_KEY": KEY, variable: value}
        with pytest.raises(UsageError) as refused:
            find_credentials("vhds/d.vhd", environment=environment)
        assert refused.value.subject == variable
        assert "S3CRET" not in str(refused.value)


class TestAccountsAndClouds:
    @pytest.mark.parametrize(
        ("options", "environment", "url"),
        [
            ({"account_name": "acct"}, {}, HOST),
            ({"account_name": "acct", "cloud": "AzureUSGovernment"}, {},
             "https://acct.blob.core.usgovcloudapi.net"),
            ({"account_name": "acct"}, {"AZURE_CLOUD_NAME": "AzureChinaCloud"},
             "https://acct.blob.core.chinacloudapi.cn"),
            ({}, {"AZURE_STORAGE_ACCOUNT": '"acct"', "AZURE_CLOUD_NAME": "AzurePublicCloud"}, HOST),
            ({}, {"AZURE_STORAGE_ACCOUNT": "acct", "AZURE_CLOUD_NAME": "AzureUSGovernmentCloud"},
             "https://acct.blob.core.usgovcloudapi.net"),
        ],
    )  # fmt: skip
    def test_named(self, options: dict[str, Any], environment: dict[str, str], url: str) -> None:
        environment = {"AZURE_STORAGE_SAS_TOKEN": TOKEN} | environment
        found = find_credentials("vhds/d.vhd", environment=environment, **options)
        assert found.account_url == url

    def test_an_unknown_cloud(self) -> None:
        with pytest.raises(UsageError, match="AZURE_STORAGE_SERVICE_ENDPOINT"):
            find_credentials("vhds/d.vhd", account_name="acct", cloud="Mars", environment={})

    def test_what_is_of_one_account_is_not_used_for_another(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        environment = {
            "AZURE_STORAGE_CONNECTION_STRING": STRING,
            "AZURE_STORAGE_ACCOUNT": "acct",
            "AZURE_STORAGE_KEY": KEY,
            "AZURE_STORAGE_SAS_TOKEN": TOKEN,
            "AZURE_STORAGE_SERVICE_ENDPOINT": HOST,
        }
        monkeypatch.setitem(sys.modules, "azure.identity", None)
        with pytest.raises(UsageError, match="there are no credentials"):
            find_credentials("vhds/d.vhd", account_name="other", environment=environment)
        found = find_credentials("vhds/d.vhd", account_name="acct", environment=environment)
        assert "CONNECTION_STRING" in found.description

    def test_an_account_and_a_url_of_another(self) -> None:
        with pytest.raises(UsageError, match="another account"):
            find_credentials(f"{HOST}/vhds/d.vhd?{TOKEN}", account_name="other", environment={})


class TestSources:
    @pytest.mark.parametrize(
        "url",
        [f"{HOST}/vhds/d.vhd?{TOKEN}", f'"{HOST}/vhds/d.vhd?{TOKEN}"', f"https:/acct/d?{TOKEN}",
         "s3://bucket/d.vhd"],
    )  # fmt: skip
    def test_a_url_is_no_source(self, url: str, tmp_path: Path) -> None:
        for call in (vhdtools.open, vhdtools.inspect):
            with pytest.raises(UsageError, match="this is a URL") as refused:
                call(url)
            assert "vhdtool inspect" in refused.value.remedy
            assert "S3CRET" not in repr(refused.value)
        for arguments in (
            ["upload", url, f"file:{tmp_path}/x.vhd"],
            ["verify", url, f"file:{tmp_path}/x.vhd"],
            ["repair", url],
        ):
            found = run(*arguments)
            assert found.exit_code == 2
            assert "this is a URL" in found.stderr
            assert "S3CRET" not in found.output

    @pytest.mark.parametrize("path", [TOKEN, f"/tmp/disk.vhd?{TOKEN}", KEY, f"/tmp/{KEY}/d.vhd"])
    def test_a_secret_is_no_path(self, path: str, tmp_path: Path) -> None:
        disk = place(tmp_path / "disk.vhd", fixed("A-"))
        for call in (
            lambda: vhdtools.open(path),
            lambda: vhdtools.inspect(path),
            lambda: vhdtools.open(disk, parent_dirs=[path]),
            lambda: vhdtools.inspect(disk, parent_dirs=[path]),
            lambda: vhdtools.upload(path, f"file:{tmp_path}/x.vhd"),
        ):
            with pytest.raises(UsageError, match="none belongs") as refused:
                call()
            assert "S3CRET" not in repr(refused.value)

    def test_a_file_may_be_called_as_a_host(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As in a mirror that wget made."""
        monkeypatch.chdir(tmp_path)
        folder = tmp_path / "acct.blob.core.windows.net"
        folder.mkdir()
        place(folder / "d.vhd", fixed("A-"))
        assert vhdtools.inspect("acct.blob.core.windows.net/d.vhd").format == "vhd"
        assert run("inspect", "acct.blob.core.windows.net/d.vhd").exit_code in (0, 1)

    def test_names_that_only_look_like_secrets(self, tmp_path: Path) -> None:
        for name in ("design=3.vhd", "keyjournal-backup.vhd", "a bearer disk.vhd", "token.vhd"):
            path = tmp_path / name
            assert local_path(path) == path


class TestMistypedPaths:
    def test_a_path_is_not_sent(
        self, page_blob_server: PageBlobServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        account = {"AZURE_STORAGE_CONNECTION_STRING": page_blob_server.connection_string}
        found = run("inspect", "--json", "nosuchdir/disk.vhd", **account)
        assert found.exit_code == 1
        (finding,) = json.loads(found.stdout)["findings"]
        assert finding["code"] == "file-unreadable"
        assert "there is no such file" in finding["message"]
        assert "`vhdtool inspect blob:nosuchdir/disk.vhd`" in finding["remedy"]
        assert page_blob_server.requests == ()

    def test_a_blob_that_is_named(
        self, page_blob_server: PageBlobServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        account = page_blob_server.connection_string
        disk = place(tmp_path / "disk.vhd", fixed("A-"))
        assert run("upload", disk, "disks/d.vhd", "--connection-string", account).exit_code == 0
        for arguments, environment in (
            (["blob:disks/d.vhd"], {"AZURE_STORAGE_CONNECTION_STRING": account}),
            (["disks/d.vhd", "--connection-string", account], {}),
            ([page_blob_server.blob_url("disks/d.vhd", SAS)], {}),
            ([f'"{page_blob_server.blob_url("disks/d.vhd", SAS)}"'], {}),
        ):
            found = run("inspect", "--json", *arguments, **environment)
            assert json.loads(found.stdout)["format"] == "vhd", found.output

    @pytest.mark.parametrize("command", ["upload", "verify"])
    def test_a_sas_after_the_name_is_no_name(
        self, command: str, page_blob_server: PageBlobServer, tmp_path: Path
    ) -> None:
        disk = place(tmp_path / "disk.vhd", fixed("A-"))
        account = {"AZURE_STORAGE_CONNECTION_STRING": page_blob_server.connection_string}
        page_blob_server.set_sas(SAS)
        if command == "verify":
            assert run("upload", disk, "disks/d.vhd", **account).exit_code == 0
        found = run(command, disk, f"disks/d.vhd?{SAS}", **account)
        assert found.exit_code == 0, found.output
        assert page_blob_server.blob("disks/d.vhd").exists
        assert {record.name for record in page_blob_server.requests} <= {"disks", "disks/d.vhd"}
        assert SAS not in found.output


class TestTheCommandLine:
    @pytest.mark.parametrize("name", list(_COMMANDS))
    def test_every_command_looks_first(self, name: str) -> None:
        import click

        command = main.get_command(click.Context(main), name)
        assert isinstance(command, Command)

    @pytest.mark.parametrize(
        ("arguments", "named"),
        [
            (["upload", "d.vhd", "vhds/d.vhd", "--sas-file", TOKEN], "--sas-file"),
            (["upload", "d.vhd", "vhds/d.vhd", f"--workers={TOKEN}"], "--workers"),
            (["upload", "d.vhd", "vhds/d.vhd", "--parent-dir", f"{HOST}?{TOKEN}"], "--parent-dir"),
            (["upload", "d.vhd", "vhds/d.vhd", f"--sas={TOKEN}"], "an option"),
            (["upload", "d.vhd", "vhds/d.vhd", TOKEN], "an argument"),
            (["upload", "d.vhd", KEY], "an argument"),
            (["upload", "d.vhd", f"file:{HOST}/d.vhd?{TOKEN}"], "file:"),
            (["upload", "d.vhd", f"file:{HOST}/d.vhd"], "file:"),
            ([TOKEN], "an argument"),
            ([f"--sig={KEY}"], "an option"),
            (["inspect", KEY[:40], KEY[40:]], "a piece of the argument"),
            (["inspect", f"/tmp/{KEY[:40]}", f"{KEY[40:]}/d.vhd"], "a piece of the argument"),
            (["inspect", f"{HOST}/vhds/d.vhd?{TOKEN}", "S3CRETmore"], "a piece of the argument"),
            (["upload", "d.vhd", "vhds/d.vhd", KEY[:40], KEY[40:]], "a piece of the argument"),
            (["upload", "d.vhd", "vhds/d.vhd", "S3CRET"], "more arguments than"),
        ],
    )
    def test_a_misplaced_secret(self, arguments: list[str], named: str) -> None:
        found = run(*arguments)
        assert found.exit_code == 2
        assert named in found.stderr
        assert "S3CRET" not in found.output

    def test_other_mistakes_are_told_as_ever(self) -> None:
        found = run("upload", "d.vhd", f"{HOST}/vhds/d.vhd?{TOKEN}", "--wrokers", "3")
        assert found.exit_code == 2
        assert "--wrokers" in found.stderr
        assert found.stderr.startswith("Usage: ")


class TestRedaction:
    @pytest.mark.parametrize(
        "text",
        [
            "https://a/b?sv=1&sig=S3CRET%2B&se=2",
            "https://a/b%3Fsv%3D1%26sig%3DS3CRET",
            "https://a/b%253Fsv%253D1%2526sig%253DS3CRET",
            "SIG=S3CRET",
            "sig = S3CRET",
            "{'sig': 'S3CRET'}",
            '{"AccountKey": "S3CRET"}',
            f"the key {KEY} alone",
            "Authorization: SharedKey acct:S3CRET",
            "Bearer S3CRETeyJ123",
            "eyJS3CRETS3CRETS3CRETS3CRET.eyJS3CRET.S3CRET",
            "disks/d.vhdeyJS3CRETS3CRET==.eyJS3CRET==.S3CRET",
            "http://proxy:S3CRET@host/",
        ],
    )
    def test_takes_out(self, text: str) -> None:
        assert "S3CRET" not in redact(text)
        assert redact(redact(text)) == redact(text)
        error = VhdToolsError(text, text, text)
        error.remedy = text
        assert "S3CRET" not in str(error) + repr(error) + repr(error.args)

    @pytest.mark.parametrize(
        "text",
        [
            "the query has no signature (sig=), so it is not a SAS",
            "A SAS looks like sv=…&se=…&sp=racw&sig=…, on one line.",
            "Basic authentication is spoken",
            "wasbs://vhds@acct.blob.core.windows.net/d.vhd",
            "design=3",
            "3 tokens",
        ],
    )
    def test_leaves(self, text: str) -> None:
        assert redact(text) == text

    def test_log_records(self) -> None:
        ours = logger("vhdtools.test")
        assert logger("vhdtools.test") is ours
        assert len(ours.filters) == 1
        stream = io.StringIO()
        handler = logging.StreamHandler(stream)
        ours.addHandler(handler)
        try:
            try:
                raise ValueError("sig=S3CRET")
            except ValueError:
                ours.warning("for %s", f"{HOST}?{TOKEN}", exc_info=True)
        finally:
            ours.removeHandler(handler)
        assert "ValueError: sig=REDACTED" in stream.getvalue()
        assert "S3CRET" not in stream.getvalue()

    def test_every_module_logs_without_secrets(self) -> None:
        package = Path(vhdtools.__file__).parent
        plain = [
            path for path in package.rglob("*.py") if "getLogger(__name__)" in path.read_text()
        ]
        assert plain == []

    def test_records_of_other_packages(self) -> None:
        record = logging.LogRecord("azure", 10, "x", 1, "GET %s", (f"{HOST}?{TOKEN}",), None)
        assert (
            RedactingFormatter().format(record) == f"GET {HOST}?sv=2024-11-04&sp=racw&sig=REDACTED"
        )


def test_holding_a_secret() -> None:
    assert all(map(holds_secret, [TOKEN, KEY, STRING, "SharedAccessSignature=x", "s%69g=abc"]))
    with pytest.raises(UsageError):
        refuse_secret("here", TOKEN)
    refuse_secret("here", "a name")


def test_showing() -> None:
    assert shown(f"{HOST}/vhds/d.vhd?{TOKEN}", "it") == f"{HOST}/vhds/d.vhd"
    assert shown(TOKEN, "it") == "sv=2024-11-04"
    assert shown(KEY, "it") == "it"
    assert shown("vhds/my disk.vhd", "it") == "vhds/my disk.vhd"
    assert shown("https://u:S3CRET@host/x", "it") == "https://host/x"


@pytest.mark.parametrize("text", ["it's", "vhds/o'neill.vhd", "O'Brien'"])
def test_names_keep_their_apostrophes(text: str) -> None:
    assert unquoted(text) == text
