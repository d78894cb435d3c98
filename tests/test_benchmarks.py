"""The benchmarks' parts: a benchmark that measures or compares wrongly is worse than none."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path

import pytest
from azure.storage.blob import BlobClient, ContainerClient, generate_blob_sas

from benchmarks import cases, contenders, disks
from benchmarks.content import (
    PAGE,
    Content,
    content_of_blob,
    content_of_file,
    content_of_pieces,
    data_runs,
)
from benchmarks.discarding import Put, puts_problem, read_log
from benchmarks.disks import Disk
from benchmarks.filling import write_random
from benchmarks.measure import CommandError, measure, measure_all
from benchmarks.os_tree import write_os_disk
from benchmarks.push import PushError, Write, push, push_file
from benchmarks.recording import recorded_writes
from benchmarks.relay import counting_relay
from benchmarks.service import Service, footer_problem, size_problem
from benchmarks.targets import TARGETS, report_problem
from benchmarks.write_vhd import BLOCK, append_footer, write_child, write_full_table
from tests.pageblob_server import BlobLimits, Operation, PageBlobServer, ServerOptions
from tests.support import oracles
from tests.support.azurite import ACCOUNT, KEY, Azurite
from vhdtools.checksums import crc64, crc64_base64
from vhdtools.image import open as open_image
from vhdtools.inspection import Level, inspect
from vhdtools.layout import parse_footer
from vhdtools.ranges import PageRange
from vhdtools.target.destination import open_target
from vhdtools.transfer import UploadOptions
from vhdtools.transfer.footer import fixed_footer
from vhdtools.transfer.upload import upload_image

MIB = 1024 * 1024
ID, OTHER_ID = bytes(range(16)), bytes(range(1, 17))


def sparse(path: Path, size: int, pieces: dict[int, bytes]) -> bytes:
    """Write a raw disk with holes; all of its bytes."""
    content = bytearray(size)
    with path.open("wb") as file:
        for offset, data in pieces.items():
            file.seek(offset)
            file.write(data)
            content[offset : offset + len(data)] = data
        file.truncate(size)
    return bytes(content)


def content_of_bytes(content: bytes) -> Content:
    """`Content` by its definition, in one go."""
    return content_of_pieces([(0, content)], len(content))


# What is in a disk


def test_a_files_content_does_not_depend_on_its_holes(tmp_path: Path) -> None:
    pieces = {0: b"a" * 5000, 300 * 1024: bytes(8192) + b"b", MIB - 10: b"c" * 10}
    content = sparse(tmp_path / "sparse", MIB, pieces)
    (tmp_path / "full").write_bytes(content)

    found = content_of_file(tmp_path / "sparse", MIB)

    assert found == content_of_file(tmp_path / "full", MIB) == content_of_bytes(content)
    assert found.data_bytes == 4 * PAGE
    assert found.crc64 == f"{crc64(content):016x}"


@pytest.mark.parametrize("changed", [0, 5000, MIB - 1])
def test_a_files_content_tells_one_byte(tmp_path: Path, changed: int) -> None:
    content = bytearray(random.Random(1).randbytes(MIB))
    before = content_of_bytes(bytes(content))
    content[changed] ^= 1
    assert content_of_bytes(bytes(content)).digest != before.digest


def test_content_tells_where_data_is() -> None:
    page, zeros = b"x" * PAGE, bytes(PAGE)
    assert content_of_bytes(page + zeros).digest != content_of_bytes(zeros + page).digest


def test_data_runs_find_all_data(tmp_path: Path) -> None:
    content = sparse(tmp_path / "disk", 4 * MIB, {PAGE: b"x", 3 * MIB + 100: b"y" * 5000})
    rest = bytearray(content)
    for offset, length in data_runs(tmp_path / "disk", 4 * MIB):
        rest[offset : offset + length] = bytes(length)
    assert not any(rest)


def test_a_blobs_content_is_that_of_its_pages(container: ContainerClient) -> None:
    content = bytearray(4 * MIB)
    with container.get_blob_client("disk.vhd") as blob:
        blob.create_page_blob(len(content) + 512)
        # Ranges that touch, that share a 4 KiB page, and that hold zeros only.
        for offset, data in (
            (0, b"a" * 512),
            (1024, b"b" * 512),
            (PAGE, b"c" * 8192),
            (2 * MIB, bytes(4096)),
            (len(content) - 512, b"d" * 1024),
        ):
            blob.upload_page(data, offset, len(data))
            content[offset : offset + len(data)] = data[: len(content) - offset]
        sas = generate_blob_sas(
            ACCOUNT,
            container.container_name,
            "disk.vhd",
            account_key=KEY,
            permission="r",
            expiry=datetime.now(timezone.utc) + timedelta(hours=1),
        )
        with BlobClient.from_blob_url(f"{blob.url}?{sas}") as readable:
            found = content_of_blob(readable, len(content))
        assert found == content_of_bytes(bytes(content))


# Disks


def test_a_footer_makes_a_fixed_disk(tmp_path: Path) -> None:
    content = sparse(tmp_path / "disk.vhd", 3 * MIB, {MIB: b"data"})
    append_footer(tmp_path / "disk.vhd", ID)

    assert oracles.qemu_img_convert(tmp_path / "disk.vhd") == content
    assert [f for f in inspect(tmp_path / "disk.vhd").findings if f.level is Level.ERROR] == []


def test_a_child_holds_its_parents_data_and_the_changes(tmp_path: Path) -> None:
    source = random.Random(2)
    content = bytearray(sparse(tmp_path / "parent.vhd", 4 * BLOCK, {100: source.randbytes(BLOCK)}))
    append_footer(tmp_path / "parent.vhd", ID)
    changes = {
        0: source.randbytes(512),
        BLOCK - 1024: source.randbytes(1024),
        3 * BLOCK + 8192: source.randbytes(4096),
        3 * BLOCK: source.randbytes(512),
    }
    write_child(tmp_path / "child.vhd", tmp_path / "parent.vhd", OTHER_ID, changes)
    for offset, data in changes.items():
        content[offset : offset + len(data)] = data

    assert [f for f in inspect(tmp_path / "child.vhd").findings if f.level is Level.ERROR] == []
    found = bytearray(len(content))
    with open_image(tmp_path / "child.vhd") as image:
        image.read_into(0, found)
    assert found == content


def test_a_full_table_is_a_sound_disk_of_blocks(tmp_path: Path) -> None:
    write_full_table(tmp_path / "full.vhd", 64 * BLOCK, ID)

    found = inspect(tmp_path / "full.vhd")

    assert [f for f in found.findings if f.level is Level.ERROR] == []
    assert found.allocated_bytes == 64 * BLOCK
    assert oracles.qemu_img_convert(tmp_path / "full.vhd") == bytes(64 * BLOCK)


def test_an_os_disk_has_a_sound_file_system(tmp_path: Path) -> None:
    oracles.program("mke2fs")
    write_os_disk(tmp_path / "disk", 64 * MIB, 4 * MIB)

    file_system = tmp_path / "partition"
    file_system.write_bytes((tmp_path / "disk").read_bytes()[MIB:])
    oracles.run(oracles.program("e2fsck"), "-n", "-f", str(file_system))
    assert MIB < content_of_file(tmp_path / "disk", 64 * MIB).data_bytes < 16 * MIB


def test_a_disk_is_built_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VHDTOOLS_BENCHMARKS_WORK", str(tmp_path))
    built = list[Path]()

    def build(path: Path) -> Content:
        built.append(path)
        path.write_bytes(b"x" * PAGE)
        return content_of_file(path, PAGE)

    monkeypatch.setitem(disks.RECIPES, "test", disks.Recipe("a page", build))
    first, second = disks.get_disk("test"), disks.get_disk("test")

    assert first == second
    assert len(built) == 1
    assert first.known.data_bytes == PAGE


def test_too_little_room_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VHDTOOLS_BENCHMARKS_WORK", str(tmp_path))
    large = disks.Recipe("too large", disks.fixed("large", Path.touch), room=1 << 60)
    monkeypatch.setitem(disks.RECIPES, "large", large)
    with pytest.raises(disks.RoomError, match="VHDTOOLS_BENCHMARKS_WORK"):
        disks.get_disk("large")


def test_scattered_data_is_as_much_as_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VHDTOOLS_BENCHMARKS_WORK", str(tmp_path))
    found = disks.get_disk("small-scattered")
    assert 16e6 <= found.known.data_bytes <= 25e6
    assert found.known == content_of_file(found.path, found.known.size)


def test_a_child_is_built_as_it_is_described(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VHDTOOLS_BENCHMARKS_WORK", str(tmp_path))
    fill = partial(write_random, size=16 * BLOCK, seed="parent")
    parent = disks.Recipe("random", disks.fixed("parent", fill))
    # So much that changes would overlap if they could.
    child = disks.Recipe("changed", disks.child("child", "parent", "parent", BLOCK))
    monkeypatch.setitem(disks.RECIPES, "parent", parent)
    monkeypatch.setitem(disks.RECIPES, "child", child)

    found = disks.get_disk("child")

    with open_image(found.path) as image:
        content = bytearray(image.virtual_size)
        image.read_into(0, content)
    assert content_of_bytes(bytes(content)) == found.known
    assert found.known != disks.get_disk("parent").known


# Pushing, relaying, recording


@pytest.mark.parametrize("tls", [False, True])
def test_push_writes_all_from_several_connections(tmp_path: Path, *, tls: bool) -> None:
    source = random.Random(3)
    lengths = (512, 4096, 100 * 1024, 4 * MIB, 512)
    data = [source.randbytes(length) for length in lengths]
    places = [sum(lengths[:index]) for index in range(len(lengths))]
    writes = [Write(o, d, crc64(d)) for o, d in zip(places, data, strict=True)]
    with PageBlobServer(ServerOptions(tls=tls)) as server:
        ca_file = None
        if server.ca_pem is not None:
            ca_file = tmp_path / "ca.pem"
            ca_file.write_bytes(server.ca_pem)
        blob = server.create_blob("vhds/disk.vhd", sum(lengths))

        assert push(writes, server.blob_url("vhds/disk.vhd"), 3, ca_file) > 0

        assert blob.read(0, sum(lengths)) == b"".join(data)
        assert server.stats().by_operation == {"put-page": len(writes)}


def test_push_file_sends_what_the_file_holds(tmp_path: Path) -> None:
    content = random.Random(5).randbytes(MIB)
    disk = tmp_path / "disk.vhd"
    disk.write_bytes(content)
    places = [PageRange(0, 512), PageRange(4096, 200 * 1024), PageRange(MIB - 512, 512)]
    with PageBlobServer() as server:
        blob = server.create_blob("vhds/disk.vhd", MIB)

        assert push_file(disk, places, server.blob_url("vhds/disk.vhd"), 2) > 0

        expected = bytearray(MIB)
        for place in places:
            expected[place.offset : place.end] = content[place.offset : place.end]
        assert blob.read(0, MIB) == expected


def test_push_tries_again_while_the_service_is_busy() -> None:
    limits = BlobLimits(requests_per_second=50, burst_seconds=0.02)
    writes = [Write(index * 512, b"x" * 512, crc64(b"x" * 512)) for index in range(8)]
    with PageBlobServer(ServerOptions(limits=limits)) as server:
        blob = server.create_blob("vhds/disk.vhd", 4096)
        push(writes, server.blob_url("vhds/disk.vhd"), 2)
        assert server.stats().by_status["503"] > 0
        assert blob.read(0, 4096) == b"x" * 4096


def test_push_fails_where_the_service_refuses() -> None:
    with PageBlobServer() as server:
        server.create_blob("vhds/disk.vhd", 512)
        with pytest.raises(PushError, match="400"):
            push([Write(0, b"x" * 512, 0)], server.blob_url("vhds/disk.vhd"), 1)


def test_the_relay_counts_what_a_client_sends() -> None:
    received = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            client, _ = listener.accept()
            with client:
                while piece := client.recv(1 << 16):
                    received.extend(piece)
                    if len(received) == 300_000:
                        client.sendall(b"done")

        server = threading.Thread(target=serve)
        server.start()
        port = listener.getsockname()[1]
        with counting_relay(f"http://127.0.0.1:{port}/account") as relay:
            assert relay.endpoint.endswith("/account")
            place = relay.endpoint.removeprefix("http://").partition("/")[0]
            with socket.create_connection((place.split(":")[0], int(place.split(":")[1]))) as end:
                end.sendall(b"x" * 300_000)
                assert end.recv(16) == b"done"
            server.join()
        assert relay.sent == len(received) == 300_000


def test_what_is_recorded_is_what_an_upload_sends(tmp_path: Path) -> None:
    source = random.Random(4)
    pieces = {offset: source.randbytes(5000) for offset in range(0, 12 * MIB, MIB // 2)}
    sparse(tmp_path / "disk.vhd", 16 * MIB, pieces)
    append_footer(tmp_path / "disk.vhd", ID)

    recorded = recorded_writes(tmp_path / "disk.vhd")

    with PageBlobServer() as server, open_image(tmp_path / "disk.vhd") as image:
        server.create_container("vhds")
        target = open_target("vhds/disk.vhd", connection_string=server.connection_string)
        upload_image(image, target, UploadOptions(workers=2))
        target.close()
        sent = [r for r in server.requests if r.operation is Operation.PUT_PAGE]
        assert sorted((r.offset, r.length) for r in sent) == [
            (write.offset, len(write.data)) for write in recorded
        ]
        for write in recorded:
            found = server.blob("vhds/disk.vhd").read(write.offset, len(write.data))
            assert found == write.data
            assert write.crc64 == crc64(write.data)


# Judging a result


def put(offset: int, data: bytes, *, checksum: bool = True) -> Put:
    return Put(len(data) + 100, PageRange(offset, len(data)), crc64(data) if checksum else None)


@pytest.fixture
def dense(tmp_path: Path) -> tuple[Disk, bytes]:
    """A disk of 64 KiB, and its file's bytes."""
    data = random.Random(5).randbytes(64 * 1024)
    path = tmp_path / "dense.vhd"
    path.write_bytes(data)
    append_footer(path, ID)
    return Disk("dense", path, content_of_bytes(data)), path.read_bytes()


