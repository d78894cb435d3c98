"""Which credentials a command finds, in which order, and what it says of them."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from azure.core.credentials import AccessToken, AzureNamedKeyCredential

from tests.pageblob_server import SAS, PageBlobServer
from vhdtools.checksums import crc64
from vhdtools.cli.credentials import Credentials, find_credentials
from vhdtools.errors import AccessError, UsageError
from vhdtools.target.managed_disk import ManagedDiskTarget

pytest_plugins = ["tests.pageblob_server.fixtures"]

SECRET = "S3CRET" + "A" * 80 + "=="
TOKEN = "sv=2024-11-04&sp=racw&sig=S3CRET"
STRING = f"AccountName=acct;AccountKey={SECRET}"
URL = "https://acct.blob.core.windows.net/vhds/x.vhd"
EVERYTHING = {
    "AZURE_STORAGE_CONNECTION_STRING": STRING,
    "AZURE_STORAGE_SAS_TOKEN": TOKEN,
    "AZURE_STORAGE_ACCOUNT": "acct",
    "AZURE_STORAGE_KEY": SECRET,
}


class Identity:
    """Stands for azure-identity's DefaultAzureCredential."""

    def get_token(self, *_: str, **__: Any) -> AccessToken:
        return AccessToken("token", 4_000_000_000)


@pytest.fixture(autouse=True)
def identity(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("azure.identity")
    module.DefaultAzureCredential = Identity  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "azure.identity", module)


@pytest.fixture
def no_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "azure.identity", None)


def without(*names: str) -> dict[str, str]:
    return {key: value for key, value in EVERYTHING.items() if key not in names}


def find(
    destination: str, environment: dict[str, str] | None = None, **options: Any
) -> Credentials:
    found = find_credentials(destination, environment=environment or {}, **options)
    for text in (found.description, repr(found)):
        assert "S3CRET" not in text
    return found


class TestOrder:
    def test_the_url_comes_first(self) -> None:
        assert find(f"{URL}?{TOKEN}", EVERYTHING).description == "the SAS in the URL"

    @pytest.mark.parametrize("destination", [URL, "vhds/x.vhd"])
    def test_then_the_rest(self, destination: str, tmp_path: Path) -> None:
        file = tmp_path / "sas"
        file.write_text(f"?{TOKEN}\n")
        found = find(destination, EVERYTHING, connection_string=STRING)
        assert found.description == "--connection-string (key of account acct)"
        found = find(destination, EVERYTHING, sas_file=str(file))
        assert found.description == f"the SAS in the file {file}"
        steps = [
            ((), "AZURE_STORAGE_CONNECTION_STRING (key of account acct)"),
            (("AZURE_STORAGE_CONNECTION_STRING",), "the SAS in AZURE_STORAGE_SAS_TOKEN"),
            (
                ("AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_SAS_TOKEN"),
                "the key of account acct in AZURE_STORAGE_KEY",
            ),
            (
                (
                    "AZURE_STORAGE_CONNECTION_STRING",
                    "AZURE_STORAGE_SAS_TOKEN",
                    "AZURE_STORAGE_KEY",
                ),
                "the signed-in identity (DefaultAzureCredential)",
            ),
        ]
        for missing, description in steps:
            found = find(destination, without(*missing))
            assert found.description == description
            target = found.open_target(destination, workers=3)
            assert target.name == URL
            target.close()

    def test_empty_variables_are_not_there(self) -> None:
        empty = dict.fromkeys(EVERYTHING, "")
        assert "signed-in" in find(URL, empty).description
        assert find("file:x.vhd", empty).description == "none: a local file needs none"

    def test_sign_in_mode_skips_the_secrets(self) -> None:
        found = find(URL, {**EVERYTHING, "AZURE_STORAGE_AUTH_MODE": "login"})
        assert isinstance(found.credential, Identity)
        assert find(URL, {**EVERYTHING, "AZURE_STORAGE_AUTH_MODE": "key"}).connection_string

    def test_two_that_exclude_each_other(self, tmp_path: Path) -> None:
        file = tmp_path / "sas"
        file.write_text(TOKEN)
        cases: list[tuple[str, dict[str, Any]]] = [
            (f"{URL}?{TOKEN}", {"connection_string": STRING}),
            (f"{URL}?{TOKEN}", {"sas_file": str(file)}),
            (URL, {"connection_string": STRING, "sas_file": str(file)}),
        ]
        for destination, options in cases:
            with pytest.raises(UsageError, match=r"exclude each other") as failed:
                find(destination, **options)
            assert "S3CRET" not in str(failed.value)


