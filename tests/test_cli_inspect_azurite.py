"""`vhdtool inspect` of page blobs, in a real service."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from click.testing import CliRunner

from tests.pageblob_server import Operation, PageBlobServer, Rule, on, server_busy
from tests.support.azurite import Azurite
from tests.support.build_vhd import Recipe, build
from tests.test_inspection_json import CHECK
from vhdtools.cli import main
from vhdtools.layout import DiskType

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient

pytest_plugins = ["tests.pageblob_server.fixtures"]

DISK = build(Recipe("A" + 8190 * "0" + "B", disk_type=DiskType.FIXED))


def put(container: ContainerClient, name: str, data: bytes, **options: Any) -> None:
    """Make a page blob of `data`, its zero pages unwritten."""
    with container.get_blob_client(name) as blob:
        blob.create_page_blob(len(data), **options)
        for at in (0, len(data) - 1024):
            blob.upload_page(data[at : at + 1024], at, 1024)


def look(*arguments: str) -> tuple[int, dict[str, Any], str]:
    result = CliRunner().invoke(main, ["inspect", "--json", *arguments])
    document = json.loads(result.stdout)
    CHECK.validate(document)
    return result.exit_code, document, result.output


def test_a_blob_is_inspected_by_its_url(azurite: Azurite, container: ContainerClient) -> None:
    put(container, "disk.vhd", DISK, metadata={"vhdtools_crc64": "00000000000000ff"})
    url = azurite.blob_url(container.container_name, "disk.vhd")
    sas = azurite.sas(container.container_name, "disk.vhd")
    code, document, output = look(f"{url}?{sas}")
    assert code == 0, output
    assert document["path"] == url
    assert document["disk_type"] == "fixed"
    assert document["file_size"] == len(DISK)
    assert document["remote"]["page_range_bytes"] == 2048
    assert document["remote"]["crc64"] == "00000000000000ff"
    assert document["remote"]["leased"] is False
    assert "sig=" not in output
    assert sas not in output


def test_an_unfinished_upload_is_told(azurite: Azurite, container: ContainerClient) -> None:
    marks = {"vhdtools_checkpoint": "1048576,00000000000000ff", "vhdtools_owner": "somebody"}
    put(container, "disk.vhd", DISK, metadata=marks)
    code, document, _ = look(
        "--connection-string",
        azurite.connection_string,
        f"{container.container_name}/disk.vhd",
    )
    assert code == 1
    assert document["remote"]["checkpoint"] == 1 << 20
    assert document["findings"][0]["code"] == "upload-unfinished"
    assert document["findings"][0]["offset"] == 1 << 20


def test_a_lease_is_told(azurite: Azurite, container: ContainerClient) -> None:
    put(container, "disk.vhd", DISK)
    with container.get_blob_client("disk.vhd") as blob:
        lease = blob.acquire_lease()
        name = f"{container.container_name}/disk.vhd"
        _, document, _ = look("--connection-string", azurite.connection_string, name)
        lease.release()
    assert document["findings"][0]["code"] == "blob-leased"


def test_a_blob_that_is_not_there(azurite: Azurite, container: ContainerClient) -> None:
    name = f"{container.container_name}/missing.vhd"
    code, document, _ = look("--connection-string", azurite.connection_string, name)
    assert code == 1
    assert [finding["code"] for finding in document["findings"]] == ["blob-unreadable"]


def test_the_text_shows_the_blob(azurite: Azurite, container: ContainerClient) -> None:
    put(container, "disk.vhd", DISK)
    name = f"blob:{container.container_name}/disk.vhd"
    result = CliRunner().invoke(
        main, ["inspect", name], env={"AZURE_STORAGE_CONNECTION_STRING": azurite.connection_string}
    )
    assert result.exit_code == 0, result.output
    assert "Page blob" in result.output
    assert "page ranges  " in result.output


def test_through_a_failure_of_the_service(page_blob_server: PageBlobServer) -> None:
    """What passes is tried again, and no blob is said to be unfit because of it."""
    page_blob_server.create_blob("disks/disk.vhd", len(DISK), (0, DISK))
    url = page_blob_server.blob_url("disks/disk.vhd")
    page_blob_server.inject(Rule(server_busy(), on(Operation.GET_PROPERTIES)))
    page_blob_server.inject(Rule(server_busy(), on(Operation.GET_BLOB)))
    code, document, output = look(url, "--retry-delay", "0.01")
    assert code == 0, output
    assert page_blob_server.stats().faults["503 ServerBusy"] == 2
    page_blob_server.inject(Rule(server_busy(), on(), times=None))
    code, document, output = look(url, "--retry-delay", "0.01", "--patience", "0.1")
    assert code == 1
    finding = document["findings"][0]
    assert finding["code"] == "blob-unreadable"
    assert "HTTP 503" in finding["message"]
    assert "cannot be uploaded" not in output
    assert "Check the path" not in output