@pytest.mark.parametrize("checksum", [True, False])
def test_what_was_put_must_be_all_of_the_disk(dense: tuple[Disk, bytes], *, checksum: bool) -> None:
    disk, data = dense
    half, end = 32 * 1024, 64 * 1024

    def puts(*ranges: tuple[int, int]) -> list[Put]:
        return [put(start, data[start:stop], checksum=checksum) for start, stop in ranges]

    assert puts_problem(puts((0, half), (half, end), (end, end + 512)), disk, disk.path) is None
    assert puts_problem(puts((half, end), (0, half), (end, end + 512)), disk, disk.path) is None
    assert puts_problem(puts((0, half), (end, end + 512)), disk, disk.path) is not None
    assert puts_problem(puts((0, half), (half, end)), disk, disk.path) == "the footer was not put"
    assert puts_problem(puts((0, end), (half, end), (end, end + 512)), disk, disk.path) is not None


def test_a_put_with_other_data_is_noticed_by_its_checksum(dense: tuple[Disk, bytes]) -> None:
    disk, data = dense
    wrong = put(0, b"x" * disk.known.size)
    assert puts_problem([wrong, put(len(data) - 512, data[-512:])], disk, None) is not None


def test_a_last_put_may_hold_data_and_footer(dense: tuple[Disk, bytes]) -> None:
    disk, data = dense
    assert puts_problem([put(0, data, checksum=False)], disk, disk.path) is None


