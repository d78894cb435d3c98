"""The emulator that other tests trust: it runs, it checks checksums, and it says why not."""

from __future__ import annotations

import base64
import socket
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
import trustme
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobClient, BlobServiceClient, ContainerClient

from tests.support.azurite import Azurite, AzuriteError, start_azurite

PAGE = bytes(range(256)) * 2


def test_page_blob_comes_back(container: ContainerClient) -> None:
    blob = container.get_blob_client("disk.vhd")
    blob.create_page_blob(1024)
    blob.upload_page(PAGE, offset=512, length=512)
    assert blob.download_blob().readall() == bytes(512) + PAGE


def test_wrong_crc64_is_refused(container: ContainerClient) -> None:
    blob = container.get_blob_client("disk.vhd")
    blob.create_page_blob(512)
    wrong = base64.b64encode(b"8 bytes.").decode()
    with pytest.raises(HttpResponseError, match="Crc64Mismatch") as refused:
        blob.upload_page(PAGE, offset=0, length=512, headers={"x-ms-content-crc64": wrong})
    assert refused.value.status_code == 400


def test_sas_opens_one_blob_until_it_expires(azurite: Azurite, container: ContainerClient) -> None:
    name = container.container_name
    container.get_blob_client("a.vhd").create_page_blob(512)
    url = azurite.blob_url(name, "a.vhd")
    with BlobClient.from_blob_url(url, credential=azurite.sas(name, "a.vhd")) as blob:
        assert blob.get_blob_properties().size == 512
    expired = azurite.sas(name, "a.vhd", valid_for=timedelta(minutes=-5))
    with (
        BlobClient.from_blob_url(url, credential=expired, retry_total=0) as blob,
        pytest.raises(HttpResponseError) as refused,
    ):
        blob.get_blob_properties()
    assert refused.value.status_code == 403


def test_https(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    key, chain, trusted = (tmp_path / name for name in ("key.pem", "chain.pem", "ca.pem"))
    certificate.private_key_pem.write_to_path(key)
    certificate.cert_chain_pems[0].write_to_path(chain)
    authority.cert_pem.write_to_path(trusted)
    with (
        start_azurite("--cert", str(chain), "--key", str(key), "--oauth", "basic") as azurite,
        BlobServiceClient.from_connection_string(
            azurite.connection_string, connection_verify=str(trusted)
        ) as service,
    ):
        assert azurite.endpoint.startswith("https://127.0.0.1:")
        assert service.get_account_information()["account_kind"] == "StorageV2"


def test_its_output_is_shown_when_it_does_not_start() -> None:
    with (
        pytest.raises(AzuriteError, match=r"printed:\n.*inMemoryPersistence option is not supp"),
        start_azurite("--location", "anywhere"),  # which contradicts --inMemoryPersistence
    ):
        pass


def test_missing_installation_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text('{"dependencies": {"azurite": "3.37.0"}}')
    with (
        pytest.raises(AzuriteError, match=r"3\.37\.0 is needed.*none is there.*make test"),
        start_azurite(home=tmp_path),
    ):
        pass


def test_no_azurite_outlives_the_process_that_started_it() -> None:
    """It ends with the tests even when they are killed and nothing is left to stop it."""
    script = (
        "import os\n"
        "from tests.support.azurite import start_azurite\n"
        "with start_azurite() as azurite:\n"
        "    print(azurite.endpoint, flush=True)\n"
        "    os._exit(3)\n"
    )
    killed = subprocess.run(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=False
    )
    endpoint = killed.stdout.strip()
    assert killed.returncode == 3
    port = int(endpoint.rsplit(":", 1)[1].split("/")[0])
    assert _closes(port)


def _closes(port: int) -> bool:
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return True
        time.sleep(0.1)
    return False