class TestOtherAccounts:
    URL = "https://other.blob.core.windows.net/vhds/x.vhd"

    def test_what_is_of_one_account_is_not_sent_to_another(self) -> None:
        found = find(self.URL, EVERYTHING)
        assert isinstance(found.credential, Identity)
        assert found.connection_string is None

    @pytest.mark.parametrize("secret", ["AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_KEY"])
    @pytest.mark.parametrize(
        ("account_url", "used"),
        [
            ("https://acct.blob.core.windows.net", True),
            ("https://ACCT.blob.core.windows.net", True),
            ("https://acct.z12.blob.storage.azure.net", True),
            ("https://acct.blob.core.usgovcloudapi.net", True),
            ("https://acct.blob.core.chinacloudapi.cn", True),
            ("http://127.0.0.1:10000/acct", True),
            ("https://other.blob.core.windows.net", False),
            ("https://acct.evil.net", False),
            ("https://acct.blob.evil.net", False),
            ("https://acct.blob.core.windows.net.evil.net", False),
            ("https://evil.net.blob.core.windows.net", False),
            ("https://other.blob.core.windows.net/acct", False),
            ("https://10.0.0.1/acct", False),
            ("https://localhost:1/other", False),
        ],
    )
    def test_whose_a_url_is(self, account_url: str, used: bool, secret: str) -> None:
        url = f"{account_url}/vhds/x.vhd"
        environment = {"AZURE_STORAGE_ACCOUNT": "acct", secret: EVERYTHING[secret]}
        assert (secret in find(url, environment).description) is used

    def test_a_sas_without_an_account(self) -> None:
        """The Azure CLI uses it for any account; here it does not leave Azure."""
        environment = {"AZURE_STORAGE_SAS_TOKEN": TOKEN}
        for url, used in [
            (URL, True),
            (self.URL, True),
            ("https://evil.net/vhds/x.vhd", False),
            ("https://acct.blob.core.windows.net.evil.net/vhds/x.vhd", False),
            ("https://127.0.0.1/acct/vhds/x.vhd", False),
        ]:
            assert ("SAS" in find(url, environment).description) is used
        elsewhere = {**environment, "AZURE_STORAGE_SERVICE_ENDPOINT": "https://blobs.example.com"}
        assert "SAS" not in find(URL, elsewhere).description
        assert "SAS" in find("https://blobs.example.com/vhds/x.vhd", elsewhere).description

    def test_a_string_in_the_environment_that_is_none(self, tmp_path: Path) -> None:
        """It matters only where it would be used."""
        environment = {"AZURE_STORAGE_CONNECTION_STRING": "half a"}
        for destination in (URL, "vhds/x.vhd"):
            assert find(destination, environment, connection_string=STRING).connection_string
            with pytest.raises(UsageError, match=r"connection string"):
                find(destination, environment)
        file = tmp_path / "sas"
        file.write_text(TOKEN)
        assert find(URL, environment, sas_file=str(file)).credential == TOKEN

    def test_a_connection_string_that_was_asked_for(self) -> None:
        found = find(self.URL, connection_string=STRING)
        with pytest.raises(UsageError, match=r"another account"):
            found.open_target(self.URL)

    def test_endpoint_elsewhere(self) -> None:
        environment = {
            "AZURE_STORAGE_SERVICE_ENDPOINT": "https://acct.blob.core.chinacloudapi.cn/",
            "AZURE_STORAGE_ACCOUNT": "acct",
            "AZURE_STORAGE_KEY": SECRET,
        }
        found = find("vhds/x.vhd", environment)
        assert isinstance(found.credential, AzureNamedKeyCredential)
        target = found.open_target("vhds/x.vhd")
        assert target.name == "https://acct.blob.core.chinacloudapi.cn/vhds/x.vhd"
        target.close()