def test_what_carried_no_checksum_cannot_be_judged_without_what_was_sent(
    dense: tuple[Disk, bytes],
) -> None:
    disk, data = dense
    assert puts_problem([put(0, data, checksum=False)], disk, None) is not None


@pytest.mark.parametrize("own_footer", [True, False])
def test_the_strict_servers_checksum_must_be_the_disks(
    dense: tuple[Disk, bytes], *, own_footer: bool
) -> None:
    disk, data = dense
    size = disk.known.size
    footer = data[size:] if own_footer else fixed_footer(parse_footer(data[size:]), size)
    sent = disk.path if own_footer else None

    def problem(content: bytes) -> str | None:
        blob = {"size": len(content), "crc64": f"{crc64(content):016x}"}
        return report_problem({"blobs": {"bench/disk.vhd": blob}}, disk, sent)

    assert problem(data[:size] + footer) is None
    assert problem(data[:size] + footer + bytes(512)) is not None
    assert problem(b"\0" + data[1:size] + footer) is not None
    assert problem(data[:size] + footer[:-1] + b"\1") is not None


def test_the_log_tells_puts_to_the_blob_from_others(tmp_path: Path) -> None:
    data = b"x" * 512
    log = tmp_path / "pages.log"
    log.write_text(
        f"700 bytes=0-511 {crc64_base64(crc64(data))} /devstoreaccount1/bench/disk.vhd?comp=page\n"
        "650 bytes=512-1023  /devstoreaccount1/bench/disk.vhd?comp=page&sig=x\n"
        "650 bytes=0-511  /devstoreaccount1/bench/other?comp=page\n"
    )
    assert read_log(log) == [
        Put(700, PageRange(0, 512), crc64(data)),
        Put(650, PageRange(512, 512), None),
    ]
    assert read_log(tmp_path / "none") == []


