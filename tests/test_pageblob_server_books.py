"""What the server keeps of what it saw, how it stops, and how it runs by itself."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from azure.core.exceptions import AzureError, HttpResponseError
from azure.storage.blob import BlobClient, BlobServiceClient, ContentSettings

from tests.pageblob_server import (
    Moment,
    Operation,
    PageBlobServer,
    Rule,
    ServerOptions,
    Stall,
    on,
)
from tests.pageblob_server.checksums import crc64
from tests.pageblob_server.clients import MIB, PAGE, client, raw, refusal

if TYPE_CHECKING:
    from tests.pageblob_server.fixtures import Serve

pytest_plugins = ["tests.pageblob_server.fixtures"]


class TestBooks:
    def test_what_was_sent_again(self, page_blob_server: PageBlobServer) -> None:
        page_blob_server.create_blob("disks/disk.vhd", MIB)
        with client(page_blob_server) as blob:
            blob.upload_page(b"x" * 8 * PAGE, 0, 8 * PAGE)
            blob.upload_page(b"x" * 4 * PAGE, 6 * PAGE, 4 * PAGE)
            blob.clear_page(0, MIB)
            blob.upload_page(b"x" * PAGE, 6 * PAGE, PAGE)
        view = page_blob_server.blob("disks/disk.vhd")
        assert view.written_bytes == 13 * PAGE
        assert view.rewritten_bytes == 3 * PAGE
        assert view.rewritten_ranges() == [(6 * PAGE, 2 * PAGE)]
        stats = page_blob_server.stats()
        assert (stats.written_bytes, stats.rewritten_bytes) == (13 * PAGE, 3 * PAGE)
        assert stats.received_bytes == 13 * PAGE
        assert stats.by_operation == {"put-page": 3, "clear-pages": 1}
        assert stats.connections == 1
        last = page_blob_server.requests[-1]
        assert (last.operation, last.name) == (Operation.PUT_PAGE, "disks/disk.vhd")
        assert (last.offset, last.length, last.status) == (6 * PAGE, PAGE, 201)

    def test_most_at_once(self, serve: Serve) -> None:
        server = serve(Rule(Stall(None), on(Operation.GET_PROPERTIES), times=3))
        server.create_blob("disks/disk.vhd", MIB)
        with client(server) as blob:
            threads = [threading.Thread(target=blob.get_blob_properties) for _ in range(3)]
            for thread in threads:
                thread.start()
            while server.stats().peak < 3:
                time.sleep(0.01)
            while any(thread.is_alive() for thread in threads):
                server.release()
                time.sleep(0.01)
        assert server.stats().peak == 3

    def test_checksum_of_what_was_discarded(self, serve: Serve) -> None:
        server = serve(discard=True)
        first, second = os.urandom(2 * PAGE), os.urandom(3 * PAGE)
        with client(server) as blob:
            blob.create_page_blob(MIB)
            blob.upload_page(second, 8 * PAGE, 3 * PAGE)
            blob.upload_page(first, PAGE, 2 * PAGE)
            blob.upload_page(first, PAGE, 2 * PAGE)
            whole = bytes(PAGE) + first + bytes(5 * PAGE) + second
            expected = crc64(whole + bytes(MIB - len(whole)))
            view = server.blob("disks/disk.vhd")
            assert view.crc64() == expected
            assert view.ranges() == [(PAGE, 2 * PAGE), (8 * PAGE, 3 * PAGE)]
            with pytest.raises(ValueError, match="discard"):
                view.read(0, PAGE)
            blob.upload_page(first[:PAGE], 2 * PAGE, PAGE)
            with pytest.raises(ValueError, match="overlap"):
                view.crc64()

    def test_hash_of_the_content(self, page_blob_server: PageBlobServer) -> None:
        data = os.urandom(PAGE)
        view = page_blob_server.create_blob("disks/disk.vhd", 3 * MIB, (MIB, data))
        whole = bytes(MIB) + data + bytes(2 * MIB - PAGE)
        assert view.content_hash() == hashlib.sha256(whole).hexdigest()
        assert view.crc64() == crc64(whole)

    def test_stopping_leaves_nothing(self) -> None:
        before = threading.active_count()
        with PageBlobServer(ServerOptions()) as server:
            assert threading.active_count() == before + 1
            url = urlsplit(server.url)
        assert threading.active_count() == before
        with pytest.raises(ConnectionRefusedError):
            raw(server, "GET", url.path)

    def test_a_look_at_a_blob(self, page_blob_server: PageBlobServer) -> None:
        view = page_blob_server.blob("disks/disk.vhd")
        assert not view.exists
        with client(page_blob_server) as blob:
            settings = ContentSettings(content_md5=bytearray(16), content_type="a/b")
            blob.create_page_blob(MIB, content_settings=settings, metadata={"Some": "thing"})
            assert page_blob_server.blob("disks/disk.vhd").lease_id is None
            lease = blob.acquire_lease(15)
            assert page_blob_server.blob("disks/disk.vhd").exists
            assert (view.size, view.etag) == (MIB, blob.get_blob_properties().etag)
            assert view.metadata == {"Some": "thing"}
            assert view.properties == {"Content-Type": "a/b", "Content-MD5": "A" * 22 + "=="}
            assert (view.lease_state, view.lease_id) == ("leased", lease.id)

    @pytest.mark.parametrize("tls", [False, True])
    def test_stopping_breaks_off_what_is_under_way(self, tmp_path: Path, tls: bool) -> None:
        stall = Rule(Stall(None, Moment.BEFORE_BODY), times=None)
        with PageBlobServer(ServerOptions(tls=tls), stall) as server:
            server.create_blob("disks/disk.vhd", 4 * MIB)
            authority = tmp_path / "ca.pem"
            authority.write_bytes(server.ca_pem or b"")
            trust: dict[str, Any] = {"connection_verify": str(authority)} if tls else {}
            url = server.blob_url("disks/disk.vhd")
            failures: list[AzureError] = []

            def write() -> None:
                with BlobClient.from_blob_url(url, retry_total=0, **trust) as blob:
                    try:
                        for _ in range(100):
                            blob.upload_page(b"x" * 4 * MIB, 0, 4 * MIB)
                    except AzureError as error:
                        failures.append(error)

            writer = threading.Thread(target=write)
            writer.start()
            while not server.stats().faults:
                time.sleep(0.01)
        writer.join()
        assert len(failures) == 1

    def test_again_on_the_same_port(self) -> None:
        with PageBlobServer() as first, client(first) as blob:
            first.create_blob("disks/disk.vhd", PAGE)
            blob.get_blob_properties()
            port = first.port
        with PageBlobServer(ServerOptions(port=port)) as second, client(second) as blob:
            assert refusal(blob.get_blob_properties) == (404, "ContainerNotFound")

    def test_an_error_of_its_own_is_raised(self) -> None:
        server = PageBlobServer(ServerOptions(discard=True))
        server.start()
        server.create_blob("disks/disk.vhd", PAGE)
        with pytest.raises(http.client.IncompleteRead):
            raw(server, "GET", "/devstoreaccount1/disks/disk.vhd")
        with pytest.raises(ValueError, match="discard"):
            server.stop()


class TestProcess:
    def test_serves_and_reports(self, tmp_path: Path) -> None:
        authority = tmp_path / "ca.pem"
        command = [
            *(sys.executable, "-m", "tests.pageblob_server"),
            *("--discard", "--tls", "--ca-file", str(authority), "--azure-limits"),
            *("--queue", "1", "--managed-disk", f"upload/disk={MIB}", "--link-rate", "100"),
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            ready = json.loads(process.stdout.readline())
            with BlobServiceClient.from_connection_string(
                ready["connection_string"], connection_verify=str(authority), retry_total=0
            ) as service:
                blob = service.create_container("disks").get_blob_client("disk.vhd")
                blob.create_page_blob(MIB)
                blob.upload_page(b"x" * PAGE, PAGE, PAGE)
                disk = service.get_blob_client("upload", "disk")
                with pytest.raises(HttpResponseError):
                    disk.set_blob_metadata({})
            trusting = ssl.create_default_context(cafile=str(authority))
            with urllib.request.urlopen(ready["report"], context=trusting) as answer:
                report = json.load(answer)
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
        found = report["blobs"]["disks/disk.vhd"]
        expected = crc64(bytes(PAGE) + b"x" * PAGE + bytes(MIB - 2 * PAGE))
        assert found["crc64"] == f"{expected:016x}"
        assert found["range_bytes"] == PAGE
        assert report["stats"]["requests"] == 4
        assert report["violations"] == ["set-blob-metadata upload/disk"]