class TestSasFile:
    def test_read_again_when_it_expires(
        self, page_blob_server: PageBlobServer, tmp_path: Path
    ) -> None:
        page_blob_server.create_blob("disks/disk.vhd", 1 << 20)
        page_blob_server.set_sas(SAS)
        destination = page_blob_server.blob_url("disks/disk.vhd", None)
        file = tmp_path / "sas"
        file.write_text(SAS)
        target = find(destination, sas_file=str(file)).open_target(destination)
        data = memoryview(bytes(512))
        target.write(0, data, crc64(data))
        page_blob_server.expire_sas()
        with pytest.raises(AccessError):
            target.write(0, data, crc64(data))
        assert target.refresh_access() is False  # the file is as it was
        fresh = SAS.replace("c2lnbmF0dXJl", "ZnJlc2g")
        page_blob_server.set_sas(fresh)
        file.write_text(f"{destination}?{fresh}\n")
        assert target.refresh_access() is True
        target.write(0, data, crc64(data))
        for half in ("", "sv=2024-11-04&sr=b&s"):  # it is just being written
            file.write_text(half)
            assert target.refresh_access() is False
        file.unlink()
        assert target.refresh_access() is False
        target.close()

    @pytest.mark.parametrize("content", [b"", b"nothing here", b"\xff\xfe\x00", None])
    def test_that_is_none(self, tmp_path: Path, content: bytes | None) -> None:
        file = tmp_path / "sas"
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(UsageError) as failed:
            find(URL, sas_file=str(file))
        assert failed.value.subject == str(file)

    def test_variable_that_is_none(self) -> None:
        with pytest.raises(UsageError, match=r"AZURE_STORAGE_SAS_TOKEN"):
            find(URL, {"AZURE_STORAGE_SAS_TOKEN": "S3CRET"})


class TestNothing:
    @pytest.mark.usefixtures("no_identity")
    @pytest.mark.parametrize("destination", [URL, "vhds/x.vhd"])
    def test_without_azure_identity(self, destination: str) -> None:
        with pytest.raises(UsageError, match=r"pip install 'vhdtools\[identity\]'") as failed:
            find(destination, {"AZURE_STORAGE_ACCOUNT": "acct"})
        assert "az login" in failed.value.remedy

    @pytest.mark.usefixtures("identity")
    def test_azure_identity_warns_only_if_asked(self, capsys: pytest.CaptureFixture[str]) -> None:
        find(URL, {})
        root, handlers = logging.getLogger(), logging.getLogger().handlers[:]
        root.handlers.clear()
        try:
            logging.getLogger("azure.identity").warning("not signed in")
            assert capsys.readouterr().err == ""
        finally:
            root.handlers[:] = handlers

    @pytest.mark.usefixtures("no_identity")
    def test_azure_identity_is_not_needed_otherwise(self) -> None:
        find(URL, EVERYTHING)
        find(f"{URL}?{TOKEN}", {"AZURE_STORAGE_AUTH_MODE": "login"})

    def test_for_an_emulator(self) -> None:
        with pytest.raises(UsageError, match=r"UseDevelopmentStorage=true"):
            find("http://127.0.0.1:10000/devstoreaccount1/vhds/x.vhd")

    @pytest.mark.parametrize("destination", ["vhds/x.vhd", "x.vhd", "C:\\x.vhd"])
    def test_the_destination_is_at_fault(self, destination: str) -> None:
        with pytest.raises(UsageError) as failed:
            find(destination).open_target(destination)
        assert failed.value.subject == destination


class TestManagedDisks:
    DISK = "https://md-impexp-abc.z32.blob.storage.azure.net/vnc1g3tfqwcp/abcd"

    def test_the_sas_is_enough(self) -> None:
        found = find(f"{self.DISK}?{TOKEN}", EVERYTHING)
        assert found.credential is None
        assert isinstance(found.open_target(f"{self.DISK}?{TOKEN}"), ManagedDiskTarget)

    def test_secured_by_entra(self) -> None:
        found = find(f"{self.DISK}?{TOKEN}", {"AZURE_STORAGE_AUTH_MODE": "login"})
        assert "SAS" in found.description
        assert "signed-in identity" in found.description
        assert isinstance(found.credential, Identity)
        assert isinstance(found.open_target(f"{self.DISK}?{TOKEN}"), ManagedDiskTarget)


def test_the_emulator() -> None:
    found = find("vhds/x.vhd", {"AZURE_STORAGE_CONNECTION_STRING": "UseDevelopmentStorage=true"})
    target = found.open_target("vhds/x.vhd")
    assert target.name == "http://127.0.0.1:10000/devstoreaccount1/vhds/x.vhd"
    target.close()
