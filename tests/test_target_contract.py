"""What every target promises, whatever its kind."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.pageblob_server import ManagedDisk, PageBlobServer
from tests.support.azurite import Azurite
from vhdtools.checksums import crc64
from vhdtools.errors import (
    ChecksumError,
    TargetBusyError,
    TargetExistsError,
    TargetMissingError,
    TargetRefusedError,
)
from vhdtools.ranges import PAGE, PageRange
from vhdtools.target.destination import open_target
from vhdtools.target.page_target import MAX_WRITE, PageTarget

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient

    from tests.pageblob_server.fixtures import Serve

pytest_plugins = ["tests.pageblob_server.fixtures"]

MIB = 1024 * 1024
SIZE = 8 * MIB
SECRET = "c2lnbmF0dXJl"
"""The signature of every SAS that a target of these tests is opened with."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of target: where a fresh one is, how a place for none looks, how precise it is.

    `open` opens the same place each time it is called with the same number. `block` is the unit
    in which the target tells written pages from others.
    """

    name: str
    open: Callable[[int], PageTarget]
    nowhere: Callable[[], PageTarget]
    block: int = PAGE


def azurite_kind(azurite: Azurite) -> Kind:
    from azure.storage.blob import BlobServiceClient

    container = f"contract-{uuid.uuid4().hex}"
    with BlobServiceClient.from_connection_string(azurite.connection_string) as service:
        service.create_container(container).close()

    def place(name: str) -> PageTarget:
        return open_target(name, connection_string=azurite.connection_string)

    return Kind(
        "azurite",
        lambda number: place(f"{container}/disk {number} é#%.vhd"),
        lambda: place("no-such-container/disk.vhd"),
    )


def strict_kind(server: PageBlobServer) -> Kind:
    return Kind(
        "strict",
        lambda number: open_target(server.blob_url(f"disks/disk-{number}.vhd")),
        lambda: open_target(server.blob_url("no-such-container/disk.vhd")),
    )


def managed_kind(server: PageBlobServer) -> Kind:
    return Kind(
        "managed",
        lambda number: open_target(server.blob_url(f"upload/disk-{number}"), managed_disk=True),
        lambda: open_target(server.blob_url("upload/no-such-disk"), managed_disk=True),
    )


def local_kind(folder: Path) -> Kind:
    return Kind(
        "local",
        lambda number: open_target(f"file:{folder}/disk-{number}.vhd"),
        lambda: open_target(f"file:{folder}/no-such-folder/disk.vhd"),
        block=64 * 1024,  # at least as large as a block of the file systems that tests run on
    )


@pytest.fixture(params=["azurite", "strict", "managed", "local"])
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Kind:
    if request.param == "azurite":
        return azurite_kind(request.getfixturevalue("azurite"))
    if request.param == "local":
        return local_kind(tmp_path)
    serve: Serve = request.getfixturevalue("serve")
    if request.param == "managed":
        disks = tuple(ManagedDisk(f"upload/disk-{number}", SIZE) for number in range(3))
        return managed_kind(serve(managed_disks=disks))
    return strict_kind(serve())


@pytest.fixture
def opened(kind: Kind) -> Iterator[Callable[[int], PageTarget]]:
    """Opens the target with a number; all are closed at the end."""
    targets: list[PageTarget] = []

    def open_number(number: int = 0) -> PageTarget:
        targets.append(kind.open(number))
        return targets[-1]

    yield open_number
    for target in targets:
        target.release_lease()
        target.close()


@pytest.fixture
def target(opened: Callable[[int], PageTarget]) -> PageTarget:
    """A target of SIZE zeros."""
    found = opened(0)
    if found.capabilities.creates:
        found.create(SIZE, {}, replace=False)
    return found


def random_bytes(length: int, seed: int = 0) -> memoryview:
    return memoryview(random.Random(seed).randbytes(length))


def write(target: PageTarget, offset: int, data: memoryview) -> bool:
    return target.write(offset, data, crc64(data))


def read(target: PageTarget, offset: int, length: int) -> bytes:
    buffer = bytearray(b"\xff" * length)
    target.read_into(offset, buffer)
    return bytes(buffer)


def refuses(target: PageTarget, capability: str) -> bool:
    """Whether a target lacks a capability; if so, it is made sure that it refuses the call."""
    if getattr(target.capabilities, capability):
        return False
    calls: dict[str, Callable[[], object]] = {
        "creates": lambda: target.create(SIZE, {}, replace=True),
        "metadata": lambda: target.set_metadata({"a": "b"}),
        "lease": lambda: target.acquire_lease(str(uuid.uuid4())),
        "reads": lambda: target.read_into(0, bytearray(PAGE)),
        "clears": lambda: target.clear(0, PAGE),
    }
    with pytest.raises(ValueError, match=r"cannot"):
        calls[capability]()
    return True


class TestCreating:
    def test_there_is_nothing_at_first(self, opened: Callable[[int], PageTarget]) -> None:
        target = opened(0)
        if refuses(target, "creates"):
            return
        assert target.state() is None

    def test_a_new_target_is_zeros(self, target: PageTarget) -> None:
        state = target.state()
        assert state is not None
        assert (state.size, dict(state.metadata), state.leased) == (SIZE, {}, False)
        assert list(target.page_ranges(0, SIZE)) == []
        if target.capabilities.reads:
            assert read(target, 0, 2 * MIB) == bytes(2 * MIB)

    def test_what_is_there_is_not_replaced(self, opened: Callable[[int], PageTarget]) -> None:
        first = opened(0)
        if refuses(first, "creates"):
            return
        first.create(SIZE, {}, replace=False)
        write(first, 0, random_bytes(PAGE))
        first.finish()
        with pytest.raises(TargetExistsError, match=r"overwrite"):
            opened(0).create(SIZE, {}, replace=False)
        assert read(opened(0), 0, PAGE) == random_bytes(PAGE)

    def test_what_is_replaced_is_zeros_again(self, opened: Callable[[int], PageTarget]) -> None:
        first = opened(0)
        if refuses(first, "creates"):
            return
        first.create(SIZE, {}, replace=False)
        write(first, 0, random_bytes(PAGE))
        first.finish()
        second = opened(0)
        second.create(2 * SIZE, {}, replace=True)
        state = second.state()
        assert state is not None
        assert state.size == 2 * SIZE
        assert list(second.page_ranges(0, 2 * SIZE)) == []
        assert read(second, 0, PAGE) == bytes(PAGE)

    def test_where_nothing_can_be(self, kind: Kind) -> None:
        target = kind.nowhere()
        if target.capabilities.creates:
            with pytest.raises(TargetMissingError) as missing:
                target.create(SIZE, {}, replace=False)
            assert missing.value.remedy
        else:
            assert target.state() is None
        target.close()

    @pytest.mark.parametrize("size", [0, -PAGE, 1000])
    def test_sizes_are_whole_pages(self, opened: Callable[[int], PageTarget], size: int) -> None:
        target = opened(0)
        if refuses(target, "creates"):
            return
        with pytest.raises(ValueError, match=r"pages"):
            target.create(size, {}, replace=False)
        assert target.state() is None

    def test_finished_is_there_for_others(self, opened: Callable[[int], PageTarget]) -> None:
        target = opened(0)
        if refuses(target, "creates"):
            return
        target.create(SIZE, {}, replace=False)
        write(target, SIZE - PAGE, random_bytes(PAGE))
        target.finish()
        target.close()
        again = opened(0)
        state = again.state()
        assert state is not None
        assert state.size == SIZE
        assert read(again, SIZE - PAGE, PAGE) == random_bytes(PAGE)


class TestPages:
    @pytest.mark.parametrize(
        ("offset", "length"),
        [(0, PAGE), (SIZE - PAGE, PAGE), (MIB - PAGE, 2 * PAGE), (0, MAX_WRITE), (PAGE, MIB)],
    )
    def test_written_is_read_and_listed(
        self, kind: Kind, target: PageTarget, offset: int, length: int
    ) -> None:
        data = random_bytes(length)
        assert write(target, offset, data) is True
        (found,) = target.page_ranges(0, SIZE)
        first, end = offset - offset % kind.block, -(-(offset + length) // kind.block) * kind.block
        assert first <= found.offset <= offset
        assert offset + length <= found.end <= min(end, SIZE)
        if target.capabilities.reads:
            assert read(target, offset, length) == data
            assert read(target, 0, SIZE) == bytes(offset) + data + bytes(SIZE - offset - length)

    def test_neighbours_are_one_range(self, target: PageTarget) -> None:
        for offset in (2 * MIB, 2 * MIB + 64 * 1024, 2 * MIB + 128 * 1024):
            write(target, offset, random_bytes(64 * 1024))
        assert list(target.page_ranges(0, SIZE)) == [PageRange(2 * MIB, 192 * 1024)]

    def test_ranges_are_clipped(self, target: PageTarget) -> None:
        write(target, MIB, random_bytes(2 * MIB))
        assert list(target.page_ranges(MIB + PAGE, PAGE)) == [PageRange(MIB + PAGE, PAGE)]
        assert list(target.page_ranges(0, MIB)) == []
        assert list(target.page_ranges(2 * MIB, 6 * MIB)) == [PageRange(2 * MIB, MIB)]

    def test_ranges_are_ascending_and_apart(self, target: PageTarget) -> None:
        offsets = [1, 3, 7, 30, 61, 127]
        for offset in random.Random(0).sample(offsets, len(offsets)):
            write(target, offset * 64 * 1024, random_bytes(64 * 1024))
        expected = [PageRange(offset * 64 * 1024, 64 * 1024) for offset in offsets]
        assert list(target.page_ranges(0, SIZE)) == expected

    def test_overwriting(self, target: PageTarget) -> None:
        write(target, 0, random_bytes(MIB, 1))
        write(target, PAGE, random_bytes(PAGE, 2))
        if target.capabilities.reads:
            expected = bytearray(random_bytes(MIB, 1))
            expected[PAGE : 2 * PAGE] = random_bytes(PAGE, 2)
            assert read(target, 0, MIB) == expected

    def test_cleared_pages_are_zeros_in_no_range(self, kind: Kind, target: PageTarget) -> None:
        if refuses(target, "clears"):
            return
        write(target, 0, random_bytes(2 * MIB))
        target.clear(MIB, SIZE - MIB)
        target.clear(0, kind.block)
        assert list(target.page_ranges(0, SIZE)) == [PageRange(kind.block, MIB - kind.block)]
        assert read(target, 0, kind.block) == bytes(kind.block)
        assert read(target, MIB, MIB) == bytes(MIB)

    def test_buffers_of_all_kinds(self, target: PageTarget) -> None:
        data = bytearray(random_bytes(2 * PAGE))
        with memoryview(data) as whole:
            write(target, 0, whole)
            write(target, MIB, whole[PAGE:])
            write(target, 2 * MIB, whole.toreadonly())
        data.clear()  # nothing keeps hold of it
        if target.capabilities.reads:
            assert read(target, MIB, PAGE) == random_bytes(2 * PAGE)[PAGE:]

    def test_damaged_data_is_refused(self, target: PageTarget) -> None:
        data = random_bytes(MIB)
        with pytest.raises(ChecksumError) as refused:
            target.write(MIB, data, crc64(data) ^ 1)
        assert refused.value.resumable
        assert refused.value.offset == MIB
        assert list(target.page_ranges(0, SIZE)) == []

    @pytest.mark.parametrize(
        ("offset", "length"),
        [(1, PAGE), (0, PAGE - 1), (0, 0), (-PAGE, PAGE), (SIZE, PAGE), (SIZE - PAGE, 2 * PAGE)],
    )
    def test_only_whole_pages_within(self, target: PageTarget, offset: int, length: int) -> None:
        data = memoryview(bytearray(length))
        calls: list[Callable[[], object]] = [
            lambda: write(target, offset, data),
            lambda: list(target.page_ranges(offset, length)),
            lambda: target.clear(offset, length),
            lambda: target.read_into(offset, data),
        ]
        for call in calls:
            with pytest.raises(ValueError):
                call()

    def test_at_most_four_mib_at_once(self, target: PageTarget) -> None:
        with pytest.raises(ValueError, match=r"4194304"):
            write(target, 0, memoryview(bytes(MAX_WRITE + PAGE)))

    def test_eight_threads(self, target: PageTarget) -> None:
        pieces = [(number * 64 * 1024, random_bytes(64 * 1024, number)) for number in range(128)]
        with ThreadPoolExecutor(8) as pool:
            confirmed = pool.map(lambda piece: write(target, *piece), pieces)
            assert all(confirmed)
        assert list(target.page_ranges(0, SIZE)) == [PageRange(0, SIZE)]
        if target.capabilities.reads:
            with ThreadPoolExecutor(8) as pool:
                found = pool.map(lambda piece: read(target, piece[0], len(piece[1])), pieces)
                assert all(got == data for got, (_, data) in zip(found, pieces, strict=True))


class TestMetadata:
    def test_kept_and_replaced(self, opened: Callable[[int], PageTarget]) -> None:
        target = opened(0)
        if refuses(target, "metadata"):
            return
        target.create(SIZE, {"vhdtools_offset": "0", "other": "a b=c,d"}, replace=False)
        state = target.state()
        assert state is not None
        assert dict(state.metadata) == {"vhdtools_offset": "0", "other": "a b=c,d"}
        target.set_metadata({"vhdtools_offset": "512"})
        state = opened(0).state()
        assert state is not None
        assert dict(state.metadata) == {"vhdtools_offset": "512"}

    @pytest.mark.parametrize(
        ("name", "value"),
        [("a-b", "c"), ("A", "c"), ("", "c"), ("a", "é"), ("a", "b\nc"), ("a", " b")],
    )
    def test_what_headers_cannot_carry(self, target: PageTarget, name: str, value: str) -> None:
        with pytest.raises(ValueError):
            target.set_metadata({name: value})

    def test_content_md5(self, target: PageTarget) -> None:
        target.set_content_md5(bytes(range(16)))
        if target.capabilities.metadata:
            state = target.state()
            assert state is not None
            assert state.content_md5 == bytes(range(16))


class TestLease:
    def test_one_writer(self, target: PageTarget, opened: Callable[[int], PageTarget]) -> None:
        if refuses(target, "lease"):
            return
        target.acquire_lease(str(uuid.uuid4()))
        state = target.state()
        assert state is not None
        assert state.leased
        other = opened(0)
        data = random_bytes(PAGE)
        calls: list[Callable[[], object]] = [
            lambda: other.acquire_lease(str(uuid.uuid4())),
            lambda: write(other, 0, data),
            lambda: other.clear(0, PAGE),
            lambda: other.set_metadata({"a": "b"}),
            lambda: other.set_content_md5(bytes(16)),
            lambda: other.create(SIZE, {}, replace=True),
        ]
        for call in calls:
            with pytest.raises(TargetBusyError) as busy:
                call()
            assert "lease" in busy.value.remedy
        other.release_lease()
        write(target, 0, data)
        target.clear(0, PAGE)
        target.renew_lease()
        target.set_metadata({"a": "b"})
        target.set_content_md5(bytes(16))
        target.create(SIZE, {}, replace=True)
        write(target, 0, data)

    def test_released(self, target: PageTarget, opened: Callable[[int], PageTarget]) -> None:
        if refuses(target, "lease"):
            return
        target.acquire_lease(str(uuid.uuid4()))
        target.release_lease()
        target.release_lease()
        opened(0).acquire_lease(str(uuid.uuid4()))

    def test_taken_over_from_the_dead(
        self, target: PageTarget, opened: Callable[[int], PageTarget]
    ) -> None:
        if refuses(target, "lease"):
            return
        old, new = str(uuid.uuid4()), str(uuid.uuid4())
        target.acquire_lease(old)
        heir = opened(0)
        heir.acquire_lease(new, previous=old)
        write(heir, 0, random_bytes(PAGE))
        # The one that was thought dead is fenced off.
        with pytest.raises(TargetBusyError):
            write(target, 0, random_bytes(PAGE))
        with pytest.raises(TargetBusyError):
            target.renew_lease()
        target.release_lease()
        heir.renew_lease()

    def test_previous_that_is_gone(
        self, target: PageTarget, opened: Callable[[int], PageTarget]
    ) -> None:
        if refuses(target, "lease"):
            return
        target.acquire_lease(str(uuid.uuid4()), previous=str(uuid.uuid4()))
        with pytest.raises(TargetBusyError):
            opened(0).acquire_lease(str(uuid.uuid4()), previous=str(uuid.uuid4()))

    def test_acquired_twice_is_once(self, target: PageTarget) -> None:
        """An answer may get lost, and the call be made again."""
        if refuses(target, "lease"):
            return
        lease_id = str(uuid.uuid4())
        target.acquire_lease(lease_id)
        target.acquire_lease(lease_id)
        write(target, 0, random_bytes(PAGE))


class TestWithoutSecrets:
    def test_in_name_and_repr(self, target: PageTarget) -> None:
        for text in (target.name, repr(target), str(target)):
            assert SECRET not in text
            assert "sig=" not in text
            assert "AccountKey" not in text
        assert target.name in repr(target)

    def test_closing_twice(self, target: PageTarget) -> None:
        target.close()
        target.close()

    def test_nothing_to_refresh(self, target: PageTarget) -> None:
        assert target.refresh_access() is False


def test_other_blobs_are_refused(container: ContainerClient, azurite: Azurite) -> None:
    container.upload_blob("block.vhd", b"not pages")
    place = f"{container.container_name}/block.vhd"
    target = open_target(place, connection_string=azurite.connection_string)
    with pytest.raises(TargetRefusedError, match=r"is a block blob, not a page blob") as refused:
        target.state()
    assert refused.value.code == "InvalidBlobType"
    assert "az storage blob download" in refused.value.remedy
    assert f"vhdtool upload block.vhd {target.name.replace('block', 'block-page')}" in (
        refused.value.remedy
    )
    target.close()