def test_footers_and_sizes_are_judged(dense: tuple[Disk, bytes]) -> None:
    _, data = dense
    footer, size = data[-512:], 64 * 1024
    assert footer_problem(footer, size) is None
    assert footer_problem(footer, size + 512) is not None
    assert footer_problem(footer[:-1], size) is not None
    assert footer_problem(b"\1" + footer[1:], size) is not None
    assert footer_problem(footer[:100] + b"\1" + footer[101:], size) is not None
    assert size_problem(size + 512, size) is None
    assert size_problem(size, size) is not None


# Running commands


def test_measuring_a_command(tmp_path: Path) -> None:
    hungry = "data = bytearray(b'x') * (64 << 20); print('{\"requests\": 3}')"

    taken = measure([sys.executable, "-c", hungry])

    assert json.loads(taken.output) == {"requests": 3}
    assert contenders.figures(taken.output) == {"requests": 3}
    assert 64 * MIB < taken.peak_bytes < 128 * MIB
    assert taken.seconds > 0
    assert taken.cpu_seconds > 0


def test_this_processs_own_memory_is_not_counted() -> None:
    mine = bytearray(b"x") * (256 * MIB)
    taken = measure([sys.executable, "-c", "pass"])
    assert taken.peak_bytes < 64 * MIB < len(mine)


