"""Fixtures that every test module may ask for."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.support.azurite import Azurite, start_azurite
from tests.support.disks import unpack

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient

# No test asserts a time. In continuous integration the same examples are tried every time; at home
# new ones are.
settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    """Azurite over HTTP with its blobs in memory; under pytest-xdist, one for each worker."""
    with start_azurite() as running:
        yield running


@pytest.fixture
def container(azurite: Azurite) -> Iterator[ContainerClient]:
    """An empty container of its own for the test, as the SDK's client (`.container_name`)."""
    from azure.storage.blob import BlobServiceClient

    with BlobServiceClient.from_connection_string(azurite.connection_string) as service:
        client = service.create_container(f"test-{uuid.uuid4().hex}")
        with client:
            yield client
            client.delete_container()


@pytest.fixture(scope="session")
def sample_disk(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Unpacks a disk of fixtures/ by its name in the manifest, parents beside it.

    The file is shared by all tests of the session: copy it before changing it.
    """
    folder = tmp_path_factory.mktemp("sample-disks")
    return lambda name: unpack(name, folder)
