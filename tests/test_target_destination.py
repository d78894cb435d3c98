"""What a destination may look like, and what is said of those that may not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from azure.core.credentials import AccessToken, AzureNamedKeyCredential, AzureSasCredential

from vhdtools.errors import TargetRefusedError, UsageError
from vhdtools.target.access import is_sas, make_access
from vhdtools.target.azure import AzureBlobTarget
from vhdtools.target.blob_address import parse_blob_url
from vhdtools.target.connection_string import parse_connection_string
from vhdtools.target.destination import open_target
from vhdtools.target.local import LocalFileTarget
from vhdtools.target.managed_disk import ManagedDiskTarget

SAS = "sv=2024-11-04&sr=b&sp=racw&se=2999-01-01T00%3A00%3A00Z&sig=S3CRET%2Bx%3D"
KEY = "S3CRET" + "A" * 80 + "=="
STRING = f"AccountName=acct;AccountKey={KEY}"


class Token:
    def get_token(self, *_: str, **__: Any) -> AccessToken:
        raise AssertionError("nobody asks before something is sent")


def refused(destination: str, **options: Any) -> UsageError:
    with pytest.raises(UsageError) as failed:
        open_target(destination, **options)
    assert "S3CRET" not in str(failed.value)
    assert "S3CRET" not in repr(failed.value)
    return failed.value


class TestUrls:
    @pytest.mark.parametrize(
        ("url", "account_url", "container", "blob"),
        [
            ("https://acct.blob.core.windows.net/vhds/x.vhd", "https://acct.blob.core.windows.net", "vhds", "x.vhd"),  # noqa: E501
            ("HTTPS://acct.blob.core.windows.net/vhds/a/b/x.vhd", "https://acct.blob.core.windows.net", "vhds", "a/b/x.vhd"),  # noqa: E501
            ("https://acct.blob.core.chinacloudapi.cn/vhds/x.vhd", "https://acct.blob.core.chinacloudapi.cn", "vhds", "x.vhd"),  # noqa: E501
            ("https://acct.z12.blob.storage.azure.net/vhds/x.vhd", "https://acct.z12.blob.storage.azure.net", "vhds", "x.vhd"),  # noqa: E501
            ("https://disks.example.com/vhds/x.vhd", "https://disks.example.com", "vhds", "x.vhd"),
            ("https://acct.blob.core.windows.net/$root/x.vhd", "https://acct.blob.core.windows.net", "$root", "x.vhd"),  # noqa: E501
            ("https://acct.blob.core.windows.net/%24root/x.vhd", "https://acct.blob.core.windows.net", "$root", "x.vhd"),  # noqa: E501
            ("https://acct.blob.core.windows.net/x.vhd", "https://acct.blob.core.windows.net", "$root", "x.vhd"),  # noqa: E501
            ("http://127.0.0.1:10000/devstoreaccount1/vhds/x.vhd", "http://127.0.0.1:10000/devstoreaccount1", "vhds", "x.vhd"),  # noqa: E501
            ("http://localhost:10000/devstoreaccount1/vhds/x.vhd", "http://localhost:10000/devstoreaccount1", "vhds", "x.vhd"),  # noqa: E501
            ("http://[::1]:10000/devstoreaccount1/vhds/x.vhd", "http://[::1]:10000/devstoreaccount1", "vhds", "x.vhd"),  # noqa: E501
            ("http://azurite:10000/other/vhds/x.vhd", "http://azurite:10000/other", "vhds", "x.vhd"),  # noqa: E501
            ("http://host.docker.internal:10000/devstoreaccount1/vhds/x.vhd", "http://host.docker.internal:10000/devstoreaccount1", "vhds", "x.vhd"),  # noqa: E501
            ("http://acct.blob.localhost:10000/vhds/x.vhd", "http://acct.blob.localhost:10000", "vhds", "x.vhd"),  # noqa: E501
            ("https://acct.blob.core.windows.net/vhds/my%20disk%23%25.vhd", "https://acct.blob.core.windows.net", "vhds", "my disk#%.vhd"),  # noqa: E501
            ("https://acct.blob.core.windows.net/vhds/my disk é.vhd", "https://acct.blob.core.windows.net", "vhds", "my disk é.vhd"),  # noqa: E501
        ],
        ids=lambda value: value if value.startswith("http") else "",
    )  # fmt: skip
    def test_taken_apart(self, url: str, account_url: str, container: str, blob: str) -> None:
        for text, sas in ((url, None), (f"{url}?{SAS}", SAS), (f" {url}?{SAS}\n", SAS)):
            address, found = parse_blob_url(text)
            assert (address.account_url, address.container, address.blob, found) == (
                account_url,
                container,
                blob,
                sas,
            )
            # What is shown leads back to the same blob.
            assert parse_blob_url(address.url) == (address, None)

    def test_names_are_escaped(self) -> None:
        target = open_target(
            f"https://acct.blob.core.windows.net/vhds/my disk #é~.vhd?{SAS}".replace("#", "%23")
        )
        assert target.name == "https://acct.blob.core.windows.net/vhds/my%20disk%20%23%C3%A9~.vhd"

    @pytest.mark.parametrize(
        ("url", "word"),
        [
            ("https://acct.blob.core.windows.net", "names no blob"),
            ("https://acct.blob.core.windows.net/", "names no blob"),
            ("https://acct.blob.core.windows.net/vhds", "names no blob"),
            ("https://acct.blob.core.windows.net/vhds/", "names no blob"),
            ("http://127.0.0.1:10000/devstoreaccount1/vhds", "names no blob"),
            ("http://127.0.0.1:10000/devstoreaccount1", "names no blob"),
            ("https://acct.blob.core.windows.net/vhds/folder/", "slash"),
            ("https://acct.blob.core.windows.net/vhds/a/../b.vhd", ".."),
            ("https://acct.blob.core.windows.net/vhds/%2e%2e/b.vhd", ".."),
            ("https://acct.blob.core.windows.net/vhds/a%0Ab.vhd", "printed"),
            ("https://acct.blob.core.windows.net/vhds/" + "x" * 1025, "1025"),
            ("https://acct.blob.core.windows.net/Vhds/x.vhd", "container"),
            ("https://acct.blob.core.windows.net/ab/x.vhd", "container"),
            ("https://acct.blob.core.windows.net/a--b/x.vhd", "container"),
            ("https://acct.blob.core.windows.net/-ab/x.vhd", "container"),
            ("https://acct.blob.core.windows.net/ab-/x.vhd", "container"),
            ("https://acct.blob.core.windows.net/" + "a" * 64 + "/x.vhd", "container"),
            ("https://acct.blob.core.windows.net/vhds/a#b.vhd", "%23"),
            ("https://acct.blob.core.windows.net:99999/vhds/x.vhd", "URL"),
            ("https://[::1/vhds/x.vhd", "URL"),
            ("https:///vhds/x.vhd", "host"),
            ("https://user:S3CRET@acct.blob.core.windows.net/vhds/x.vhd", "password"),
            ("https://acct.blob.core.windows.net/vhds/x.vhd?sv=2024", "quotation marks"),
            ("https://acct.blob.core.windows.net/vhds/x.vhd?snapshot=2024&" + SAS, "snapshot"),
            ("https://acct.blob.core.windows.net/vhds/x.vhd?versionId=2024&" + SAS, "version"),
            ("https://acct.blob.core.windows.net/vhds/x.vhd?comp=page&" + SAS, "operation"),
            ("https://acct.blob.core.windows.net/vhds/x.vhd?sv=1&sig=S3CRET x", "not all of it"),
            ("https://acct.blob.core.windows.net/vhds/x.vhd?sv=1&sig=S3CRETé", "not all of it"),
            ("https://bücher.example/vhds/x.vhd", "ASCII"),
            ("http://127.0.0.1:1/a b/vhds/x.vhd", "ASCII"),
            ("ftp://acct.example/vhds/x.vhd?sig=S3CRET", "http"),
            ("s3://bucket/x.vhd", "http"),
        ],
    )  # fmt: skip
    def test_that_cannot_be(self, url: str, word: str) -> None:
        error = refused(url)
        assert word in str(error)

    @pytest.mark.parametrize(
        "host", ["127.0.0.1:1", "localhost:1", "[::1]:1", "a.localhost:1", "127.8.9.1"]
    )
    def test_http_within_this_machine(self, host: str) -> None:
        open_target(f"http://{host}/account/vhds/x.vhd?{SAS}").close()

    def test_http_across_the_network(self) -> None:
        for options in ({"credential": KEY}, {"credential": Token()}):
            error = refused("http://acct.blob.core.windows.net/vhds/x.vhd", **options)
            assert "https" in error.remedy
        assert "https" in refused(f"http://10.0.0.5/acct/vhds/x.vhd?{SAS}").remedy

    def test_http_to_an_emulator_elsewhere(self) -> None:
        """Its key is in its manual: nothing secret is sent."""
        open_target(f"http://azurite:10000/devstoreaccount1/vhds/x.vhd?{SAS}").close()


class TestInAnAccount:
    def test_of_a_connection_string(self) -> None:
        target = open_target("vhds/a/my disk.vhd", connection_string=STRING)
        assert isinstance(target, AzureBlobTarget)
        assert target.name == "https://acct.blob.core.windows.net/vhds/a/my%20disk.vhd"

    def test_at_a_url(self) -> None:
        target = open_target("vhds/x.vhd", account_url="https://a.example/", credential=Token())
        assert target.name == "https://a.example/vhds/x.vhd"

    def test_url_of_the_same_account(self) -> None:
        url = "https://acct.blob.core.windows.net/vhds/x.vhd"
        assert open_target(url, connection_string=STRING).name == url

    def test_url_of_another_account(self) -> None:
        error = refused("https://b.blob.core.windows.net/vhds/x.vhd", connection_string=STRING)
        assert "acct.blob.core.windows.net" in error.problem

    @pytest.mark.parametrize(
        "destination",
        ["x.vhd", "vhds", "", "/tmp/x.vhd", "./x.vhd", "../x.vhd", "~/x.vhd", "C:\\disks\\x.vhd",
         "C:/disks/x.vhd", "disks\\x.vhd", "\\\\server\\share\\x.vhd", "/dev/sdb"],
    )  # fmt: skip
    def test_what_looks_like_a_path(self, destination: str) -> None:
        error = refused(destination, connection_string=STRING)
        assert "file:PATH.vhd" in error.remedy
        assert "CONTAINER/BLOB" in error.remedy

    def test_no_account(self) -> None:
        assert "AZURE_STORAGE_ACCOUNT" in refused("vhds/x.vhd").remedy

    @pytest.mark.parametrize("destination", ["Vhds/x.vhd", "vhds/", "vhds/a//", "vhds/../x.vhd"])
    def test_bad_names(self, destination: str) -> None:
        refused(destination, connection_string=STRING)


class TestFiles:
    @pytest.mark.parametrize(
        "form", ["file:{}", "file://{}", "file://localhost{}"], ids=["bare", "URL", "localhost"]
    )
    def test_named(self, tmp_path: Path, form: str) -> None:
        target = open_target(form.format(tmp_path / "x.vhd"))
        assert isinstance(target, LocalFileTarget)
        assert target.path == tmp_path / "x.vhd"

    def test_relative_with_odd_names(self) -> None:
        target = open_target("file:a b%20#?.VHD")
        assert isinstance(target, LocalFileTarget)
        assert target.path == Path("a b%20#?.VHD")

    def test_escaped_in_a_url(self) -> None:
        target = open_target("file:///tmp/a%20b.vhd")
        assert isinstance(target, LocalFileTarget)
        assert target.path == Path("/tmp/a b.vhd")

    @pytest.mark.parametrize(
        "destination", ["file:", "file:x.img", "file:/dev/sdb", "file:disk.vhdx", "file:vhd"]
    )
    def test_that_are_no_vhd(self, destination: str) -> None:
        assert ".vhd" in refused(destination).problem

    def test_of_other_machines(self) -> None:
        assert "server" in refused("file://server/share/x.vhd").problem


class TestCredentials:
    URL = "https://acct.blob.core.windows.net/vhds/x.vhd"

    @pytest.mark.parametrize(
        "credential",
        [
            SAS,
            f"?{SAS}",
            f"https://acct.blob.core.windows.net/vhds/x.vhd?{SAS}",
            KEY,
            f"{KEY}\n",
            AzureNamedKeyCredential("acct", KEY),
            AzureSasCredential(SAS),
            Token(),
        ],
        ids=["SAS", "?SAS", "URL", "key", "key line", "named key", "AzureSasCredential", "token"],
    )
    def test_that_are_taken(self, credential: Any) -> None:
        target = open_target(self.URL, credential=credential)
        assert target.name == self.URL
        assert "S3CRET" not in repr(target)

    @pytest.mark.parametrize(
        ("credential", "word"),
        [
            ("not base64!", "neither a SAS nor an account key"),
            ("", "neither"),
            ("sig=S3CRET and more", "not all of it"),
            ("xsig=S3CRET", "neither"),
            (42, "int"),
            (object(), "object"),
        ],
    )
    def test_that_are_none(self, credential: Any, word: str) -> None:
        assert word in str(refused(self.URL, credential=credential))

    def test_two_at_once(self) -> None:
        refused(f"{self.URL}?{SAS}", credential=KEY)
        refused(f"{self.URL}?{SAS}", credential=SAS.replace("S3CRET", "S3CRET2"))
        open_target(f"{self.URL}?{SAS}", credential=SAS).close()

    def test_fresh_ones_are_checked_too(self) -> None:
        target = open_target(f"{self.URL}?{SAS}", refresh=lambda: "not base64!")
        assert target.refresh_access() is False


class TestManagedDisks:
    URL = "https://md-impexp-abc.z32.blob.storage.azure.net/vnc1g3tfqwcp/abcd"

    def test_by_host(self) -> None:
        assert isinstance(open_target(f"{self.URL}?{SAS}"), ManagedDiskTarget)

    def test_by_word(self) -> None:
        url = f"https://disks.example.com/vhds/x?{SAS}"
        assert isinstance(open_target(url, managed_disk=True), ManagedDiskTarget)
        assert isinstance(open_target(url), AzureBlobTarget)

    @pytest.mark.parametrize("credential", [None, KEY, Token()])
    def test_without_a_sas(self, credential: Any) -> None:
        assert "az disk grant-access" in refused(self.URL, credential=credential).remedy

    def test_secured_by_entra(self) -> None:
        target = open_target(f"{self.URL}?{SAS}", credential=Token())
        assert isinstance(target, ManagedDiskTarget)

    def test_sas_apart(self) -> None:
        assert isinstance(open_target(self.URL, credential=SAS), ManagedDiskTarget)


class TestConnectionStrings:
    @pytest.mark.parametrize(
        ("text", "account_url", "name"),
        [
            (STRING, "https://acct.blob.core.windows.net", "acct"),
            (f"{STRING};", "https://acct.blob.core.windows.net", "acct"),
            (f" accountname=acct ; ACCOUNTKEY={KEY};", "https://acct.blob.core.windows.net", "acct"),  # noqa: E501
            (f"{STRING};EndpointSuffix=core.usgovcloudapi.net", "https://acct.blob.core.usgovcloudapi.net", "acct"),  # noqa: E501
            (f"DefaultEndpointsProtocol=http;{STRING}", "http://acct.blob.core.windows.net", "acct"),  # noqa: E501
            (f"BlobEndpoint=http://127.0.0.1:1/acct/;{STRING}", "http://127.0.0.1:1/acct", "acct"),
            (f"BlobEndpoint=https://a.example;SharedAccessSignature={SAS}", "https://a.example", ""),  # noqa: E501
            ("UseDevelopmentStorage=true", "http://127.0.0.1:10000/devstoreaccount1", "devstoreaccount1"),  # noqa: E501
            ("UseDevelopmentStorage=true;DevelopmentStorageProxyUri=http://azurite", "http://azurite:10000/devstoreaccount1", "devstoreaccount1"),  # noqa: E501
        ],
    )  # fmt: skip
    def test_read(self, text: str, account_url: str, name: str) -> None:
        account = parse_connection_string(text)
        assert (account.account_url, account.name) == (account_url, name)
        assert (account.key is None) != (account.sas is None)
        assert "S3CRET" not in repr(account)
        target = open_target(
            "vhds/x.vhd", connection_string=text.replace("DefaultEndpointsProtocol=http;", "")
        )
        assert target.name.endswith("/vhds/x.vhd")

    @pytest.mark.parametrize(
        ("text", "word"),
        [
            ("", "AccountName"),
            ("AccountName=acct", "AccountKey"),
            (f"AccountKey={KEY}", "AccountName"),
            (f"BlobEndpoint=https://a.example;AccountKey={KEY}", "AccountName"),
            (f"BlobEndpoint=a.example;{STRING}", "BlobEndpoint"),
            (f"BlobEndpoint=https://a example;{STRING}", "ASCII"),
            (f"BlobEndpoint=ftp://a.example;{STRING}", "http"),
            (f"BlobEndpoint=https://;{STRING}", "http"),
            (f"BlobEndpoint=https://a.example:x;{STRING}", "Port"),
            ("AccountName", "NAME=VALUE"),
            (f"{STRING};S3CRET", "NAME=VALUE"),
            ("UseDevelopmentStorage=false", "AccountName"),
        ],
    )
    def test_that_are_none(self, text: str, word: str) -> None:
        assert word in str(refused("vhds/x.vhd", connection_string=text))

    def test_with_a_bad_key(self) -> None:
        refused("vhds/x.vhd", connection_string="AccountName=acct;AccountKey=S3CRET")


def test_the_sdk_is_loaded_late() -> None:
    script = (
        "import sys, vhdtools.target.destination, vhdtools.cli.credentials; "
        "print([name for name in sys.modules if name.partition('.')[0] == 'azure'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_files_need_no_sdk() -> None:
    script = (
        "import sys; from vhdtools.target.destination import open_target; "
        "open_target('file:x.vhd'); print([name for name in sys.modules if 'azure' in name])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


class TestKeyOrSas:
    def test_a_key_with_sig_in_it(self) -> None:
        url = "https://acct.blob.core.windows.net/vhds/x.vhd"
        address, _ = parse_blob_url(url)
        access = make_access(address, "A" * 83 + "sig==", None)
        assert access.key is not None
        assert access.sas is None

    @pytest.mark.parametrize("text", ["sig=x", "?sv=1&sig=x", "https://a/b/c?sv=1&sig=x"])
    def test_a_sas(self, text: str) -> None:
        assert is_sas(text)

    def test_a_managed_disk_takes_both_forms(self) -> None:
        url = "https://md-abc.z1.blob.storage.azure.net/vnc1/abcd"
        for credential in ("sv=1&sp=rw&sig=x", AzureSasCredential("sv=1&sp=rw&sig=x")):
            target = open_target(url, credential=credential)
            assert isinstance(target, ManagedDiskTarget)
            target.close()


def test_more_than_a_page_blob_holds() -> None:
    target = open_target("https://acct.blob.core.windows.net/vhds/x.vhd?sv=1&sig=x")
    with pytest.raises(TargetRefusedError, match=r"at most") as refused:
        target.create((8 << 40) + 512, {}, replace=False)
    assert "az disk create" in refused.value.remedy
    target.close()