def test_measuring_commands_one_after_the_other() -> None:
    parts = [[sys.executable, "-c", f"print({number})"] for number in range(2)]
    taken = measure_all(parts)
    assert taken.output == "1\n"


def test_a_command_that_fails_says_why() -> None:
    with pytest.raises(CommandError, match=r"exited 3:\n.*went wrong"):
        measure([sys.executable, "-c", "import sys; print('went wrong'); sys.exit(3)"])
    with pytest.raises(CommandError, match="could not be started"):
        measure(["no-such-program"])


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    # One that ended may wait to be collected.
    return not Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].startswith(" Z")


def test_breaking_off_ends_what_was_started(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    inner = f"import os, pathlib, time; pathlib.Path({str(ready)!r}).write_text(str(os.getpid()))"
    sleeper = [sys.executable, "-c", f"{inner}; time.sleep(600)"]
    outer = f"from benchmarks.measure import measure; measure({sleeper!r})"
    with subprocess.Popen([sys.executable, "-c", outer], stderr=subprocess.DEVNULL) as process:
        while not (ready.exists() and ready.read_text()):
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
    sleeping = int(ready.read_text())
    while is_alive(sleeping):
        time.sleep(0.01)


def test_what_is_no_object_has_no_figures() -> None:
    assert contenders.figures("text") == contenders.figures("[1]") == {}


# Cases


def test_contenders_are_known_by_name_and_number() -> None:
    assert "8 workers" in contenders.contender("vhdtool").title
    assert "32 workers" in contenders.contender("vhdtool-32").title
    assert "1 worker" in contenders.contender("vhdtool-1").title
    for wrong in ("nobody", "vhdtool-x"):
        with pytest.raises(ValueError, match="no contender"):
            contenders.contender(wrong)


def test_every_case_is_of_things_that_exist() -> None:
    everything = [*cases.FULL, *cases.QUICK]
    assert len({case.name for case in everything}) == len(everything)
    for case in everything:
        assert case.target is None or case.target in TARGETS
        assert len(set(case.entries)) == len(case.entries)
        for entry in case.entries:
            assert entry.disk in disks.RECIPES
            assert contenders.contender(entry.contender).uploads <= (case.target is not None)


def test_commands_go_to_the_service(
    azurite: Azurite, dense: tuple[Disk, bytes], tmp_path: Path
) -> None:
    service = Service(azurite.endpoint, problem=lambda *_: None)
    job = contenders.Job(dense[0], service, tmp_path)
    made = contenders.contender("vhdtool-3")
    program, upload, disk, url, *options = made.commands(job)[0]
    assert Path(program).name == "vhdtool"
    assert (upload, disk) == ("upload", str(dense[0].path))
    assert url.startswith(f"{azurite.endpoint}/bench/disk.vhd?")
    assert options == ["--workers", "3", "--no-progress", "--json"]
    for pusher in ("limit-3", "bare-3"):
        pushed = contenders.contender(pusher).commands(job)[0]
        assert pushed[-1] == "3"
        assert pushed[-2].startswith(f"{azurite.endpoint}/bench/disk.vhd?")
